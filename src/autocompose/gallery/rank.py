"""The ranking of one query: by the model, by the poses, or by both scores added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from autocompose.core.errors import GalleryError, InputError
from autocompose.evaluate.fusion import Weights, fuse
from autocompose.evaluate.measured import Measured
from autocompose.evaluate.pose_index import DEPTH as POSE_DEPTH
from autocompose.evaluate.symbolic import BALANCED, PoseQuery
from autocompose.gallery.answer import FUSED, Hit, Reference
from autocompose.gallery.moments.scenes import MAX_NEIGHBOURS, Scenes
from autocompose.gallery.query_vector import QueryVector
from autocompose.gallery.request import Engine, SearchRequest
from autocompose.gallery.storage.posed import Posed
from autocompose.gallery.storage.store import Store
from autocompose.gallery.storage.vectors import normalise
from autocompose.gallery.understand import Reading, understand

DEPTH = 1000  # candidates that each engine names when their scores are added


class Ranked(NamedTuple):
    """The best items, the engine that chose them, and why."""

    hits: list[Hit]
    engine: str
    why: str


@dataclass
class Ranking:
    """One query on one gallery.

    :param reading: how the text is understood (mirrored, it is understood alike).
    :param query: the vector to look for, with the text as it is used.
    :param notes: what the user should know; the ranking may add to it.
    """

    store: Store
    request: SearchRequest
    origin: Reference | None
    reading: Reading
    query: QueryVector
    notes: list[str] = field(default_factory=list)

    def run(self) -> Ranked:
        """The ``k`` best items of different content, without the reference and its duplicates.

        :raises InputError: the symbolic engine cannot answer that; GalleryError: there is no model, and one is needed.
        """
        engine, why = self._choose()
        if self.request.weight != BALANCED and not (self.origin and self.query.text):
            self.notes.append("The weight has no effect: it balances a reference picture and a text.")
        if engine == Engine.SYMBOLIC:
            return Ranked(self._distinct(self._by_poses, POSE_DEPTH), engine, why)
        if engine == FUSED:
            return Ranked(self._hits(*self._fused()), engine, why)
        if self.request.engine is Engine.AUTO and self.reading.parts:
            return Ranked(self._people_first(), engine, why)
        return Ranked(self._distinct(self._search), engine, why)

    def _choose(self) -> tuple[str, str]:
        """The engine that answers, and why."""
        engine = self.request.engine
        if engine is Engine.LEARNED:
            return "learned", "as asked"
        obstacle = self._obstacle()
        if engine is Engine.SYMBOLIC:
            if obstacle:
                raise InputError(f"the symbolic engine cannot answer: {obstacle}; use the engine auto or learned")
            return "symbolic", "as asked"
        if obstacle:
            return "learned", obstacle
        if self.query.model is None and not self.query.is_known:
            return "symbolic", "the gallery's model was not found"
        about = "the text is understood" if self.query.text else "without a text, by likeness"
        return FUSED, f"{about}, and {len(self._posed):,} items have a pose"

    def _obstacle(self) -> str:
        """Why poses cannot answer; "" when they can."""
        if not self.query.text and self.origin is None:
            return "there is neither a text nor a reference picture"
        if self.query.text and not self.reading.parts:
            return f"nothing was understood in {self.request.text!r} (name a part, a side and a change)"
        if self.origin is not None and self.origin.pose is None:
            return self.origin.why
        if not len(self._posed):
            return "no item with these filters has a pose" if self.request.where else "no item has a pose"
        return ""

    # -- items

    @cached_property
    def _banned(self) -> list[int]:
        """The reference, its duplicates, and results that the user rejected."""
        banned = list(self.query.unlike)
        if self.origin and self.origin.digest:
            box = self.origin.item.box if self.origin.item else self.origin.box
            same = self.store.get(self.store.same_picture(self.origin.digest))
            seen = self.origin.item.content if self.origin.item else self.origin.digest
            banned += [i.id for i in same if (i.content, i.box) == (seen, box)]
        return banned

    @cached_property
    def _posed(self) -> Posed:
        return self.store.poses(self._where).without(self._banned)

    @cached_property
    def _where(self) -> dict[str, tuple[str, ...]]:
        return self.request.conditions

    def _hits(self, ids: np.ndarray, scores: np.ndarray) -> list[Hit]:
        best, k = dict(zip(ids.tolist(), scores.tolist(), strict=True)), self.request.k
        hits: list[Hit] = []
        near: dict[int, list[Hit]] = {}
        seen, scenes = set(), Scenes()
        for start in range(0, len(ids), 2 * k):
            for item in self.store.get(ids[start : start + 2 * k].tolist()):
                if (item.content, item.box) in seen:
                    continue
                seen.add((item.content, item.box))
                place = scenes.place_of(item)
                if place is not None:
                    near.setdefault(place, []).append(Hit(place + 1, best[item.id], item))
                elif len(hits) < k:
                    scenes.add(item, len(hits))
                    hits.append(Hit(len(hits) + 1, best[item.id], item))
            if len(hits) == k:
                break
        return [replace(hit, near=tuple(near.get(place, ())[:MAX_NEIGHBOURS])) for place, hit in enumerate(hits)]

    # -- by the model

    def _search(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        return self.store.search(self.query.vector, depth, self._where, self._banned)

    def _distinct(self, search: Callable[[int], tuple[np.ndarray, np.ndarray]], depth: int = 0) -> list[Hit]:
        """Fetch more candidates until there are ``k`` results with different content.

        :param search: number of items -> at least that many ids and scores, or all there are, best first.
        :param depth: number of candidates of the first fetch.
        """
        depth = max(depth, self.request.k + 10)
        while True:
            ids, scores = search(depth)
            hits = self._hits(ids, scores)
            if len(hits) == self.request.k or len(ids) < depth:
                return hits
            depth *= 4

    def _people_first(self) -> list[Hit]:
        """The model's order for a query about a pose: pictures without a person come last."""
        depth = self.request.k + 10
        while True:
            ids, scores = self._search(depth)
            person = self._posed.holds(ids)
            order = np.argsort(~person, kind="stable")
            if len(ids) < depth or len(self._hits(ids[person], scores[person])) == self.request.k:
                return self._hits(ids[order], scores[order])
            depth *= 4

    # -- by the poses

    def _by_poses(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        return self._posed.best(self._pose_query, depth)

    @cached_property
    def _pose_query(self) -> PoseQuery:
        """The query for the poses; without a text, similarity to the reference's pose."""
        claims = understand(self.query.text).claims  # mirrored, and in the person's own sides
        pose = self.origin.pose if self.origin else None
        if pose is None:
            return PoseQuery.of_claims(claims, None)
        pose = pose.mirrored() if self.request.mirror else pose
        return PoseQuery.of_claims(claims, Measured.one(pose.joints, pose.uncertainty), self.request.weight)

    # -- by both

    def _fused(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids and scores, best first: both engines name candidates, and each is scored by both; people come first."""
        posed, query = self._posed, self._pose_query
        ids, cosines = self._search(max(DEPTH, 2 * self.request.k))
        rows = np.union1d(posed.candidates(query), posed.rows_of(ids))
        scores = posed.scores(query, rows)
        chosen = np.isin(posed.ids[rows], ids)
        chosen[np.argsort(-scores, kind="stable")[:DEPTH]] = True
        rows, scores = rows[chosen], scores[chosen]
        weights = Weights.of(self.query.model.card if self.query.model else {})
        fused = fuse(self._cosines(posed.ids[rows], ids, cosines), scores, weights)
        order = np.argsort(-fused, kind="stable")
        others = ~posed.holds(ids)  # below the last person, by the model alone
        lowest = fused.min() if len(fused) else 0.0
        below = (lowest - weights.cosine * (1 - cosines[others])).astype(np.float32)
        return np.concatenate([posed.ids[rows][order], ids[others]]), np.concatenate([fused[order], below])

    def _cosines(self, wanted: np.ndarray, ids: np.ndarray, cosines: np.ndarray) -> np.ndarray:
        """``(N,)`` of items: of those that the model's search gave already, and from their vectors of the others.

        :raises GalleryError: some are there no more.
        """
        known = np.isin(wanted, ids)
        order = np.argsort(ids)
        values = np.empty(len(wanted), np.float32)
        values[known] = cosines[order[np.searchsorted(ids, wanted[known], sorter=order)]]
        others = wanted[~known].tolist()
        if others:
            vectors = self.store.vectors(others)
            if len(vectors) != len(others):
                raise GalleryError("the gallery changed during this search; search again")
            values[~known] = normalise(vectors) @ self.query.vector
        return values
