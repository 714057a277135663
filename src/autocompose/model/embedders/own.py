"""Our own models as embedders: a run folder that loads when it is needed, or a model in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompose.core.errors import CheckpointError
from autocompose.core.files import file_hash, read_json, value_hash
from autocompose.core.several import is_one, several
from autocompose.model.bundled import model_folder
from autocompose.model.embedders.embedder import Embedder, TextCache
from autocompose.model.fingerprint import stated_fingerprint

if TYPE_CHECKING:
    from autocompose.estimate.estimator import Person
    from autocompose.model.embed import Picture
    from autocompose.model.model import Model

_STATED = {"sha256": str, "encoder": dict}  # what every model.json holds


class LazyModel(Embedder):
    """A model of ours that is loaded when it is first used."""

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

    @property
    def dim(self) -> int:
        """Feature size D."""
        return self.model.dim

    def embed_images(self, images: Picture | Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` un-normalised features of pictures (RGB, or paths); ``(D,)`` of a single one."""
        return self.model.encode_images(images)

    def embed_texts(self, texts: str | Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised features of texts; ``(D,)`` of a single one."""
        features = self._texts(several(texts))
        return features[0] if is_one(texts) else features


class ComposingModel(LazyModel):
    """A model with a composer of its own."""

    @property
    def finder(self) -> str:
        """That of the shipped estimator, for a model that sees with it."""
        from autocompose.estimate.people_finder import shared_finder
        from autocompose.model.small2.pose_net import PoseNet

        return shared_finder().fingerprint if isinstance(self.model.encoder.visual, PoseNet) else ""

    def embed_people(self, people: Sequence[Sequence[Person]]) -> np.ndarray:
        """``(N, D)`` un-normalised features of pictures in which the finder saw these, one or nobody each."""
        return self.model.encode_people(people)

    @property
    def learned(self) -> bool:
        """It was trained to compose."""
        return True

    def compose(self, images: np.ndarray, texts: str | Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised predictions from un-normalised features ``(N, D)`` of pictures and N texts.

        A single picture ``(D,)`` with a single text gives ``(D,)``.
        """
        return self.model.compose_features(images, self.embed_texts(texts))


class RunFolder(ComposingModel):
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


class LoadedModel(ComposingModel):
    """A model in memory.

    :param model: what ``autocompose.load`` or training gives.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._loaded = model
        self.fingerprint, self.card = model.fingerprint, model.card
        self.name = str(model.folder.resolve()) if model.folder else ""

    def __reduce__(self) -> tuple[type[LoadedModel], tuple[Any]]:
        """Another process gets the weights."""
        return LoadedModel, (self.model,)


class WeightFile(LazyModel):
    """A CLIP without a composer, from a weight file or a repository of transformers, as ``load_encoder`` reads it.

    :raises CheckpointError: there is no such file.
    """

    def __init__(self, source: str | Path, text_weight: float | None = None) -> None:
        super().__init__()
        from autocompose.model.weights.hugging_face import model_file

        path = Path(source)
        self.name = str(path.resolve())
        file = model_file(path) if path.is_dir() else path
        if file is None:
            raise CheckpointError(f"{source}: neither a run folder (no model.json) nor CLIP weights")
        self.fingerprint = value_hash(["clip", file_hash(file)])[:16]
        self.text_weight = text_weight

    def __reduce__(self) -> tuple[type[WeightFile], tuple[str, float | None]]:
        return WeightFile, (self.name, self.text_weight)

    def _load(self) -> Model:
        from autocompose.model.combiner import ElementwiseSum
        from autocompose.model.model import Model
        from autocompose.model.weights.foreign_weights import load_encoder

        return Model(load_encoder(Path(self.name)).eval(), ElementwiseSum().eval())


def run_fingerprint(folder: Path) -> str:
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
