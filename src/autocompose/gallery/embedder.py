"""A gallery's interface to a model: features of pictures and texts, their composition, and a fingerprint."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from autocompose.core.errors import CheckpointError
from autocompose.core.files import file_hash, read_json, value_hash
from autocompose.core.several import is_one, several
from autocompose.model.bundled import FOLDER, NAME, model_folder
from autocompose.model.fingerprint import stated_fingerprint

if TYPE_CHECKING:
    from autocompose.model.embed import Picture
    from autocompose.model.model import Model


_STATED = {"sha256": str, "encoder": dict}  # what every model.json holds


class Embedder(Protocol):
    """Features are un-normalised ``(N, D)`` float32; a composition is normalised."""

    fingerprint: str
    card: Mapping[str, Any]  # what is known about its training

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


class _Lazy:
    """A model that is loaded when it is first used."""

    def __init__(self) -> None:
        self._texts = TextCache(lambda texts: self.model.encode_texts(texts))
        self._loading = threading.Lock()
        self._loaded: Model | None = None

    def _load(self) -> Model:
        raise NotImplementedError

    @property
    def model(self) -> Model:
        """The loaded model."""
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

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


class RunFolder(_Lazy):
    """The model of a run folder.

    :param folder: written by training (``model.json`` and ``model.safetensors``), or ``small``.
    :raises CheckpointError: a file is missing or does not fit.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = model_folder(folder)
        self.name = str(self.folder.resolve())
        info = _info(self.folder)
        self.fingerprint, self.card = stated_fingerprint(info), info.get("card") or {}

    def __reduce__(self) -> tuple[type[RunFolder], tuple[Path]]:
        """Another process loads the model itself."""
        return RunFolder, (self.folder,)

    def _load(self) -> Model:
        from autocompose.model.checkpoint import load_model

        return load_model(self.folder)


class PlainClip(_Lazy):
    """A CLIP without a Combiner; pictures and texts are composed by adding their normalised features.

    :param source: a weight file or downloaded repository as ``load_encoder`` reads it, or ``pretrained:TAG``.
    :raises CheckpointError: there is no such file or tag.
    """

    card: Mapping[str, Any] = {}

    def __init__(self, source: str) -> None:
        super().__init__()
        from autocompose.model.weights.start_weights import TAG, pretrained_model

        if source.startswith(TAG):
            self.name = source
            self.fingerprint = value_hash([TAG, *pretrained_model(source)])[:16]
        else:
            from autocompose.model.weights.hugging_face import model_file

            self.name = str(Path(source).resolve())
            file = model_file(Path(source)) if Path(source).is_dir() else Path(source)
            if file is None:
                raise CheckpointError(f"{source}: neither a run folder (no model.json) nor CLIP weights")
            self.fingerprint = value_hash(["clip", file_hash(file)])[:16]

    def __reduce__(self) -> tuple[type[PlainClip], tuple[str]]:
        return PlainClip, (self.name,)

    def _load(self) -> Model:
        from autocompose.model.combiner import ElementwiseSum
        from autocompose.model.model import Model
        from autocompose.model.weights.foreign_weights import load_encoder
        from autocompose.model.weights.start_weights import TAG, pretrained_encoder

        foreign = self.name.startswith(TAG)
        encoder = pretrained_encoder(self.name) if foreign else load_encoder(Path(self.name))
        return Model(encoder.eval(), ElementwiseSum().eval())


def known_model(name: str) -> str | None:
    """What opens the model that a gallery names, judging by the name alone; None: nothing does.

    A gallery of the package's own model names the folder that it lay in, which moves with the package.
    """
    if name.startswith("pretrained:") or (name and Path(name).exists()):
        return name
    return NAME if name == NAME or Path(name).name == FOLDER.name else None


def open_embedder(name: str | Path) -> RunFolder | PlainClip:
    """A model by what names it: a run folder, ``small``, a weight file of a CLIP, or ``pretrained:TAG``.

    :raises CheckpointError: it is none of these.
    """
    path = model_folder(name)
    if str(name).startswith("pretrained:") or path.is_file() or (path.is_dir() and not (path / "model.json").exists()):
        return PlainClip(str(name))
    return RunFolder(Path(name))


def made_for_renders(card: Mapping[str, Any]) -> bool:
    """The model has seen rendered bodies only, by its card."""
    return card.get("pictures") == "renders" or card.get("made by") == "autocompose demo"


def fingerprint(folder: Path) -> str:
    """Hash of a run folder's weights and configuration (as its ``model.json`` states them; no weights are read).

    :raises CheckpointError: no such file.
    """
    return stated_fingerprint(_info(model_folder(folder)))


def _info(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    if not path.exists():
        raise CheckpointError(f"{path}: model file not found; name a run folder")
    info = read_json(path)
    if not isinstance(info, dict) or not all(isinstance(info.get(key), kind) for key, kind in _STATED.items()):
        raise CheckpointError(f"{path}: lacks sha256 or encoder; expected the model of a run folder")
    return info
