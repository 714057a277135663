"""Neighbouring results of one scene: they are one answer, so the best of them stands for all."""

from __future__ import annotations

from collections.abc import Sequence

from autocompose.gallery.item import Item

NEAR = 3.0  # seconds; results of one shot within so much of the best are of its scene
MOST = 24  # neighbours that are listed with a result


def scene_of(item: Item, shown: Sequence[Item]) -> int | None:
    """Position of the better result that shows the same scene; None: this one is the first of it."""
    moment = item.moment
    if moment is None:
        return None
    for place, other in enumerate(shown):
        if other.moment is None or other.digest != item.digest or other.moment.shot != moment.shot:
            continue
        if abs(other.moment.seconds - moment.seconds) <= NEAR:
            return place
    return None
