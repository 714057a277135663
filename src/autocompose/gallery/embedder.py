"""What a gallery needs of a model: features of pictures and texts, their composition, and a fingerprint."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from autocompose.core.several import is_one, several
from autocompose.model.bundled import HUB, model_folder
from autocompose.model.fingerprint import fingerprint

if TYPE_CHECKING:
    from autocompose.model.embed import Picture
    from autocompose.model.model import Model


@runtime_checkable
class Embedder(Protocol):
    """Features are un-normalised ``(N, D)`` float32; a composition is normalised."""

    fingerprint: str

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """``(N, D)`` of RGB pictures."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` of texts."""

    def compose(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """Features ``(N, D)`` of pictures and N texts -> ``(N, D)`` of the pictures that are asked for."""


class TextCache:
    """Features of texts, computed once. Threads may share it.

    :param embed: texts -> un-normalised features ``(N, D)``.
    :param most: how many texts are kept; the one that was asked for longest ago goes first.
    """

    def __init__(self, embed: Callable[[list[str]], np.ndarray], most: int = 2048) -> None:
        self._embed, self._most = embed, most
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
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return np.stack([known[text] for text in texts])


class LoadedModel:
    """A model that is loaded already.

    :param model: what ``autocompose.load`` or training gives.
    """

    model: Model
    fingerprint: str
    folder: Path | None

    def __init__(self, model: Model) -> None:
        self.model, self.fingerprint, self.folder = model, model.fingerprint, model.folder
        self._texts = TextCache(model.encode_texts)

    def __reduce__(self) -> tuple[type[LoadedModel], tuple[Any]]:
        """Another process gets the weights."""
        return LoadedModel, (self.model,)

    def embed_images(self, images: Picture | Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` un-normalised features of pictures (RGB, or paths); ``(D,)`` of a single one."""
        return self.model.encode_images(images)

    def embed_texts(self, texts: str | Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised features of texts; ``(D,)`` of a single one."""
        features = self._texts(several(texts))
        return features[0] if is_one(texts) else features

    def compose(self, images: np.ndarray, texts: str | Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised predictions from un-normalised features ``(N, D)`` of pictures and N texts.

        A single picture ``(D,)`` with a single text gives ``(D,)``.
        """
        return self.model.compose_features(images, self.embed_texts(texts))


class RunFolder(LoadedModel):
    """The model of a run folder, loaded when it is first used.

    :param folder: written by training (``model.json`` and ``model.safetensors``), or ``small``.
    :raises CheckpointError: a file is missing or does not fit.
    """

    folder: Path

    def __init__(self, folder: Path) -> None:
        self.folder = model_folder(folder)
        self.fingerprint = fingerprint(self.folder)
        self._texts = TextCache(lambda texts: self.model.encode_texts(texts))

    def __reduce__(self) -> tuple[type[RunFolder], tuple[Any]]:
        """Another process loads the model itself."""
        return RunFolder, (self.folder,)

    @cached_property
    def model(self) -> Model:  # type: ignore[override]
        """The loaded model."""
        from autocompose.model.checkpoint import load_model

        return load_model(self.folder)


def embedder_of(model: Embedder | Model | str | Path) -> Embedder:
    """Whatever names a model: a run folder, ``small``, ``hf://OWNER/NAME``, a loaded model.

    :raises CheckpointError: there is none.
    """
    if isinstance(model, Embedder):
        return model
    if not isinstance(model, (str, Path)):
        return LoadedModel(model)
    if not str(model).startswith(HUB):
        return RunFolder(Path(model))
    from autocompose.model.hub import load

    return LoadedModel(load(model))
