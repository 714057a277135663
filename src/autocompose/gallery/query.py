"""The nouns of a search: engine, sides, reference, step, hit and answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, overload

import numpy as np
from PIL import Image

from autocompose.gallery.item import Item
from autocompose.gallery.understand import Reading


class Engine(str, Enum):
    """What ranks: the model, the poses by rules, or both lists fused."""

    LEARNED = "learned"
    SYMBOLIC = "symbolic"
    BLEND = "blend"

    def __str__(self) -> str:
        return self.value


class Sides(str, Enum):
    """Whose left a text means: the person's own, or the left of who looks at the picture."""

    OWN = "own"
    SEEN = "seen"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Reference:
    """The picture that a query starts from: an item of the gallery, or any other picture.

    :param item: set for a picture of the gallery.
    :param image: RGB, set for any other.
    :param digest: SHA-256 of the file, so that its duplicates are found; "" when unknown.
    :param vector: ``(D,)`` un-normalised feature when it is known already.
    """

    item: Item | None = None
    image: Image.Image | None = None
    digest: str = ""
    vector: np.ndarray | None = None


@dataclass(frozen=True)
class Step:
    """One step of a search in several steps: from which picture (item id, "" for another picture) with which text."""

    reference: str
    text: str


@dataclass(frozen=True)
class Hit:
    """One result; ``score`` is a cosine (learned), minus a cost (symbolic) or a fused rank from 0 to 1 (blend)."""

    rank: int
    score: float
    item: Item


@dataclass(frozen=True)
class Answer:
    """The results, best first, and how they came about. It is a sequence of its hits.

    :param text: the text as it was used: in the person's own sides, mirrored when asked.
    :param notes: what the user should know, such as assumptions that were made.
    :param trail: the steps that led here, this one last.
    """

    hits: list[Hit]
    text: str = ""
    reading: Reading = field(default_factory=Reading)
    reference: Reference | None = None
    notes: tuple[str, ...] = ()
    trail: tuple[Step, ...] = ()
    seconds: float = 0.0

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> list[Hit]: ...

    def __getitem__(self, place: int | slice) -> Hit | list[Hit]:
        return self.hits[place]

    def record(self) -> dict[str, Any]:
        """As a JSON-able value."""
        item = self.reference.item if self.reference else None
        return {
            "results": [{"rank": h.rank, "score": round(h.score, 5), **h.item.record()} for h in self.hits],
            "reference": item.record() if item else None,
            "text": self.text,
            "understood": self.reading.record(),
            "notes": list(self.notes),
            "trail": [step.__dict__ for step in self.trail],
            "seconds": round(self.seconds, 4),
        }
