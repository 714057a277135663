"""The ranking of one query: by the model, by the poses, or by both scores added."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from PIL import ImageOps

from autocompose.core.errors import GalleryError, InputError
from autocompose.evaluate.fusion import Weights, fuse
from autocompose.gallery.embedder import Embedder
from autocompose.gallery.query import FUSED, Hit, Reference
from autocompose.gallery.request import Engine, SearchRequest
from autocompose.gallery.storage.store import Posed, Store
from autocompose.gallery.storage.vectors import normalise
from autocompose.gallery.understand import Reading

DEPTH = 1000  # candidates that each engine names when their scores are added
# Rocchio's weights: Manning, Raghavan, Schuetze, Introduction to Information Retrieval, section 9.1.1.
LIKE, UNLIKE = 0.75, 0.15


class Ranked(NamedTuple):
    """The best items, which engine chose them, and why that one."""

    hits: list[Hit]
    engine: str
    why: str


@dataclass
class Ranking:
    """One query on one gallery.

    :param model: None: there is none; ``absent`` says so for the user.
    :param text: as it is searched for: in the person's own sides, mirrored already; ``reading``: as it is understood.
    :param like, unlike: ids of items.
    """

    store: Store
    model: Embedder | None
    absent: str
    request: SearchRequest
    origin: Reference | None
    text: str
    reading: Reading
    like: Sequence[int] = ()
    unlike: Sequence[int] = ()
    notes: list[str] = field(default_factory=list)

    def run(self) -> Ranked:
        """The ``k`` best items of different content, without the reference and its duplicates.

        :raises InputError: the symbolic engine cannot answer that; GalleryError: there is no model, and one is needed.
        """
        engine, why = self._choose()
        if self.request.weight != 0.5 and not (self.origin and self.text):
            self.notes.append("The weight has no effect: it balances a reference picture and a text.")
        if engine == Engine.SYMBOLIC:
            posed, scores = self._symbolic
            order = np.argsort(-scores, kind="stable")
            return Ranked(self._hits(posed.ids[order], scores[order]), engine, why)
        if engine == FUSED:
            return Ranked(self._hits(*self._fused()), engine, why)
        if self.request.engine is Engine.AUTO and self.reading.parts:
            return Ranked(self._people_first(), engine, why)
        return Ranked(self._distinct(), engine, why)

    def _choose(self) -> tuple[str, str]:
        """The engine that answers, and why."""
        asked = self.request.engine
        if asked is Engine.LEARNED:
            return "learned", "as asked"
        obstacle = self._obstacle()
        if asked is Engine.SYMBOLIC:
            if obstacle:
                raise InputError(f"the symbolic engine cannot answer: {obstacle}; use the engine auto or learned")
            return "symbolic", "as asked"
        if obstacle:
            return "learned", obstacle
        if self.model is None and not self._knows_query:
            return "symbolic", "the gallery's model is not there"
        about = "the text is understood" if self.text else "without a text, by likeness"
        return FUSED, f"{about}, and {len(self._posed.ids):,} items have a pose"

    def _obstacle(self) -> str:
        """Why poses cannot answer; "" when they can."""
        if not self.text and self.origin is None:
            return "there is neither a text nor a reference picture"
        if self.text and not self.reading.parts:
            return f"nothing is understood in {self.text!r} (name a part, a side and a change)"
        if self.origin is None and not _offers_states():
            return "it needs a reference picture"
        if self.origin is not None and self.origin.pose is None:
            return self.origin.why
        if not len(self._posed.ids):
            return "no item with these filters has a pose" if self.request.where else "no item has a pose"
        return ""

    # -- items

    @cached_property
    def _banned(self) -> list[int]:
        """The reference with its duplicates, and what the user does not want to see."""
        banned = list(self.unlike)
        if self.origin and self.origin.digest:
            box = self.origin.item.box if self.origin.item else self.origin.box
            banned += [i.id for i in self.store.get(self.store.same_picture(self.origin.digest)) if i.box == box]
        return banned

    @cached_property
    def _posed(self) -> Posed:
        posed = self.store.poses(self._where)
        return posed.rows(~np.isin(posed.ids, self._banned))

    @cached_property
    def _where(self) -> dict[str, tuple[str, ...]]:
        return self.request.conditions

    def _hits(self, ids: np.ndarray, scores: np.ndarray) -> list[Hit]:
        best, k = dict(zip(ids.tolist(), scores.tolist(), strict=True)), self.request.k
        hits: list[Hit] = []
        seen = set()
        for start in range(0, len(ids), 2 * k):
            for item in self.store.get(ids[start : start + 2 * k].tolist()):
                if (item.digest, item.box) not in seen and len(hits) < k:
                    seen.add((item.digest, item.box))
                    hits.append(Hit(len(hits) + 1, best[item.id], item))
            if len(hits) == k:
                break
        return hits

    # -- by the model

    def _search(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        return self.store.search(self._query, depth, self._where, self._banned)

    def _distinct(self) -> list[Hit]:
        """Ask for more until ``k`` results of different content are there."""
        depth = self.request.k + 10
        while True:
            ids, scores = self._search(depth)
            hits = self._hits(ids, scores)
            if len(hits) == self.request.k or len(ids) < depth:
                return hits
            depth *= 4

    def _people_first(self) -> list[Hit]:
        """The model's order for a question about a pose: pictures without a person come last."""
        depth = self.request.k + 10
        while True:
            ids, scores = self._search(depth)
            person = np.isin(ids, self._posed.ids)
            order = np.argsort(~person, kind="stable")
            if len(ids) < depth or len(self._hits(ids[person], scores[person])) == self.request.k:
                return self._hits(ids[order], scores[order])
            depth *= 4

    @property
    def _knows_query(self) -> bool:
        """The vector to look for needs no model: it is stored."""
        return not self.text and not self.request.mirror

    @cached_property
    def _query(self) -> np.ndarray:
        """The normalised vector ``(D,)`` to look for."""
        parts = [self._picture_and_text()] if self.origin or self.text else []
        for ids, share in ((self.like, LIKE if parts else 1.0), (self.unlike, -UNLIKE)):
            if ids:
                parts.append(share * normalise(self.store.vectors(ids)).mean(0))
        return normalise(np.sum(parts, axis=0))

    def _picture_and_text(self) -> np.ndarray:
        weight = self.request.weight
        if self.origin is None:
            return normalise(self._model().embed_texts([self.text])[0])
        picture = self._picture_vector(self.origin)
        if not self.text or weight == 0:
            return normalise(picture)
        both = self._model().compose(picture[None], [self.text])[0]
        if weight <= 0.5:  # from the picture alone to the composition, and on to the text alone
            return normalise((1 - 2 * weight) * normalise(picture) + 2 * weight * both)
        text = self._model().embed_texts([self.text])[0]
        return normalise((2 - 2 * weight) * both + (2 * weight - 1) * normalise(text))

    def _picture_vector(self, origin: Reference) -> np.ndarray:
        if not self.request.mirror and origin.vector is not None:
            return origin.vector
        if not self.request.mirror and origin.item:
            return self.store.vectors([origin.item.id])[0]
        picture = origin.load()
        return self._model().embed_images([ImageOps.mirror(picture) if self.request.mirror else picture])[0]

    def _model(self) -> Embedder:
        if self.model is None:
            raise GalleryError(self.absent)
        return self.model

    # -- by the poses

    @cached_property
    def _symbolic(self) -> tuple[Posed, np.ndarray]:
        """All items with a pose, and their scores; without a text by likeness to the reference's pose."""
        from autocompose.evaluate import symbolic

        posed, asked = self._posed, self.request
        if asked.engine is Engine.SYMBOLIC and asked.weight != 0.5 and not _offers(symbolic.rank, "weight"):
            raise InputError("the symbolic engine has no balance to move; leave the weight at 0.5, or choose auto")
        if self.origin is None:
            scores = _called(symbolic.rank_states, self.text, posed.joints, gallery_uncertainty=posed.uncertainty)  # type: ignore[attr-defined]
            return posed, scores
        assert self.origin.pose is not None  # or it is an obstacle
        pose = self.origin.pose.mirrored() if asked.mirror else self.origin.pose
        doubts = {"reference_uncertainty": pose.doubts, "gallery_uncertainty": posed.uncertainty}
        return posed, _called(symbolic.rank, self.text, pose.joints, posed.joints, weight=asked.weight, **doubts)

    # -- by both

    def _fused(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids and scores, best first: both engines name candidates, and each is scored by both; people come first."""
        posed, scores = self._symbolic
        ids, cosines = self._search(max(DEPTH, 2 * self.request.k))
        nearest = np.argsort(-scores, kind="stable")[:DEPTH]
        rows = np.union1d(nearest, np.flatnonzero(np.isin(posed.ids, ids)))
        vectors = self.store.vectors(posed.ids[rows].tolist())
        if len(vectors) != len(rows):
            raise GalleryError("the gallery has changed during this search; ask again")
        weights = Weights.of(self.model.card if self.model else {})
        fused = fuse(normalise(vectors) @ self._query, scores[rows], weights)
        order = np.argsort(-fused, kind="stable")
        others = ~np.isin(ids, posed.ids)  # below the last person, by the model alone
        lowest = fused.min() if len(fused) else 0.0
        below = (lowest - weights.cosine * (1 - cosines[others])).astype(np.float32)
        return np.concatenate([posed.ids[rows][order], ids[others]]), np.concatenate([fused[order], below])


def _offers_states() -> bool:
    from autocompose.evaluate import symbolic

    return hasattr(symbolic, "rank_states")


def _called(function: Any, *arguments: Any, **more: Any) -> np.ndarray:
    """Call a scoring function with those of the further arguments that it takes."""
    scores: np.ndarray = function(*arguments, **{n: value for n, value in more.items() if _offers(function, n)})
    return scores


def _offers(function: Any, name: str) -> bool:
    return name in inspect.signature(function).parameters
