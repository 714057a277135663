"""The server's interface and its defences, in process."""

from __future__ import annotations

import io
import logging
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from autocompose.gallery.indexing.index import forget
from autocompose.gallery.indexing.thumbs import thumb_bytes, thumb_path, write_thumb
from autocompose.gallery.request import SearchRequest
from autocompose.gallery.search import Gallery
from autocompose.gallery.server import uploads as upload_module
from autocompose.gallery.server.app import create_app
from autocompose.web.guard import HEADERS, SMALL_BODY
from autocompose.web.limits import RateLimit
from tests.fixtures.corpora import picture
from tests.gallery.fakes import FakeModel

TEXT = "Raise the left arm."


@pytest.fixture
def client(small_gallery: Gallery, tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "uploads").mkdir()
    with TestClient(create_app(small_gallery, tmp_path / "uploads"), "http://localhost") as client:
        yield client


def png(seed: int = 99, size: tuple[int, int] = (24, 24)) -> bytes:
    buffer = io.BytesIO()
    picture(seed, size).save(buffer, "PNG")
    return buffer.getvalue()


def send(client: TestClient, data: bytes, name: str = "x.png") -> tuple[int, str]:
    response = client.post("/api/upload", files={"file": (name, data, "image/png")})
    return response.status_code, response.json().get("ref") or response.json()["detail"]


def test_search_is_the_gallerys_search(client: TestClient, small_gallery: Gallery) -> None:
    reference = small_gallery.store.find("a/00005.png")[0]
    query = {"ref": reference.key, "text": TEXT, "k": 5, "mirror": "true", "weight": 0.7, "trail": ["~stand"]}
    answer = client.get("/api/search", params=query).json()
    expected = small_gallery.search(reference=reference, text=TEXT, k=5, mirror=True, weight=0.7).record()
    assert answer["results"] == expected["results"] and len(answer["results"]) == 5
    assert answer["text"] == "Raise the right arm."
    assert [step["text"] for step in answer["trail"]] == ["stand", TEXT]
    assert answer["understood"]["parts"][0]["who"] == "left arm"
    assert "understood" in answer


def test_items_filters_and_understanding(client: TestClient, small_gallery: Gallery) -> None:
    item = small_gallery.store.find("a/00001.png")[0]
    assert client.get(f"/api/items/{item.key}").json() == item.details()
    found = client.get("/api/search", params={"text": TEXT, "where": ["person=anna", "person=ben", ""]}).json()
    assert {r["path"] for r in found["results"]} == {"a/00001.png", "a/00003.png"}
    assert client.get("/api/understand", params={"text": TEXT}).json()["warning"] is None


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/search", 400, "nothing to search for"),
        ("/api/search?text=x&k=0", 422, "k: Input should be greater"),
        ("/api/search?text=x&k=abc", 422, "k: Input should be a valid integer"),
        ("/api/search?text=x&engine=magic", 422, "engine: Input should be"),
        ("/api/search?ref=../../etc/passwd", 404, "no picture of this gallery"),
        ("/api/search?ref=a%00b", 422, "ref: String should match"),
        ("/api/search?ref=000000000000000", 404, "not in the gallery"),
        ("/api/search?ref=u-" + "0" * 32, 404, "no longer kept"),
        ("/api/search?text=x&where=colour=red", 400, "no such column; it has: person"),
        ("/api/search?text=x&where=red", 400, "expected COLUMN=VALUE"),
        ("/api/search?text=" + "x" * 501, 422, "text: String should have at most 500"),
        ("/api/search?text=x&engine=symbolic", 400, "nothing was understood in 'x'"),
        ("/api/items/000000000000000", 404, "not in the gallery"),
        ("/api/items/zzz", 404, "not in the gallery"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_bad_requests_say_what_is_wrong(client: TestClient, path: str, status: int, message: str) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert message in response.json()["detail"]


def test_an_upload_is_searched_with_and_its_duplicate_left_out(
    client: TestClient, small_gallery: Gallery, tmp_path: Path
) -> None:
    data = small_gallery.picture_path(small_gallery.store.find("a/00005.png")[0]).read_bytes()
    status, ref = send(client, data, "größe 日本\u202e.png")
    assert status == 201
    answer = client.get("/api/search", params={"ref": ref, "text": TEXT, "k": 20}).json()
    item = small_gallery.store.find("a/00005.png")[0]
    expected = small_gallery.search(reference=item, text=TEXT, k=20).record()
    assert [r["id"] for r in answer["results"]] == [r["id"] for r in expected["results"]]
    shown = client.get(f"/uploads/{ref}")
    assert shown.headers["content-type"] == "image/jpeg"
    mirrored = client.get("/api/search", params={"ref": ref, "text": TEXT, "mirror": True}).json()
    assert mirrored["text"] == "Raise the right arm."
    assert {p.name for p in (tmp_path / "uploads").iterdir()} == {f"{ref}.jpg", f"{ref}.npz"}


def header_only_png(width: int, height: int) -> bytes:
    """A PNG that promises more pixels than anybody wants to decode."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("picture.png", b"\0" * 20_000_000)
    return buffer.getvalue()


def gif() -> bytes:
    buffer = io.BytesIO()
    picture(1).save(buffer, "GIF")
    return buffer.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
REFUSED = {
    "svg": (SVG, 415, "not a JPEG, PNG or WebP"),
    "html": (b"<html><script>alert(1)</script></html>", 415, "not a JPEG, PNG or WebP"),
    "empty": (b"", 415, "not a JPEG, PNG or WebP"),
    "zip bomb": (zip_bomb(), 415, "not a JPEG, PNG or WebP"),
    "gif": (gif(), 415, "not a JPEG, PNG or WebP"),
    "huge dimensions": (header_only_png(60_000, 60_000), 413, "more than 64,000,000"),
    "absurd dimensions": (header_only_png(2**31 - 1, 2**31 - 1), 413, "pixels"),
    "large dimensions": (header_only_png(10_000, 10_000), 413, "10000 x 10000 pixels"),
    "truncated": (png(size=(400, 400))[:-900], 415, "damaged"),
    "one pixel": (png(size=(1, 1)), 415, "only 1 x 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_uploads_that_are_no_pictures(client: TestClient, tmp_path: Path, name: str) -> None:
    data, status, message = REFUSED[name]
    got, detail = send(client, data)
    assert (got, message in detail) == (status, True), detail
    assert list((tmp_path / "uploads").iterdir()) == []


def test_uploads_that_are_too_long_are_stopped(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = upload_module.MAX_BYTES
    declared = client.post("/api/upload", content=b"x", headers={"content-length": str(limit + SMALL_BODY + 1)})
    assert declared.status_code == 413

    def stream() -> Iterator[bytes]:
        yield b"--b\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n"
        for _ in range(limit // (1 << 20) + 2):
            yield b"x" * (1 << 20)

    chunked = client.post("/api/upload", content=stream(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert chunked.status_code == 413 and "too large" in chunked.json()["detail"]
    assert client.get("/healthz").status_code == 200
    monkeypatch.setattr(upload_module, "MAX_BYTES", 100)
    assert send(client, png())[0] == 413


def test_uploads_lose_their_metadata_and_age(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    exif[0x0112] = 6
    buffer = io.BytesIO()
    picture(1, (60, 40)).save(buffer, "JPEG", exif=exif, comment=b"by me")
    _, ref = send(client, buffer.getvalue())
    kept = client.get(f"/uploads/{ref}").content
    assert b"taken at home" not in kept and b"by me" not in kept
    assert Image.open(io.BytesIO(kept)).size == (40, 60)
    monkeypatch.setattr(upload_module, "KEEP_SECONDS", -1)
    send(client, png())
    assert client.get(f"/uploads/{ref}").status_code == 404
    assert client.get("/api/search", params={"ref": ref}).status_code == 404


def test_pictures_are_served_without_metadata_and_only_by_id(client: TestClient, small_gallery: Gallery) -> None:
    item = small_gallery.store.find("a/00001.png")[0]
    thumb, large = client.get(f"/thumbs/{item.key}"), client.get(f"/pictures/{item.key}")
    assert (thumb.headers["content-type"], large.headers["content-type"]) == ("image/webp", "image/jpeg")
    again = client.get(f"/thumbs/{item.key}", headers={"if-none-match": thumb.headers["etag"]})
    assert again.status_code == 304 and "no-cache" in again.headers["cache-control"]
    for path in (
        "/thumbs/../gallery.json", "/thumbs/..%2f..%2fgallery.json", "/pictures/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/pictures/a/00001.png", "/uploads/..%2fg%2fgallery.json", "/static/../app.py", "/static/%2e%2e/app.py",
        "/static//etc/passwd", "/thumbs/" + item.digest,
    ):  # fmt: skip
        response = client.get(path)
        assert response.status_code == 404, path
        assert b"fingerprint" not in response.content and b"root:" not in response.content


def test_an_incomplete_thumbnail_is_not_served_but_made_again(client: TestClient, small_gallery: Gallery) -> None:
    item = small_gallery.store.find("a/00001.png")[0]
    path = thumb_path(small_gallery.folder, item.digest)
    whole = path.read_bytes()
    for rest in (b"", whole[:5], whole[:-20]):
        path.write_bytes(rest)
        assert Image.open(io.BytesIO(client.get(f"/thumbs/{item.key}").content)).size == (24, 24)
    write_thumb(small_gallery.folder, item.digest, thumb_bytes(small_gallery.open_picture(item)))
    assert path.read_bytes() == whole


def test_a_deleted_person_is_gone_from_a_running_server(client: TestClient, small_gallery: Gallery) -> None:
    item = small_gallery.store.find("a/00001.png")[0]
    paths = [r["path"] for r in client.get("/api/search", params={"text": TEXT, "k": 50}).json()["results"]]
    assert item.path in paths
    etag = client.get(f"/thumbs/{item.key}").headers["etag"]
    forget(small_gallery.folder, ["person=anna"])
    left = [r["path"] for r in client.get("/api/search", params={"text": TEXT, "k": 50}).json()["results"]]
    assert left == [path for path in paths if path != item.path]
    for path in (f"/thumbs/{item.key}", f"/pictures/{item.key}", f"/api/items/{item.key}"):
        assert client.get(path, headers={"if-none-match": etag}).status_code == 404


def test_a_picture_outside_the_folder_is_not_served(client: TestClient, small_gallery: Gallery, tmp_path: Path) -> None:
    item = small_gallery.store.find("a/00001.png")[0]
    file = small_gallery.picture_path(item)
    picture(7).save(tmp_path / "secret.png")
    file.unlink()
    file.symlink_to(tmp_path / "secret.png")
    response = client.get(f"/pictures/{item.key}")
    assert response.status_code == 503 and str(tmp_path) not in response.text


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/api/search?text=x", "/nothing", "/static/app.css", "/healthz", "/?k=abc"):
        headers = client.get(path).headers
        for name, value in HEADERS.items():
            assert headers[name] == value, path
        assert "cache-control" in headers


def test_the_page_escapes_and_needs_nothing_from_elsewhere(client: TestClient, small_gallery: Gallery) -> None:
    key = small_gallery.store.find("a/00001.png")[0].key
    hostile = '"><script>alert(1)</script>'
    for response in (
        client.get("/", params={"text": hostile, "ref": key, "trail": f"~{hostile}"}),
        client.get("/", params={"text": hostile, "ref": "f" * 15}),
        client.get("/understand", params={"text": hostile}),
        client.get("/", params={"k": hostile, "text": hostile}),
    ):
        assert "<script>alert" not in response.text
    for path in ("/", "/docs", f"/?ref={key}&text=Raise+the+left+arm"):
        page = client.get(path).text
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//', page) == []
        assert " style=" not in page and "<script>" not in page


def test_the_page_in_its_states(client: TestClient, small_gallery: Gallery) -> None:
    item = small_gallery.store.find("a/00001.png")[0]
    assert "Start from one of these" in client.get("/").text
    answered = client.get("/", params={"ref": item.key, "text": TEXT})
    assert answered.text.count('class="card"') == 11
    assert 'class="chip side-left"' in answered.text
    assert answered.headers["hx-push-url"] == f"/?ref={item.key}&text=Raise+the+left+arm."
    lost = client.get("/", params={"ref": "f" * 15, "text": TEXT})
    assert lost.status_code == 404 and "That did not work" in lost.text and TEXT in lost.text
    named = client.get("/", params={"ref": "images/lost.png", "text": TEXT})
    assert "<p>images/lost.png: " in named.text  # a path stays as it was written
    asked = {"ref": item.key, "text": "blue sky", "engine": "symbolic", "where": ["person=anna", "colour=red"]}
    kept = client.get("/", params=asked)  # the picture and the settings stay, but not what is wrong
    assert kept.status_code == 400 and "no such column" not in kept.text and "nothing was understood" in kept.text
    assert f'value="{item.key}"' in kept.text and f'src="/thumbs/{item.key}"' in kept.text
    assert '"symbolic" selected' in kept.text and '"person=anna" selected' in kept.text and "colour" not in kept.text
    assert client.get("/", params={"k": "many"}).status_code == 422
    nobody = client.get("/", params={"text": TEXT, "where": "person=carl"})
    assert "Nothing found" in nobody.text and "No picture passes these filters" in nobody.text
    assert "No body part" in client.get("/", params={"text": "blue sky"}).text


def test_an_empty_gallery_says_how_to_fill_it(small_gallery: Gallery, tmp_path: Path) -> None:
    forget(small_gallery.folder, [i.path for i in small_gallery.store.items()])
    with TestClient(create_app(small_gallery, tmp_path), "http://localhost") as client:
        assert "autocompose index PICTURES" in client.get("/").text
        assert client.get("/api/search", params={"text": TEXT}).json()["results"] == []
        assert "has no picture" in client.get("/", params={"text": TEXT}).text


def test_url_goes_on_and_back() -> None:
    params = SearchRequest(ref="a" * 15, text="first", like=["b" * 15], where=["person=anna"])
    assert params.url() == f"/?ref={'a' * 15}&text=first&where=person%3Danna&like={'b' * 15}"
    onward = params.onward("c" * 15)
    assert onward == f"/?ref={'c' * 15}&where=person%3Danna&trail={'a' * 15}~first"
    later = SearchRequest(ref="c" * 15, text="second", trail=["~", f"{'a' * 15}~first"])
    assert later.back_to(1) == f"/?ref={'a' * 15}&text=first&trail=~"
    assert later.back_to(0) == "/"
    assert SearchRequest(text=" a\n\tb\x00 ").text == "a b"


def test_other_names_for_this_server_are_refused(client: TestClient) -> None:
    for host in ("evil.example", "localhost.evil.example:80", "", "[::2]:8000"):
        assert client.get("/healthz", headers={"host": host}).status_code == 421, host
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "[::1]"):
        assert client.get("/healthz", headers={"host": host}).status_code == 200, host


def test_token(small_gallery: Gallery, tmp_path: Path) -> None:
    app = create_app(small_gallery, tmp_path, token="sesame", loopback=False)
    with TestClient(app, "http://gallery.example", follow_redirects=False) as client:
        assert client.get("/healthz").status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "autocompose_token=wrong; ;="}):
            for path in ("/api/search?text=x", "/thumbs/" + "0" * 15, "/metrics", "/?token=wrong"):
                assert client.get(path, headers=headers).status_code == 401
        assert client.get("/api/search?text=x", headers={"authorization": "Bearer sesame"}).status_code == 200
        login = client.get("/?token=sesame&text=x+y", headers={"accept": "text/html"})
        assert (login.status_code, login.headers["location"]) == (303, "/?text=x+y")
        assert "HttpOnly" in login.headers["set-cookie"] and "SameSite=Strict" in login.headers["set-cookie"]
        assert client.get("/api/search?text=x").status_code == 200


def test_rate_limit(small_gallery: Gallery, tmp_path: Path) -> None:
    with TestClient(create_app(small_gallery, tmp_path, rate=0.1), "http://localhost") as client:
        assert client.get("/api/search?text=x").status_code == 200
        refused = client.get("/api/search?text=x")
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        page = client.get("/?text=x", headers={"accept": "text/html"})
        assert page.status_code == 429 and 'id="app"' in page.text
        assert client.get("/healthz").status_code == 200


def test_rate_limit_against_the_clock() -> None:
    now = 0.0
    limit = RateLimit(2.0, lambda: now)
    assert [limit.wait("a") for _ in range(6)] == [0.0] * 6
    assert limit.wait("a") == pytest.approx(0.5)
    assert limit.wait("b") == 0
    now = 0.5
    assert limit.wait("a") == 0 and limit.wait("a") > 0
    now = 100.0
    assert sum(limit.wait("a") == 0 for _ in range(20)) == 6


def test_metrics_and_logs(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "autocompose.server"):
        client.get("/api/search", params={"text": "my secret pose"})
        client.get("/nothing%0A/fake")
    text = client.get("/metrics").text
    assert 'autocompose_requests_total{route="/api/search",status="200"} 1.0' in text
    assert "autocompose_gallery_items 12.0" in text and "autocompose_encoder_batch_size_bucket" in text
    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("GET /api/search 200") for line in lines)
    assert "secret" not in " ".join(lines)
    assert all("\n" not in line for line in lines)


def test_without_its_model_the_server_still_shows_similar_poses(small_gallery: Gallery, tmp_path: Path) -> None:
    gallery = Gallery.open(small_gallery.folder)
    key = gallery.store.sample(1)[0].key
    with TestClient(create_app(gallery, tmp_path), "http://localhost") as client:
        assert client.get("/api/search", params={"ref": key}).status_code == 200
        refused = client.get("/api/search", params={"ref": key, "text": TEXT})
        assert refused.status_code == 503 and str(tmp_path) not in refused.text
        assert send(client, png())[0] == 503


def test_the_model_is_warm_before_the_first_request(small_gallery: Gallery, tmp_path: Path) -> None:
    model = small_gallery.model
    assert isinstance(model, FakeModel)
    with TestClient(create_app(small_gallery, tmp_path), "http://localhost"):
        assert model.texts == 1 and model.pictures == 1


def test_the_server_starts_without_the_file_of_a_picture(small_gallery: Gallery, tmp_path: Path) -> None:
    for item in small_gallery.store.items():
        small_gallery.picture_path(item).unlink()
    with TestClient(create_app(small_gallery, tmp_path), "http://localhost") as client:
        assert len(client.get("/api/search", params={"text": TEXT, "k": 5}).json()["results"]) == 5
