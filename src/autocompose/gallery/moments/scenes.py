"""Neighbouring results of one scene: they are one answer, so the best of them stands for all."""

from __future__ import annotations

from collections import defaultdict

from autocompose.gallery.item import Item

NEAR = 3.0  # seconds; results of one shot within so much of the best are of its scene
MAX_NEIGHBOURS = 24  # listed with one result


class Scenes:
    """The scenes of the results so far, best first."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, int], list[tuple[float, int]]] = defaultdict(list)

    def place_of(self, item: Item) -> int | None:
        """Position of the better result that shows the same scene; None: there is none, or this is no video's."""
        if item.moment is None:
            return None
        for seconds, place in self._shown[item.digest, item.moment.shot]:
            if abs(seconds - item.moment.seconds) <= NEAR:
                return place
        return None

    def add(self, item: Item, place: int) -> None:
        """Show a result at a position."""
        if item.moment is not None:
            self._shown[item.digest, item.moment.shot].append((item.moment.seconds, place))
