"""Pictures elsewhere: the memory of this process, and an archive, as stand-ins for object stores."""

from __future__ import annotations

import hashlib
import logging
import pickle
import zipfile
from pathlib import Path

import fsspec
import pytest

from autocompose.core.errors import InputError
from autocompose.corpus.pictures import folder as module
from autocompose.corpus.pictures.folder import PictureFolder, below, is_address


@pytest.fixture
def bucket() -> PictureFolder:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pipe({"/bucket/a/1.png": b"one", "/bucket/2.png": b"two!", "/elsewhere/3.png": b"3"})
    return PictureFolder("memory://bucket")


def test_addresses() -> None:
    assert (
        is_address("s3://b") and is_address("zip://::a.zip") and not is_address("b") and not is_address(Path("s3:/b"))
    )
    assert below("s3://b/c", "images") == "s3://b/c/images" == below("s3://b/c/", "images")
    assert below("zip://::/x/y.zip", "images") == "zip://images::/x/y.zip"
    assert below("zip://a::s3://b/c.zip", "images") == "zip://a/images::s3://b/c.zip"


def test_files_are_listed_and_read(bucket: PictureFolder) -> None:
    entries = dict(bucket.entries())
    assert {name: entry.size for name, entry in entries.items()} == {"2.png": 4, "a/1.png": 3}
    assert all(0 <= entry.stamp < 1 << 60 for entry in entries.values())
    stamp, fs = entries["2.png"].stamp, fsspec.filesystem("memory")
    fs.pipe_file("/bucket/2.png", b"two?")  # as long as before
    assert dict(bucket.entries())["2.png"].stamp != stamp
    assert bucket.content("a/1.png") == b"one" and bucket.digest("2.png") == hashlib.sha256(b"two?").hexdigest()
    assert pickle.loads(pickle.dumps(bucket)).content("2.png") == b"two?"
    with pytest.raises(OSError, match="No such file"):
        bucket.content("none.png")
    with pytest.raises(InputError, match="only their thumbnails are on this machine"):
        _ = bucket.path


def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    def stamps(text: str) -> dict[str, int]:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("p/1.png", "same")
            archive.writestr("p/2.png", text)
        folder = PictureFolder(f"zip://p::{tmp_path}/a.zip")
        return {name: entry.stamp for name, entry in folder.entries()}

    before, after = stamps("here"), stamps("gone")
    assert before["2.png"] != after["2.png"] and before["1.png"] == after["1.png"]


def test_pictures_are_known_by_their_endings() -> None:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pipe({f"/b/{name}": b"x" for name in ("a.JPG", "b.txt", "c.mp4", ".d/e.png", "f.psb", "g.ts")})
    found = {name: fault for name, _, fault in PictureFolder("memory://b").pictures()}
    assert found.keys() == {"a.JPG", "c.mp4", "f.psb"} and found["a.JPG"] == ""
    assert "must be on this machine" in found["c.mp4"] and "not read" in found["f.psb"]


def test_what_is_not_there_is_one_line(bucket: PictureFolder) -> None:
    with pytest.raises(InputError, match="memory://none: folder not found"):
        list(PictureFolder("memory://none").entries())
    with pytest.raises(InputError, match="nosuch://x: cannot be opened"):
        list(PictureFolder("nosuch://x").entries())
    with pytest.raises(InputError, match=r"zip://::.*: cannot be opened"):
        list(PictureFolder("zip://::/none/a.zip").entries())


@pytest.mark.parametrize(("failures", "works"), [(3, True), (4, False)])
def test_reading_is_tried_again(
    bucket: PictureFolder, monkeypatch: pytest.MonkeyPatch, failures: int, works: bool
) -> None:
    monkeypatch.setattr(module, "WAIT", 0.0)
    fs, _ = bucket._store
    calls = 0
    real = fs.cat_file

    def flaky(*arguments: object) -> bytes:
        nonlocal calls
        calls += 1
        if calls <= failures:
            raise TimeoutError("the store is busy")
        data: bytes = real(*arguments)
        return data

    monkeypatch.setattr(fs, "cat_file", flaky)
    if works:
        assert bucket.content("2.png") == b"two!"
    else:
        with pytest.raises(OSError, match="TimeoutError: the store is busy"):
            bucket.content("2.png")


def test_files_are_fetched(bucket: PictureFolder, tmp_path: Path) -> None:
    bucket.fetch(["2.png", "a/1.png", "none.csv"], tmp_path)
    assert (tmp_path / "a/1.png").read_bytes() == b"one" and not (tmp_path / "none.csv").exists()


def test_no_range_is_asked_for(bucket: PictureFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 refuses one of an empty file, and s3fs 2026.9 misreads one that begins at 0."""
    fs, _ = bucket._store
    fs.pipe_file("/bucket/empty.csv", b"")
    real = fs.cat_file

    def strict(path: str, start: int | None = None, end: int | None = None) -> bytes:
        if start is not None or end is not None:
            raise OSError(22, "The requested range is not satisfiable")
        data: bytes = real(path)
        return data

    monkeypatch.setattr(fs, "cat_file", strict)
    assert bucket.content("2.png") == b"two!" and bucket.content("empty.csv") == b""


def test_a_huge_side_file_is_not_fetched(
    bucket: PictureFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 3)
    with pytest.raises(InputError, match=r"2\.png: 4 bytes, more than 3"):
        bucket.fetch(["a/1.png", "2.png"], tmp_path)


def test_a_stores_own_reports_do_not_reach_the_screen(bucket: PictureFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert bucket.is_there()
    logger = logging.getLogger(type(bucket._store[0]).__module__.partition(".")[0])
    logger.propagate = False  # pytest listens at the root
    try:
        logger.error("Traceback (most recent call last)")
    finally:
        logger.propagate = True
    assert capfd.readouterr().err == ""
