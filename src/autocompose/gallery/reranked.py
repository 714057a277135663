"""Re-ranking an answer: a multimodal LLM sees the reference, the text and the first results, and orders these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.bodies.convert import SKELETONS
from autocompose.bodies.skeleton import COCO17, mirror_order
from autocompose.core.errors import AnnotationError, AutocomposeError, ImageError, InputError
from autocompose.core.files import value_hash
from autocompose.describe.mllm.sending.client import Send
from autocompose.gallery.answer import Answer, Reference
from autocompose.gallery.crops import prominent
from autocompose.gallery.item import Box, Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.request import SearchRequest
from autocompose.gallery.search import Gallery
from autocompose.rerank.pictures import Shown, shown
from autocompose.rerank.question import Query
from autocompose.rerank.run import ask_consent, rerank_all
from autocompose.rerank.settings import JOURNAL, Reranker

SEEN = 0.5  # visibility from which a landmark's limb is tinted
_LANDMARK = [SKELETONS["mediapipe33"].index(name) for name in COCO17]


@dataclass(frozen=True)
class Reranking:
    """One answer of a gallery, and who may put its first results in order.

    :param request: which ``answer`` answers.
    """

    gallery: Gallery
    request: SearchRequest
    answer: Answer
    reranker: Reranker

    @property
    def count(self) -> int:
        """Number of results that would be put in order; 0: there is nothing to decide by, or nothing to decide."""
        count = min(len(self.answer), self.reranker.recipe.top)
        return count if self.answer.text and count > 1 and not self.answer.reranked else 0

    @property
    def pictures(self) -> str:
        """What would be sent."""
        some = f"{self.count} results"
        return some if self.answer.reference is None else f"the reference and {some}"

    @property
    def price(self) -> str:
        """What it costs, in words."""
        estimate = self.reranker.estimate([self.count])
        if self.reranker.endpoint.loopback and not estimate.dollars:
            return "on this machine, free of charge"
        return estimate.cost

    def run(self, yes: bool = False, send: Send | None = None) -> Answer:
        """The answer in its new order; scores stay what the engine gave. Its journal is ``GALLERY/rerank.sqlite``.

        :param yes: consent to send the pictures to a host that is not this machine.
        :param send: replaces the client (tests).
        :raises InputError: there is nothing to re-rank by; ConfigError: consent is missing; AnnotationError: the model
            cannot be asked.
        """
        if not self.answer.text:
            raise InputError("re-ranking needs a text; give one, or leave out --rerank")
        if not self.count:
            return self.answer
        journal = Path(self.gallery.folder) / JOURNAL
        ask_consent(self.reranker, journal, self.pictures, [self.count], yes)
        outcome = rerank_all(self.reranker, journal, [self._query], send, quiet=True)
        verdict = outcome.verdicts[0]
        if verdict is None:
            why = {"budget": "its budget is reached"}.get(outcome.stopped, "it did not answer")
            raise AnnotationError(f"{self.reranker.recipe.model} has not re-ranked the results: {why} ({journal})")
        if verdict.unchanged:
            return self.noted(f"{self._who} was asked and changed nothing ({verdict.unchanged}).")
        first = [self.answer.hits[place] for place in verdict.order]
        hits = [replace(hit, rank=n) for n, hit in enumerate([*first, *self.answer.hits[len(first) :]], 1)]
        note = f"{self._who} re-ranked the first {len(first)} results."
        return replace(self.noted(note), hits=hits, reranked=len(first))

    @property
    def _who(self) -> str:
        return f"{self.reranker.recipe.model} at {self.reranker.endpoint.host}"

    def noted(self, note: str) -> Answer:
        """The plain answer with one note more."""
        return replace(self.answer, notes=(*self.answer.notes, note))

    def _query(self) -> Query:
        """What the model is shown.

        :raises ImageError: a picture cannot be opened.
        """
        hits, reference = self.answer.hits[: self.count], self.answer.reference
        origin = "" if reference is None else reference.item.key if reference.item else reference.digest
        name = value_hash([self.answer.text, origin, self.request.mirror, [hit.item.key for hit in hits]])
        try:
            start = None if reference is None else self._start(reference)
            return Query(self.answer.text, start, tuple(self._candidate(hit.item) for hit in hits), name)
        except ImageError:
            raise
        except AutocomposeError as error:
            raise ImageError(str(error)) from None

    def _candidate(self, item: Item) -> Shown:
        image = self.gallery.open_picture(item)
        points, seen = self._points(image, item.pose, item.box, item.width)
        return shown(image, self.reranker.recipe.size, points, seen)

    def _start(self, reference: Reference) -> Shown:
        image = reference.load()
        points, seen = self._points(image, reference.pose, reference.box, reference.size[0] if reference.size else 0)
        if self.request.mirror:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            points, seen = _mirrored(points, seen, image.width)
        return shown(image, self.reranker.recipe.size, points, seen)

    def _points(
        self, image: Image.Image, pose: Pose | None, box: Box | None, width: int
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """COCO keypoints ``(17, 2)`` in pixels of a picture cut to a box, and which can be relied on.

        A known pose tells nothing about the picture, so that its person is looked for there.

        :param width: of the whole upright picture.
        """
        if pose is not None and pose.landmarks is None and self.gallery.finder is not None:
            pose, box, width = prominent(image, self.gallery.finder).pose, None, image.width
        if pose is None or pose.landmarks is None:
            return None, None
        left, top, right = (box[0], box[1], box[2]) if box else (0, 0, width)
        landmarks = pose.landmarks[_LANDMARK]
        return (landmarks[:, :2] - [left, top]) * (image.width / (right - left)), landmarks[:, 2] >= SEEN


def _mirrored(
    points: np.ndarray | None, seen: np.ndarray | None, width: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The keypoints in the flipped picture; left and right stay the person's own."""
    if points is None or seen is None:
        return None, None
    order = mirror_order(COCO17)
    return np.stack([width - 1 - points[order, 0], points[order, 1]], 1), seen[order]
