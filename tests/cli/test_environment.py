"""Odd environments: no docstrings, a full disk, a private umask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from autocompose.cli.app import restore_help, run
from autocompose.core.errors import StorageError
from tests.gallery.fakes import photos


def program(*arguments: object, python: tuple[str, ...] = (), before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{before}\nfrom autocompose.cli import main\nmain()"
    line = [sys.executable, *python, "-c", code, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "120"})


def test_help_is_there_without_docstrings() -> None:
    done = program("--help", python=("-OO",))
    assert done.returncode == 0
    assert "Check a corpus" in done.stdout and "Index a folder" in done.stdout
    inner = program("prepare", "--help", python=("-OO",))
    assert "Motion capture in BVH files" in inner.stdout


def test_help_that_is_there_stays() -> None:
    app = typer.Typer()

    @app.command(help="told")
    def verb() -> None:
        """Docstring."""

    verb.__doc__ = None
    restore_help(app)
    assert app.registered_commands[0].help == "told"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="limits of a process")
@pytest.mark.parametrize("kilobytes", [8, 60, 150])
def test_a_disk_that_fills_up_is_one_line_and_the_next_run_goes_on(tmp_path: Path, kilobytes: int) -> None:
    """The file size limit of a process stands for the full disk."""
    root, out = photos(tmp_path / "photos", 80), tmp_path / "g"
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes}000, {kilobytes}000))"
    )
    full = program("index", root, out, "--model", "small", before=limit)
    assert full.returncode == 2 and "Traceback" not in full.stderr
    assert full.stderr.count("\n") == 1 and "cannot be written" in full.stderr
    again = program("index", root, out, "--model", "small")
    assert again.returncode == 0 and "80 kept" in again.stderr


@pytest.mark.parametrize("kind", [OSError(28, "No space left on device", "x.tmp"), StorageError("x.tmp: full")])
def test_a_full_disk_anywhere_is_one_line(
    kind: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise kind

    monkeypatch.setattr(sys.modules[run.__module__], "app", full)
    assert run(["x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("autocompose: x.tmp: ")
    with pytest.raises(type(kind)):
        run(["x", "--debug"])


WINDOWS = """
import importlib, os, pkgutil, sys, types
import accelerate, faiss, fastapi, filelock, numba, open_clip, platformdirs, scipy.spatial, torch, torchvision
GONE = ("O_NONBLOCK", "getuid", "geteuid", "killpg", "setsid", "fork", "sysconf", "sysconf_names", "statvfs",
        "sched_getaffinity", "set_blocking", "mkfifo", "fchmod")
class Os(types.ModuleType):
    def __getattr__(self, name):
        if name in GONE:
            raise AttributeError(name)
        return getattr(os, name)
real = {name: sys.modules.get(name) for name in ("os", "fcntl", "resource", "pwd", "grp", "termios")}
sys.modules.update(dict.fromkeys(real), os=Os("os"))
import autocompose
for module in pkgutil.walk_packages(autocompose.__path__, "autocompose."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
sys.modules.update({name: module for name, module in real.items() if module})  # others may go on with them
"""


@pytest.mark.slow
def test_nothing_that_only_unix_has_is_needed_to_index_and_search(tmp_path: Path) -> None:
    """Stands for Windows: its Python has neither these modules nor these functions."""
    root, out = photos(tmp_path / "photos", 3), tmp_path / "g"
    for arguments in (["index", root, out, "--model", "small"], ["search", out, "--text", "sit"], ["doctor"]):
        done = program(*arguments, before=WINDOWS)
        assert done.returncode == 0, done.stderr
