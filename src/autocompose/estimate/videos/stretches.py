"""A video in stretches: a few frames of one shot, close in time, whose people are looked for together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from autocompose.corpus.videos.frame import Place
from autocompose.estimate.videos.cuts import is_cut

FRAMES = 16  # of a stretch, at most
GAP = 0.6  # seconds between two frames of a stretch, at most: nobody is far from where they were


class Shown(NamedTuple):
    """A frame that is looked at.

    :param size: of the upright frame in pixels; ``picture`` may be smaller. :param glance: see ``cuts.glance``.
    """

    place: Place
    size: tuple[int, int]
    picture: Image.Image
    glance: np.ndarray


def stretches(frames: Iterable[Shown]) -> Iterator[list[Shown]]:
    """All frames, in order. Where a stretch ends does not depend on what came before it."""
    held: list[Shown] = []
    for frame in frames:
        if held and (len(held) == FRAMES or _is_apart(held[-1], frame)):
            yield held
            held = []
        held.append(frame)
    if held:
        yield held


def _is_apart(before: Shown, after: Shown) -> bool:
    return after.place.seconds - before.place.seconds > GAP or is_cut(before.glance, after.glance)
