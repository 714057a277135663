"""What the server refuses before it works: foreign sites, wrong tokens, slow and too many bodies."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from autocompose.core.errors import BusyError, ConfigError, GalleryError
from autocompose.gallery.answer import Reference
from autocompose.gallery.search import Gallery
from autocompose.gallery.server import app as app_module
from autocompose.gallery.server import uploads as upload_module
from autocompose.gallery.server.app import create_app
from autocompose.gallery.server.launch import ServerConfig
from autocompose.gallery.server.scratch import PREFIX, remove_left, scratch_folder
from autocompose.gallery.server.uploads import Uploads
from autocompose.web import guard as guard_module
from autocompose.web.guard import Guard, as_sentence
from autocompose.web.limits import Admission, HeavyWork, client_of
from tests.fixtures.corpora import picture
from tests.fixtures.odd_pictures import ODD_EXIF, mutations, saved, scan_bomb
from tests.gallery.fakes import FakeModel


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


@pytest.fixture
def client(small_gallery: Gallery, uploads: Path) -> Iterator[TestClient]:
    with TestClient(create_app(small_gallery, uploads), "http://localhost") as client:
        yield client


def send(client: TestClient, data: bytes, **headers: str) -> Any:
    return client.post("/api/upload", files={"file": ("x.jpg", data, "image/jpeg")}, headers=headers)


PNG = saved(picture(9), "PNG")


# -- whose page sends it


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://evil-localhost"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://localhost:8001"},
        {"origin": "https://localhost"},
        {"origin": "null"},
        {"origin": "http://localhost:port"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost"},
    ],
)
def test_other_sites_cannot_upload_even_without_a_token(
    client: TestClient, uploads: Path, headers: dict[str, str]
) -> None:
    assert send(client, PNG, **headers).status_code == 403
    assert not list(uploads.iterdir())
    assert client.get("/api/search?text=x", headers=headers).status_code == 200  # they cannot read the answer


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "http://localhost"}, {"origin": "http://LOCALHOST:80"}, {"sec-fetch-site": "same-origin"}],
)
def test_the_own_page_and_programs_can(client: TestClient, headers: dict[str, str]) -> None:
    assert send(client, PNG, **headers).status_code == 201


# -- the token


@pytest.mark.parametrize("token", ["plain-1", "two;parts", "two parts", 'a"b', "Bäume", "пароль", "50%+x", "a,b=c\\"])
def test_every_token_that_is_accepted_opens(small_gallery: Gallery, uploads: Path, token: str) -> None:
    ServerConfig(gallery="g", token=token)
    with TestClient(create_app(small_gallery, uploads, token=token), "http://localhost") as client:
        assert client.get("/").status_code == 401
        login = client.get("/", params={"token": token, "text": "x y"}, follow_redirects=False)
        assert (login.status_code, login.headers["location"]) == (303, "/?text=x+y")
        assert client.get("/").status_code == 200  # by its cookie
        cookie = login.headers["set-cookie"].partition(";")[0]
        client.cookies.clear()
        assert client.get("/", headers={"cookie": f"odd[name]=1; ;=; x; {cookie}"}).status_code == 200
        encodings = {"utf-8", "latin-1" if token.isascii() or token == "Bäume" else "utf-8"}
        for secret in (token.encode(encoding) for encoding in encodings):
            assert client.get("/api/understand", headers={"authorization": b"bearer " + secret}).status_code == 200
        assert client.get("/api/understand", headers={"authorization": b"Basic " + token.encode()}).status_code == 401


@pytest.mark.parametrize("token", ["50%+x", "a+b", "a;b", "Bäume", "100%"])
def test_an_address_typed_by_hand_opens_too(small_gallery: Gallery, uploads: Path, token: str) -> None:
    """Browsers pass on plus signs and odd percent signs as they are."""
    spelt = quote(token, safe="+%;")
    with TestClient(create_app(small_gallery, uploads, token=token), "http://localhost") as client:
        login = client.get(f"/?token={spelt}&text=x+y", follow_redirects=False)
        assert (login.status_code, login.headers["location"]) == (303, "/?text=x+y")
        client.cookies.clear()
        assert client.get(f"/?token={spelt}x").status_code == 401


@pytest.mark.parametrize("token", [" a", "a ", "a\nb", "a\0", "\udcff", "\t"])
def test_tokens_that_could_lock_out_are_refused_at_the_start(token: str) -> None:
    with pytest.raises(ConfigError, match=r"the token .*; choose another one"):
        ServerConfig.parse({"gallery": "g", "token": token})


def test_wrong_tokens_are_counted(small_gallery: Gallery, uploads: Path) -> None:
    with TestClient(create_app(small_gallery, uploads, token="right"), "http://localhost") as client:
        codes = [client.get("/metrics", headers={"authorization": f"Bearer {i}"}).status_code for i in range(14)]
        assert codes == [401] * 10 + [429] * 4
        refused = client.get("/", params={"token": "right"})  # or guessing would go on
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert client.get("/").status_code == 401 and client.get("/healthz").status_code == 200


# -- how much, how long


def test_a_body_that_comes_too_slowly_is_given_up(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "STALL_SECONDS", 0.05)
    sent: list[dict[str, Any]] = []

    async def stalled() -> dict[str, Any]:
        await asyncio.sleep(0 if not sent and not stalled.calls else 30)  # type: ignore[attr-defined]
        stalled.calls += 1  # type: ignore[attr-defined]
        return {"type": "http.request", "body": b"--b\r\n", "more_body": True}

    stalled.calls = 0  # type: ignore[attr-defined]
    scope = {
        "type": "http", "method": "POST", "path": "/api/upload", "raw_path": b"/api/upload", "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=b")],
        "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
        "root_path": "", "asgi": {"version": "3.0"}, "state": {}, "app": client.app,
    }  # fmt: skip

    async def note(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(client.app(scope, stalled, note))  # type: ignore[arg-type]
    assert sent[0]["status"] == 408 and (b"connection", b"close") in sent[0]["headers"]
    assert b"too slowly" in sent[1]["body"] and len(sent) == 2


def test_only_so_many_bodies_and_bytes_come_in_at_once() -> None:
    door = Admission(bodies=4, total=1000)
    with door.enter("a", 10), door.enter("a", 10):
        with pytest.raises(BusyError):
            door.enter("a", 10).__enter__()  # one client has half of the places
        with door.enter("b", 980), pytest.raises(BusyError):
            door.enter("c", 10).__enter__()
    for client in "abc":
        with door.enter(client, 2000):  # alone it may
            pass


def test_heavy_work_has_a_short_queue() -> None:
    async def crowd() -> tuple[list[Any], float]:
        work, busy = HeavyWork(1, 2, patience=0.2), threading.Event()
        first = asyncio.create_task(work.run(lambda: busy.wait(5)))
        await asyncio.sleep(0.05)
        start = time.perf_counter()
        others = await asyncio.gather(*(work.run(lambda: 1) for _ in range(5)), return_exceptions=True)
        waited = time.perf_counter() - start
        busy.set()
        await first
        assert await work.run(lambda: 2) == 2
        work.close()
        return others, waited

    others, waited = asyncio.run(crowd())
    assert all(isinstance(other, BusyError) for other in others) and waited < 3


def test_what_is_busy_is_said_with_a_time(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise BusyError("try again in a moment")

    monkeypatch.setattr(upload_module, "decode", busy)
    answer = send(client, PNG)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "5" and "try again" in answer.text


def test_clients_are_counted_by_their_network() -> None:
    assert client_of("192.0.2.7") == "192.0.2.7" != client_of("192.0.2.8")
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1") != client_of("2001:db8:0:1::1")
    assert len(client_of("x" * 9999)) == 100


def test_a_trusted_proxy_tells_who_asks(small_gallery: Gallery, uploads: Path) -> None:
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    given = ["1.1.1.1, 9.9.9.1", "1.1.1.1, 9.9.9.2", "2.2.2.2, 9.9.9.2"]  # clients may add what they like in front
    for trusted, codes in ((["testclient"], [200, 200, 429]), (["10.0.0.1"], [200, 429, 429])):
        gallery = Gallery.open(small_gallery.folder, FakeModel())
        app = ProxyHeadersMiddleware(create_app(gallery, uploads, rate=0.01), trusted)  # type: ignore[arg-type]
        with TestClient(app, "http://localhost") as client:  # type: ignore[arg-type]
            answers = [client.get("/api/search?text=x", headers={"x-forwarded-for": value}) for value in given]
            assert [answer.status_code for answer in answers] == codes
    for proxy in ("*", "proxy.example", "10.0.0.1/8"):
        with pytest.raises(ConfigError, match="expected an address or network"):
            ServerConfig.parse({"gallery": "g", "trusted_proxy": (proxy,)})
    ServerConfig.parse({"gallery": "g", "trusted_proxy": ("10.0.0.0/8", "::1")})


def test_head_is_get_without_the_body(client: TestClient, small_gallery: Gallery) -> None:
    item = small_gallery.store.sample(1)[0]
    for path in ("/", "/healthz", f"/thumbs/{item.key}", "/static/app.css", "/api/search?text=x"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"") and head.headers["content-type"] == get.headers[
            "content-type"
        ]
    assert client.head("/nothing").status_code == 404


def test_the_address_is_one_that_browsers_take() -> None:
    assert ServerConfig(gallery="g", host="::1").address == "http://[::1]:8000/"
    assert ServerConfig(gallery="g", host="0.0.0.0", port=1).address == "http://0.0.0.0:1/"


# -- references by their path


def test_a_reference_may_be_named_by_its_path(client: TestClient, small_gallery: Gallery) -> None:
    item = small_gallery.store.find("a/00005.png")[0]
    by_path, by_id = (
        client.get("/api/search", params={"ref": ref, "text": "sit"}).json() for ref in ("a/00005.png", item.key)
    )
    assert by_path["results"] == by_id["results"] and by_path["reference"]["id"] == item.key
    page = client.get("/", params={"ref": "a/00005.png", "text": "sit"})
    assert page.status_code == 200 and f'src="/thumbs/{item.key}"' in page.text and "a%2F00005" not in page.text
    kept = client.get("/", params={"ref": "a/00005.png", "text": "x", "where": "colour=red"})
    assert kept.status_code == 400 and f'value="{item.key}"' in kept.text
    outside = str(small_gallery.picture_path(item))
    for ref in ("none.png", "../photos/a/00005.png", outside, "u-1", "a/00005.png ", "%"):
        answer = client.get("/api/search", params={"ref": ref})
        assert answer.status_code == 404 and "no picture of this gallery" in answer.json()["detail"], ref
        assert client.get("/", params={"ref": ref, "text": "x"}).status_code == 404


# -- pictures that attack


def test_odd_and_hostile_uploads_are_taken_or_refused_but_never_an_error(client: TestClient) -> None:
    for exif, _ in ODD_EXIF.values():
        assert send(client, saved(picture(1), "JPEG", exif=exif)).status_code == 201
    deep = Image.fromarray((np.arange(1600).reshape(40, 40) * 40).astype(np.uint16))
    assert send(client, saved(deep, "PNG")).status_code == 201
    start = time.process_time()
    bomb = send(client, scan_bomb(600, (1200, 900)))
    assert bomb.status_code == 413 and "scans" in bomb.text and time.process_time() - start < 5
    damaged = mutations([saved(picture(1), "JPEG", progressive=True), PNG, saved(picture(2), "WEBP")], 150)
    assert {send(client, data).status_code for data in damaged} <= {201, 413, 415}


def test_uploads_at_the_same_time_do_not_trip_over_each_other(uploads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_module, "KEEP_FILES", 3)
    kept, model = Uploads(uploads), FakeModel()

    def outside(picture: Image.Image, digest: str) -> Reference:
        return Reference(lambda: picture, digest=digest, size=picture.size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: kept.add(PNG, model, outside), range(60)))
    kept.tidy()
    assert len(list(uploads.glob("*.jpg"))) == len(list(uploads.glob("*.npz"))) == 3


def test_uploads_end_after_an_hour_by_themselves_with_all_that_belongs_to_them(
    small_gallery: Gallery, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "TIDY_SECONDS", 0.05)
    hour = time.time() - 3601
    names = [f"u-{'0' * 32}.npz", f".u-{'1' * 32}.jpg.abcdef.part", f"u-{'2' * 32}.jpg", f"u-{'2' * 32}.npz"]
    for name in [*names, "mine.txt"]:
        (uploads / name).write_bytes(b"x")
        os.utime(uploads / name, (hour, hour))
    with TestClient(create_app(small_gallery, uploads), "http://localhost") as client:
        assert client.get(f"/uploads/u-{'2' * 32}").status_code == 404
        ref = send(client, PNG).json()["ref"]
        deadline = time.monotonic() + 10
        while len(list(uploads.iterdir())) > 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert {p.name for p in uploads.iterdir()} == {"mine.txt", f"{ref}.jpg", f"{ref}.npz"}
        os.utime(uploads / f"{ref}.jpg", (hour, hour))  # old enough, whether it has been deleted or not
        assert client.get(f"/uploads/{ref}").status_code == 404


def test_what_a_killed_server_has_left_is_deleted_but_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, foreign = tmp_path / f"{PREFIX}dead", tmp_path / f"{PREFIX}mine"
    for folder in (dead, foreign):
        (folder / "uploads").mkdir(parents=True)
    (dead / "lock").touch()
    with scratch_folder() as running:
        assert not dead.exists() and foreign.exists() and running.stat().st_mode & 0o77 == 0
        remove_left(tmp_path)  # another server starts
        assert running.exists()
    assert not running.exists() and [p.name for p in tmp_path.iterdir()] == [foreign.name]


# -- a gallery that cannot answer


def test_the_error_page_asks_nothing_of_a_broken_gallery(
    client: TestClient, small_gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise GalleryError("items.sqlite: damaged or locked")

    monkeypatch.setattr(small_gallery.store, "_rows", broken)
    for path in ("/", "/?text=sit", "/?where=a=b", "/?k=many", "/?ref=x.png", "/api/search?text=sit", "/healthz"):
        answer = client.get(path)
        assert answer.status_code in (422, 503), path
        assert "sqlite" not in answer.text
        assert answer.status_code == 422 or answer.headers["retry-after"]
    assert "That did not work" in client.get("/").text


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("the request is too large", "The request is too large."),
        ("images/a.png: no picture has that path", "images/a.png: no picture has that path."),
        ("photo: no picture has that path", "photo: no picture has that path."),
        ("", "."),
    ],
)
def test_messages_become_sentences_and_names_stay(message: str, shown: str) -> None:
    assert as_sentence(message) == shown


def test_the_guard_keeps_other_protocols_and_its_own_policy() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"SAMEORIGIN")]})
        await send({"type": "http.response.body", "body": json.dumps(scope["method"]).encode()})

    client = TestClient(Guard(application, headers={"x-frame-options": "DENY", "x-own": "1"}))
    answer = client.get("/")
    assert (answer.json(), answer.headers["x-own"], answer.headers["x-frame-options"]) == ("GET", "1", "SAMEORIGIN")
