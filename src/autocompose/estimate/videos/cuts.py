"""Where one shot ends and the next begins: two frames in succession have nothing in common."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 24  # pixels of the small picture that is compared
ALIKE = 0.5  # correlation of two frames of one shot; cuts measure below 0.3, quick movement above 0.7
CHANGE = 0.04  # mean difference, share of the full range; correlation says nothing of two pictures without contrast


def glance(picture: Image.Image) -> np.ndarray:
    """What is compared of a frame: ``(24, 24, 3)`` uint8."""
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0))


def is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a new shot begins between two frames, from their glances."""
    one, other = before.astype(np.float32) / 255, after.astype(np.float32) / 255
    if float(np.abs(one - other).mean()) < CHANGE:
        return False
    one, other = one - one.mean((0, 1)), other - other.mean((0, 1))
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return lengths < 1e-6 or float((one * other).sum()) / lengths < ALIKE
