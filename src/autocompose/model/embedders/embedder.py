"""The one interface to a model that puts pictures and texts into one space."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from autocompose.core.errors import InputError
from autocompose.corpus.pictures.gate import as_rgb, open_image

if TYPE_CHECKING:
    from autocompose.estimate.estimator import Person
    from autocompose.model.embed import Picture

BALANCED = 0.5  # weight of the text in a sum that nobody has fitted
LARGEST_SIDE = 1024  # pixels; no embedder looks closer, and large photographs fill the memory


class RefusedInputsError(InputError):
    """An embedder has no features for some of its inputs; the others are there.

    :param features: ``(N, D)``, with NaN in the rows that are missing.
    :param reasons: row -> why, in words.
    """

    def __init__(self, features: np.ndarray, reasons: Mapping[int, str]) -> None:
        first = min(reasons)
        super().__init__(f"{len(reasons)} of {len(features)} inputs were refused; input {first}: {reasons[first]}")
        self.features, self.reasons = features, dict(reasons)


class Embedder(ABC):
    """Features are un-normalised ``(N, D)`` float32; a composition is normalised. Threads may share an embedder.

    A model composes from features that are known already (``compose``) or, when ``joint`` is true, by looking at the
    picture and the text together (``compose_pictures``). One without composition of its own gets ``weighted_sum``.
    """

    name: str = ""  # what ``open_embedder`` opens it by
    fingerprint: str  # equal fingerprints, equal features of pictures
    card: Mapping[str, Any] = {}  # what is known about its training
    text_weight: float | None = None  # of the text in a weighted sum; None: nobody has chosen one
    destination: str = ""  # host and model that pictures are sent to; "" = they stay on this machine
    consent: bool = False  # they may be sent there

    @property
    def settings(self) -> dict[str, Any]:
        """How it is used: ``EmbedderOptions``, where they differ from the defaults."""
        return {} if self.text_weight is None else {"text_weight": self.text_weight}

    @property
    def joint(self) -> bool:
        """Whether it embeds a picture and a text together, so that a composition needs the picture itself."""
        return False

    @property
    def learned(self) -> bool:
        """Whether it was trained to compose; otherwise pictures and texts are added."""
        return self.joint

    @property
    def balance(self) -> float:
        """Weight of the text in a weighted sum."""
        return BALANCED if self.text_weight is None else self.text_weight

    @property
    def query_settings(self) -> str:
        """What features of queries depend on, besides the fingerprint."""
        return ""

    @property
    def finder(self) -> str:
        """Fingerprint of the people finder whose people ``embed_people`` takes; "" = it needs the pictures."""
        return ""

    @property
    def dim(self) -> int:
        """Feature size D."""
        return int(self.embed_texts(["a person"]).shape[1])

    @abstractmethod
    def embed_images(self, images: Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` of pictures (RGB, or files).

        :raises ImageError: a file cannot be opened; RefusedInputsError: some have no features.
        """

    def embed_people(self, people: Sequence[Sequence[Person]]) -> np.ndarray:
        """``(N, D)`` of N pictures in each of which the finder saw one person or nobody.

        :raises NotImplementedError: ``finder`` is "".
        """
        raise NotImplementedError(f"{type(self).__name__} embeds pictures")

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` of the texts of queries.

        :raises RefusedInputsError: some have no features.
        """

    def compose(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """Features ``(N, D)`` of pictures and N texts -> ``(N, D)`` of the pictures that are asked for."""
        return weighted_sum(images, self.embed_texts(texts), self.balance)

    def compose_pictures(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """N pictures and N texts -> ``(N, D)``; the way of a ``joint`` model."""
        return self.compose(self.embed_images(images), texts)


def embed_pictures(model: Embedder, images: Sequence[Picture]) -> tuple[np.ndarray, dict[int, str]]:
    """Features ``(N, D)`` of pictures, and row -> why there are none of some, whose rows are NaN."""
    try:
        return (model.embed_images(images) if images else np.empty((0, 0), np.float32)), {}
    except RefusedInputsError as error:
        return error.features, error.reasons


def weighted_sum(images: np.ndarray, texts: np.ndarray, text_weight: float) -> np.ndarray:
    """Normalised weighted sum of the normalised features ``(N, D)`` of pictures and texts.

    :param text_weight: 0 = the picture alone, 1 = the text alone.
    """
    return unit((1 - text_weight) * unit(images) + text_weight * unit(texts))


def unit(features: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; rows of zeros stay zero."""
    features = np.asarray(features, np.float32)
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return features / np.where(length == 0, 1, length)


def decoded(image: Picture, side: int = LARGEST_SIDE) -> Image.Image:
    """A picture as RGB; a file is opened, and reduced to about ``side`` pixels when it is larger.

    :raises ImageError: the file cannot be opened; InputError: neither a file nor a picture.
    """
    if isinstance(image, (str, Path)):
        return open_image(Path(image), side)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        raise InputError(f"a {type(image).__name__}: not a picture; expected a path, a PIL image or a uint8 array")
    return as_rgb(image)


class TextCache:
    """Features of texts, computed once. Threads may share it.

    :param embed: texts -> un-normalised features ``(N, D)``.
    :param limit: how many texts are kept; the one that was used longest ago goes first.
    """

    def __init__(self, embed: Callable[[list[str]], np.ndarray], limit: int = 2048) -> None:
        self._embed, self._limit = embed, limit
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` of N texts."""
        with self._lock:
            known = {text: self._kept[text] for text in texts if text in self._kept}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, self._embed(new), strict=True))
        with self._lock:
            for text, features in known.items():
                self._kept[text] = features
                self._kept.move_to_end(text)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return np.stack([known[text] for text in texts])
