from __future__ import annotations

from pathlib import Path

import pytest

from autocompose.corpus.walk import picture_fault, walk
from tests.fixtures.corpora import picture
from tests.fixtures.permissions import closed

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
RAW = {"orf": b"IIRO\x08\0", "rw2": b"IIU\0\x18", "raf": b"FUJIFILMCCD-RAW ", "cr2": b"II*\0\x10\0\0\0CR\2\0"}


@pytest.mark.parametrize("name", ["a.JFIF", "a.jpe", "a.jif", "a.pjpeg", "a.mpo", "a.jpg_large", "a", "a.jpg.download"])
def test_jpegs_under_any_name_are_pictures(tmp_path: Path, name: str) -> None:
    picture(1).save(tmp_path / name, "JPEG")
    assert picture_fault(tmp_path / name) == ""


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_other_pictures_without_an_ending_are_too(tmp_path: Path, kind: str) -> None:
    picture(1).save(tmp_path / "a", kind)
    assert picture_fault(tmp_path / "a") == ""


@pytest.mark.parametrize("name", ["a.orf", "A.RW2", "a.raf", "a.svg", "a.tga", "a.psd", "a.jxl"])
def test_pictures_that_are_not_read_say_so(tmp_path: Path, name: str) -> None:
    assert "not read" in (picture_fault(tmp_path / name) or "")


@pytest.mark.parametrize("kind", RAW)
def test_raw_pictures_without_their_ending_too(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(RAW[kind] * 8)
    assert "not read" in (picture_fault(tmp_path / "a") or "")


@pytest.mark.parametrize("content", [b"", b"BM is how this note begins", b"hello", b"<html>", b"{}", b"\0" * 64])
def test_other_files_are_no_pictures(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes").write_bytes(content)
    assert picture_fault(tmp_path / "notes") is None
    assert picture_fault(tmp_path / "none.txt") is None


def test_a_walk_goes_on_past_closed_folders(tmp_path: Path) -> None:
    for name in ("a/1", "b/2", "c/d/3", "c/4", ".hidden/5", "own/6", ".7"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    blocked: list[Path] = []
    with closed(tmp_path / "b", tmp_path / "c/d"):
        files = list(walk(tmp_path, lambda folder, _: blocked.append(folder), lambda folder: folder.name != "own"))
    assert [path.relative_to(tmp_path).as_posix() for path in files] == ["link", "a/1", "c/4"]
    assert blocked == [tmp_path / "b", tmp_path / "c/d"]
