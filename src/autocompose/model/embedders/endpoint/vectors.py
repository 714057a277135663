"""The body of an embeddings answer -> vectors. Nothing in it is taken for granted."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np


class BadVectorsError(ValueError):
    """The answer does not hold the vectors that were asked for; the message says why."""


def read_vectors(answer: Any, count: int) -> np.ndarray:
    """``(count, D)`` float32, in the order of the inputs, which ``index`` tells.

    A vector is a list of numbers, or base64 of little-endian float32 (OpenAI's ``encoding_format``).

    :param answer: decoded JSON of any shape.
    :raises BadVectorsError: another number of vectors, different lengths, values that are not finite, or zero vectors.
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        said = answer.get("error") if isinstance(answer, dict) else answer
        raise BadVectorsError(f"no list of vectors: {str(said)[:200]}")
    if len(data) != count:
        raise BadVectorsError(f"{len(data)} vectors for {count} inputs")
    rows: list[np.ndarray | None] = [None] * count
    for place, entry in enumerate(data):
        index = entry.get("index", place) if isinstance(entry, dict) else None
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count or rows[index] is not None:
            raise BadVectorsError(f"entry {place} has the index {str(index)[:40]}")
        rows[index] = _vector(entry.get("embedding"), place)
    if len({len(row) for row in rows if row is not None}) != 1:
        raise BadVectorsError(f"vectors of different lengths: {sorted({len(r) for r in rows if r is not None})}")
    return np.stack([row for row in rows if row is not None])


def _vector(value: Any, place: int) -> np.ndarray:
    try:
        if isinstance(value, str):
            vector = np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
        else:
            vector = np.asarray(value, np.float32)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise BadVectorsError(f"entry {place} is neither a list of numbers nor base64 of float32") from None
    if vector.ndim != 1 or not len(vector):
        raise BadVectorsError(f"entry {place} is not one vector (shape {vector.shape})")
    if not np.isfinite(vector).all():
        raise BadVectorsError(f"entry {place} holds values that are not finite")
    if not vector.any():
        raise BadVectorsError(f"entry {place} is a zero vector")
    return vector


def read_tokens(answer: Any) -> int:
    """Tokens that the server counted; 0 when it does not, or counts nonsense."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 10**9 else 0
