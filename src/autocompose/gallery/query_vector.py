"""The query vector: reference, text and chosen results, composed by the model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from PIL import Image, ImageOps

from autocompose.core.errors import GalleryError
from autocompose.evaluate.symbolic import BALANCED
from autocompose.gallery.answer import Reference
from autocompose.gallery.request import SearchRequest
from autocompose.gallery.storage.store import Store
from autocompose.gallery.storage.vectors import normalise
from autocompose.model.embedders.embedder import Embedder

# Rocchio's weights: Manning, Raghavan, Schuetze, Introduction to Information Retrieval, section 9.1.1.
LIKE, UNLIKE = 0.75, 0.15
KEPT = 1024  # features of references, a few KB each


class VectorCache:
    """Features of references that are stored nowhere, computed once. Threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """``(D,)`` of what ``key`` stands for."""
        with self._lock:
            vector = self._kept.get(key)
        if vector is None:
            vector = make()
        with self._lock:
            self._kept[key] = vector
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return vector


@dataclass
class QueryVector:
    """The vector of one query on one gallery.

    :param model: None: there is none; ``absent`` says so for the user.
    :param text: as it is searched for: in the person's own sides, mirrored already.
    :param like, unlike: ids of items.
    :param cache: of the gallery, for mirrored pictures and those from elsewhere.
    """

    store: Store
    model: Embedder | None
    absent: str
    request: SearchRequest
    origin: Reference | None
    text: str
    like: Sequence[int] = ()
    unlike: Sequence[int] = ()
    cache: VectorCache = field(default_factory=VectorCache)

    @property
    def is_known(self) -> bool:
        """Whether it needs no model, because all its parts are stored."""
        return not self.text and not self.request.mirror and (self.origin is None or self._stored(self.origin))

    @cached_property
    def vector(self) -> np.ndarray:
        """``(D,)`` normalised.

        :raises GalleryError: there is no model, and one is needed.
        """
        parts = [self._picture_and_text()] if self.origin or self.text else []
        for ids, share in ((self.like, LIKE if parts else 1.0), (self.unlike, -UNLIKE)):
            if ids:
                parts.append(share * normalise(self.store.vectors(ids)).mean(0))
        return normalise(np.sum(parts, axis=0))

    def _picture_and_text(self) -> np.ndarray:
        weight = self.request.weight
        if self.origin is None:
            return normalise(self._model().embed_texts([self.text])[0])
        if not self.text or weight == 0:
            return normalise(self._picture(self.origin))
        both = self._composed(self.origin)
        if weight == BALANCED:
            return both
        if weight < BALANCED:  # from the picture alone to the composition, and on to the text alone
            return normalise((1 - 2 * weight) * normalise(self._picture(self.origin)) + 2 * weight * both)
        text = self._model().embed_texts([self.text])[0]
        return normalise((2 - 2 * weight) * both + (2 * weight - 1) * normalise(text))

    def _composed(self, origin: Reference) -> np.ndarray:
        model = self._model()
        if model.joint:
            return normalise(model.compose_pictures([self._shown(origin)], [self.text])[0])
        return normalise(model.compose(self._picture(origin)[None], [self.text])[0])

    def _shown(self, origin: Reference) -> Image.Image:
        """The picture that the user means, mirrored where that is asked."""
        picture = origin.load()
        return ImageOps.mirror(picture) if self.request.mirror else picture

    def _picture(self, origin: Reference) -> np.ndarray:
        def embed() -> np.ndarray:
            return self._model().embed_images([self._shown(origin)])[0]

        if not self.request.mirror and origin.vector is not None:
            return origin.vector
        if not self.request.mirror and origin.item:
            return self.store.vectors([origin.item.id])[0]
        key = (origin.item.id if origin.item else None, origin.digest, origin.box, self.request.mirror)
        return self.cache.get(key, embed) if origin.digest else embed()

    def _stored(self, origin: Reference) -> bool:
        return origin.vector is not None or origin.item is not None

    def _model(self) -> Embedder:
        if self.model is None:
            raise GalleryError(self.absent)
        return self.model
