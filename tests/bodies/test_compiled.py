"""Where compiled loops lie; with nowhere to put them they still run."""

from __future__ import annotations

from pathlib import Path

import numba
import pytest

from autocompose.bodies import compiled as module
from autocompose.bodies.compiled import compiled


def double(x: int) -> int:
    return 2 * x


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    return tmp_path / "autocompose/numba"


def test_a_read_only_package_uses_the_cache_folder(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module._kept

    def no_place_beside(function):
        if str(cache_dir) != numba.config.CACHE_DIR:
            raise RuntimeError("cannot cache function: no locator available")
        return real(function)

    monkeypatch.setattr(module, "_kept", no_place_beside)
    assert compiled(double)(4) == 8
    assert list(cache_dir.rglob("*.nbc"))


def test_without_any_place_it_is_compiled_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "autocompose").touch()

    def nowhere(_):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(module, "_kept", nowhere)
    assert compiled(double)(4) == 8
