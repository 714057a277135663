"""The query vector: reference, text and chosen results, composed by the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import ImageOps

from autocompose.core.errors import GalleryError
from autocompose.gallery.embedder import Embedder
from autocompose.gallery.query import Reference
from autocompose.gallery.request import SearchRequest
from autocompose.gallery.storage.store import Store
from autocompose.gallery.storage.vectors import normalise

# Rocchio's weights: Manning, Raghavan, Schuetze, Introduction to Information Retrieval, section 9.1.1.
LIKE, UNLIKE = 0.75, 0.15


@dataclass
class QueryVector:
    """The vector of one query on one gallery.

    :param model: None: there is none; ``absent`` says so for the user.
    :param text: as it is searched for: in the person's own sides, mirrored already.
    :param like, unlike: ids of items.
    """

    store: Store
    model: Embedder | None
    absent: str
    request: SearchRequest
    origin: Reference | None
    text: str
    like: Sequence[int] = ()
    unlike: Sequence[int] = ()

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
        picture = self._picture(self.origin)
        if not self.text or weight == 0:
            return normalise(picture)
        both = self._model().compose(picture[None], [self.text])[0]
        if weight <= 0.5:  # from the picture alone to the composition, and on to the text alone
            return normalise((1 - 2 * weight) * normalise(picture) + 2 * weight * both)
        text = self._model().embed_texts([self.text])[0]
        return normalise((2 - 2 * weight) * both + (2 * weight - 1) * normalise(text))

    def _picture(self, origin: Reference) -> np.ndarray:
        if not self.request.mirror and origin.vector is not None:
            return origin.vector
        if not self.request.mirror and origin.item:
            return self.store.vectors([origin.item.id])[0]
        picture = origin.load()
        return self._model().embed_images([ImageOps.mirror(picture) if self.request.mirror else picture])[0]

    def _stored(self, origin: Reference) -> bool:
        return origin.vector is not None or origin.item is not None

    def _model(self) -> Embedder:
        if self.model is None:
            raise GalleryError(self.absent)
        return self.model
