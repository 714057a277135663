"""One query: the vector to look for, the ranking by poses, and the fusion of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageOps

from autocompose.core.errors import GalleryError, InputError, PoseError
from autocompose.gallery.embedder import Embedder
from autocompose.gallery.item import key_to_id
from autocompose.gallery.query import Engine, Hit, Reference, Sides
from autocompose.gallery.storage.vectors import normalise
from autocompose.gallery.understand import understand

if TYPE_CHECKING:
    from autocompose.gallery.search import Gallery

BLEND_DEPTH = 1000  # how far down each engine's list the blend looks
RRF = 60  # reciprocal rank fusion: Cormack, Clarke, Buettcher, SIGIR 2009
# Rocchio's weights: Manning, Raghavan, Schuetze, Introduction to Information Retrieval, section 9.1.1.
LIKE, UNLIKE = 0.75, 0.15
LEFT_HIP, RIGHT_HIP, LEFT_SHOULDER, RIGHT_SHOULDER = 1, 2, 16, 17  # in SMPL-22


@dataclass
class Ranking:
    """One query on one gallery; the fields are those of ``Gallery.search``.

    :param text: in the person's own sides, mirrored already.
    :param notes: gets what the user should know.
    """

    gallery: Gallery
    origin: Reference | None
    text: str
    weight: float
    mirror: bool
    where: dict[str, tuple[str, ...]]
    like: tuple[str, ...]
    unlike: tuple[str, ...]
    notes: list[str]

    def run(self, engine: Engine, k: int) -> list[Hit]:
        """The ``k`` best items of different content, without the reference and its duplicates."""
        banned = self._banned()
        if engine is Engine.SYMBOLIC:
            ids, scores = self._symbolic(banned)
        elif engine is Engine.BLEND:
            learned, symbolic = self._learned(BLEND_DEPTH, banned)[0], self._symbolic(banned)[0][:BLEND_DEPTH]
            ids, scores = fuse(learned, symbolic)
        else:
            return self._distinct(k, banned)
        return self._hits(ids, scores, k)

    def _banned(self) -> list[int]:
        """The reference with its duplicates, and what the user does not want to see."""
        store, banned = self.gallery.store, [key_to_id(key) for key in self.unlike]
        if self.origin and self.origin.digest:
            box = self.origin.item.box if self.origin.item else None
            banned += [i.id for i in store.get(store.same_picture(self.origin.digest)) if i.box == box]
        return banned

    def _distinct(self, k: int, banned: list[int]) -> list[Hit]:
        """Ask for more until ``k`` results of different content are there."""
        query, depth = self._query(), k + 10
        while True:
            ids, scores = self.gallery.store.search(query, depth, self.where, banned)
            hits = self._hits(ids, scores, k)
            if len(hits) == k or len(ids) < depth:
                return hits
            depth *= 4

    def _hits(self, ids: np.ndarray, scores: np.ndarray, k: int) -> list[Hit]:
        best = dict(zip(ids.tolist(), scores.tolist(), strict=True))
        hits: list[Hit] = []
        seen = set()
        for start in range(0, len(ids), 2 * k):
            for item in self.gallery.store.get(ids[start : start + 2 * k].tolist()):
                if (item.digest, item.box) not in seen and len(hits) < k:
                    seen.add((item.digest, item.box))
                    hits.append(Hit(len(hits) + 1, best[item.id], item))
            if len(hits) == k:
                break
        return hits

    # -- by the model

    def _learned(self, depth: int, banned: list[int]) -> tuple[np.ndarray, np.ndarray]:
        return self.gallery.store.search(self._query(), depth, self.where, banned)

    def _query(self) -> np.ndarray:
        """The normalised vector ``(D,)`` to look for."""
        parts = [self._picture_and_text()] if self.origin or self.text else []
        for keys, share in ((self.like, LIKE if parts else 1.0), (self.unlike, -UNLIKE)):
            if keys:
                found = self.gallery.store.vectors([self.gallery.item(key).id for key in keys])
                parts.append(share * normalise(found).mean(0))
        return normalise(np.sum(parts, axis=0))

    def _picture_and_text(self) -> np.ndarray:
        if self.origin is None:
            return normalise(self._model().embed_texts([self.text])[0])
        picture = self._picture_vector(self.origin)
        if not self.text or self.weight == 0:
            return normalise(picture)
        both = self._model().compose(picture[None], [self.text])[0]
        if self.weight <= 0.5:  # from the picture alone to the composition, and on to the text alone
            return normalise((1 - 2 * self.weight) * normalise(picture) + 2 * self.weight * both)
        text = self._model().embed_texts([self.text])[0]
        return normalise((2 - 2 * self.weight) * both + (2 * self.weight - 1) * normalise(text))

    def _picture_vector(self, origin: Reference) -> np.ndarray:
        if not self.mirror and origin.vector is not None:
            return origin.vector
        if not self.mirror and origin.item:
            return self.gallery.store.vectors([origin.item.id])[0]
        picture = self.gallery.open_picture(origin.item) if origin.item else origin.image
        assert picture is not None  # a reference has an item or an image
        return self._model().embed_images([ImageOps.mirror(picture) if self.mirror else picture])[0]

    def _model(self) -> Embedder:
        if self.gallery.model is None:
            raise GalleryError(
                f"{self.gallery.folder}: its model {self.gallery.config.model or '(none named)'} is not there; "
                "name it with --model, or search with --engine symbolic"
            )
        return self.gallery.model

    # -- by the poses

    def _symbolic(self, banned: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Ids and scores of all items with a pose, best first; without a text by likeness to the reference's pose."""
        from autocompose.bodies.skeleton import mirror_joints
        from autocompose.evaluate.symbolic import rank

        if self.origin is None:
            raise InputError("the symbolic engine needs a reference picture; choose one, or use the learned engine")
        if self.text and not understand(self.text).parts:
            raise InputError(
                f"the symbolic engine understands nothing in {self.text!r}; name a part, a side and a change"
            )
        ids, joints = self.gallery.store.poses(self.where)
        pose = self._pose(self.origin)
        if not len(ids):
            raise PoseError("no item with these filters has a 3D pose; use the learned engine")
        kept = ~np.isin(ids, banned)
        ids, joints = ids[kept], joints[kept]
        scores = rank(self.text, mirror_joints(pose) if self.mirror else pose, joints)
        order = np.argsort(-scores, kind="stable")
        return ids[order], scores[order]

    def _pose(self, origin: Reference) -> np.ndarray:
        """The reference's pose; of a picture without one, that of the most similar picture that has one."""
        if origin.item is not None and origin.item.joints is not None:
            return origin.item.joints
        picture = normalise(origin.vector if origin.vector is not None else self._plain_vector(origin))
        ids, _ = self.gallery.store.search(picture, BLEND_DEPTH)
        nearest = next((i for i in self.gallery.store.get(ids.tolist()) if i.joints is not None), None)
        if nearest is None or nearest.joints is None:
            raise PoseError("the reference has no 3D pose, and no similar picture has one; use the learned engine")
        self.notes.append(
            f"The reference's pose is not known; that of the most similar picture, {nearest.path}, was used."
        )
        return nearest.joints

    def _plain_vector(self, origin: Reference) -> np.ndarray:
        if origin.item:
            return self.gallery.store.vectors([origin.item.id])[0]
        assert origin.image is not None
        return self._model().embed_images([origin.image])[0]


def fuse(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two rankings of ids -> one, by the sum of 1 / (60 + rank), scaled so that rank 1 in both gives 1."""
    total: dict[int, float] = {}
    for ranking in (first, second):
        for rank, number in enumerate(ranking.tolist(), 1):
            total[number] = total.get(number, 0.0) + (RRF + 1) / 2 / (RRF + rank)
    ids = np.array(sorted(total, key=lambda i: -total[i]), np.int64)
    return ids, np.array([total[i] for i in ids.tolist()], np.float32)


def own_sides(text: str, sides: Sides, origin: Reference | None, mirror: bool, notes: list[str]) -> str:
    """The text in the person's own sides, mirrored when asked. Whoever faces us has their left where our right is."""
    swap = mirror
    if sides is Sides.SEEN and text:
        joints = origin.item.joints if origin and origin.item else None
        if joints is None:
            notes.append("The person is taken to face the camera, because the pose of the reference is not known.")
        faces = joints is None or bool(
            joints[LEFT_HIP, 0] + joints[LEFT_SHOULDER, 0] > joints[RIGHT_HIP, 0] + joints[RIGHT_SHOULDER, 0]
        )
        swap ^= faces
    if not swap or not text:
        return text
    from autocompose.describe.side_words import swap_sides

    return swap_sides(text)
