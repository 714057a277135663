from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocompose.core.errors import InputError, StorageError
from autocompose.core.files import atomic_file, clear_parts, file_hash, read_json, write_json, write_npz


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a/b.txt"
    with atomic_file(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    with pytest.raises(ValueError, match="stop"), atomic_file(path) as file:
        file.write(b"two")
        raise ValueError("stop")
    assert path.read_bytes() == b"one" and [p.name for p in path.parent.iterdir()] == ["b.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "x.json"
    write_json(path, [1])

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StorageError, match=r"x\.json: cannot be written \(No space left on device\); free space"):
        write_json(path, [2])
    monkeypatch.undo()
    assert read_json(path) == [1] and [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        write_json(tmp_path / "file" / "x.json", 1)


def test_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    script = (
        "import os, sys; from pathlib import Path; from autocompose.core.files import atomic_file\n"
        f"with atomic_file(Path({str(path)!r})) as f:\n    f.write(b'new'); f.flush(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert path.read_bytes() == b"old"


def test_json_errors_say_where(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(InputError, match="file not found"):
        read_json(path)
    path.write_text('{\n "a": }')
    with pytest.raises(InputError, match="not valid JSON at line 2, column 7"):
        read_json(path)
    path.write_bytes(b'"\xe9"')
    with pytest.raises(InputError, match="not UTF-8 at byte 1"):
        read_json(path)
    write_json(path, {"é": "हाथ"})
    assert "हाथ" in path.read_text("utf-8") and json.loads(path.read_text("utf-8")) == {"é": "हाथ"}


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    arrays = {"a": np.arange(5), "b": np.array(["x", "yz"])}
    for name in ("one", "two"):
        write_npz(tmp_path / name, arrays)
    assert file_hash(tmp_path / "one") == file_hash(tmp_path / "two")


def test_names_that_are_not_utf8_survive_in_json(tmp_path: Path) -> None:
    """As the operating system gives them; the file itself is sound UTF-8 and JSON."""
    value = {"caf\udce9": ["caf\udce9", "caf\u00e9", "\\udce9"]}
    write_json(tmp_path / "a.json", value)
    assert "caf\\udce9" in (tmp_path / "a.json").read_text("utf-8")
    assert read_json(tmp_path / "a.json") == value


@pytest.mark.skipif(os.name == "nt", reason="file modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "x.json", 1)
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.name == "nt", reason="file modes")
def test_a_private_file_stays_private(tmp_path: Path) -> None:
    (tmp_path / "x.json").touch(0o600)
    write_json(tmp_path / "x.json", 1)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o600


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    write_json(tmp_path / ("ü" * 120 + ".json"), 1)  # 245 bytes: there is no room for a longer one beside it


def test_only_our_half_written_files_are_removed(tmp_path: Path) -> None:
    for name in (".download.part", ".x.json.abcdefgh.part", f".x.json.{'0' * 16}.part"):
        (tmp_path / name).touch()
    clear_parts(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".download.part", ".x.json.abcdefgh.part"]


def test_an_unreadable_source_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source"), atomic_file(tmp_path / "x.bin") as file:
        file.write((tmp_path / "source").read_bytes())
    assert not list(tmp_path.iterdir())
