"""Pictures that look almost the same: a perceptual hash and a search for near-duplicates between two sets."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE, KEPT = 64, 16  # the picture is shrunk to SIDE^2, of its cosine transform the KEPT^2 lowest frequencies count
BITS = KEPT * KEPT
NEAR = 20  # differing bits of 256 up to which two pictures count as near-duplicates
_COUNT = np.array([bin(i).count("1") for i in range(256)], np.uint8)


class Near(NamedTuple):
    """Row of the first set, row of the second, differing bits."""

    one: int
    other: int
    bits: int


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """The lowest frequencies of the discrete cosine transform, ``(KEPT, SIDE)``, the constant one left out."""
    k, x = np.arange(1, KEPT + 1)[:, None], np.arange(SIDE)[None]
    return np.cos(np.pi * k * (2 * x + 1) / (2 * SIDE))


def perceptual_hash(image: Image.Image) -> np.ndarray:
    """256 bits as ``(32,)`` uint8: which low frequencies of the grey picture are above their median (pHash)."""
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR), float)
    low = _cosines() @ grey @ _cosines().T
    return np.packbits(low > np.median(low))


def near_duplicates(one: np.ndarray, other: np.ndarray, max_bits: int = NEAR) -> list[Near]:
    """For each hash of ``one`` its nearest in ``other``, where at most ``max_bits`` bits differ; nearest first.

    :param one, other: ``(N, 32)`` and ``(M, 32)`` uint8.
    """
    pairs = []
    for i, hashed in enumerate(one):
        if len(other):
            bits = _COUNT[np.bitwise_xor(other, hashed)].sum(1, dtype=np.int64)
            best = int(bits.argmin())
            if bits[best] <= max_bits:
                pairs.append(Near(i, best, int(bits[best])))
    return sorted(pairs, key=lambda near: near.bits)
