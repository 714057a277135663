"""Loops compiled by numba and cached between runs where possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

from autocompose.core.cache import writable_cache
from autocompose.core.errors import StorageError

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``numba.njit`` whose machine code is cached beside the package or, where that is read-only, in the user's cache.

    If neither is writable, every process compiles it again, for some seconds each.
    """
    try:
        return _kept(function)
    except RuntimeError:  # numba's word for a place that it cannot find
        try:
            numba.config.CACHE_DIR = str(writable_cache() / "numba")  # type: ignore[attr-defined]
            return _kept(function)
        except (RuntimeError, StorageError):
            return numba.njit(function)  # type: ignore[return-value]


def _kept(function: F) -> F:
    return numba.njit(cache=True)(function)  # type: ignore[return-value]
