"""Files that have changed are seen, whatever they keep."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from autocompose.core import fingerprint
from autocompose.core.files import file_hash
from autocompose.core.fingerprint import MEMO, Contents, files_below


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []

    def counting(path: Path) -> str:
        read.append(path)
        return file_hash(path)

    monkeypatch.setattr(fingerprint, "file_hash", counting)
    return read


def remember(folder: Path, path: Path) -> str:
    contents = Contents(folder)
    (found,) = contents.of([path])
    contents.save()
    return found


def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock run on, so that files are no longer fresh."""
    now = time.time_ns() + 10**10
    monkeypatch.setattr(fingerprint.time, "time_ns", lambda: now)


def test_an_unchanged_file_is_read_once(tmp_path: Path, counted: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bvh"
    path.write_text("one")
    aged(monkeypatch)
    assert remember(tmp_path, path) == remember(tmp_path, path) == file_hash(path)
    assert len(counted) == 1


def test_a_fresh_file_is_read_again(tmp_path: Path, counted: list[Path]) -> None:
    path = tmp_path / "a.bvh"
    path.write_text("one")
    remember(tmp_path, path)
    remember(tmp_path, path)
    assert len(counted) == 2, "it may have changed within the tick of the clock"


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bvh"
    path.write_text("one")
    os.utime(path, ns=(10**18, 10**18))
    aged(monkeypatch)
    before = remember(tmp_path, path)
    path.write_text("two")
    os.utime(path, ns=(10**18, 10**18))
    assert remember(tmp_path, path) != before


def test_a_touched_file_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text("one")
    before = remember(tmp_path, path)
    os.utime(path, ns=(10**18, 10**18))
    assert remember(tmp_path, path) == before


def test_a_large_file_is_known_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "WHOLE", 2)
    path = tmp_path / "a.mp4"
    path.write_text("one")
    before = remember(tmp_path, path)
    os.utime(path, ns=(10**18, 10**18))
    assert remember(tmp_path, path) != before


def test_a_missing_file_has_a_reason_and_a_repaired_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    assert remember(tmp_path, path).startswith("unreadable: No such file")
    path.write_text("one")
    assert remember(tmp_path, path) == file_hash(path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": [1, 2]}'])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / MEMO).write_text(text)
    assert remember(tmp_path, tmp_path / "a") == file_hash(tmp_path / "a")


def test_files_of_two_folders_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("raw/a/x.npz", "raw/b/x.npz", "amass/x.npz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(files_below([tmp_path / "raw", tmp_path / "amass"])) == ["raw/a/x.npz", "raw/b/x.npz", "amass/x.npz"]
