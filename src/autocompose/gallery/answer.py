"""The types of a search: the reference, a hit, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from PIL import Image

from autocompose.gallery.item import Box, Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.request import Step
from autocompose.gallery.understand import Reading

FUSED = "learned + symbolic"


@dataclass(frozen=True)
class Reference:
    """The reference of a query: an item of the gallery, or any other picture.

    :param load: gives the picture, RGB, cut to the person; it is only opened where a vector has to be made.
    :param item: set for a picture of the gallery.
    :param digest: SHA-256 of the file, so that its duplicates are found; "" when unknown.
    :param vector: ``(D,)`` un-normalised feature when it is known already.
    :param pose: of its person; None = unknown.
    :param box, size: where the person is in the picture, and that picture's width and height, where these are known.
    :param why: why there is no pose, in words.
    """

    load: Callable[[], Image.Image]
    item: Item | None = None
    digest: str = ""
    vector: np.ndarray | None = None
    pose: Pose | None = None
    box: Box | None = None
    size: tuple[int, int] | None = None
    why: str = "nobody was found in the reference picture"

    @property
    def kind(self) -> str:
        """``known``, ``estimated`` or ``none``: what is known of its pose."""
        return self.pose.kind if self.pose else "none"


@dataclass(frozen=True)
class Hit:
    """One result; ``score`` is a cosine (learned), minus a cost (symbolic), or both added (auto).

    :param near: of a video: further results of the same scene, best first; they have no place of their own.
    """

    rank: int
    score: float
    item: Item
    near: tuple[Hit, ...] = ()

    def record(self) -> dict[str, Any]:
        """As a JSON-able value."""
        values = {"rank": self.rank, "score": round(self.score, 5), **self.item.record()}
        if self.item.moment is None:
            return values
        near = [{"id": h.item.key, "score": round(h.score, 5), **_when(h.item)} for h in self.near]
        return {**values, "near": near}


def _when(item: Item) -> dict[str, Any]:
    return item.moment.record() if item.moment else {}


@dataclass(frozen=True)
class Answer:
    """The results, best first, and how they were ranked. It is a sequence of hits.

    :param text: the text as it was used: in the person's own sides, mirrored when asked.
    :param engine: what ranked: ``learned``, ``symbolic`` or ``learned + symbolic``; ``why``: for which reason.
    :param notes: what the user should know, such as assumptions that were made.
    :param trail: the steps that led here, this one last.
    :param reranked: so many first hits are in the order of a multimodal LLM; scores stay those of the engine.
    """

    hits: list[Hit]
    text: str = ""
    reading: Reading = field(default_factory=Reading)
    reference: Reference | None = None
    engine: str = "learned"
    why: str = ""
    notes: tuple[str, ...] = ()
    trail: tuple[Step, ...] = ()
    seconds: float = 0.0
    reranked: int = 0

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
            "results": [hit.record() for hit in self.hits],
            "reference": item.record() if item else None,
            "reference_pose": self.reference.kind if self.reference else "none",
            "text": self.text,
            "understood": self.reading.record(),
            "engine": self.engine,
            "why": self.why,
            "notes": list(self.notes),
            "reranked": self.reranked,
            "trail": [step.__dict__ for step in self.trail],
            "seconds": round(self.seconds, 4),
        }
