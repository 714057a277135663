"""A model: pictures and texts in, features out, and the composition of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from autocompose.core.errors import ConfigError, InputError
from autocompose.core.log import say
from autocompose.core.several import is_one, several
from autocompose.estimate.estimator import Person
from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.embed import Picture, as_pictures, embed_images, embed_texts
from autocompose.model.encoder import Encoder
from autocompose.model.small2.pose_net import PoseNet, trunk_of_people

Composer = Combiner | ElementwiseSum
Features = TypeVar("Features", np.ndarray, Tensor)
COMPOSED = 1024  # predictions that are computed at a time


@dataclass
class Model:
    """An encoder and the composer that belongs to it.

    A picture is a path, a PIL image, a ``uint8`` array ``(H, W, 3)``, or a tensor ``(3, S, S)`` that ``preprocess``
    made. One picture or text gives ``(D,)``; many give ``(N, D)``. Features are float32 on the CPU.

    :param card: about the training; free JSON.
    :param folder: the run folder that it was loaded from; None for a model in memory only.
    """

    encoder: Encoder
    composer: Composer
    card: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    loaded_fingerprint: str = field(default="", repr=False)

    @classmethod
    def load(cls, source: str | Path = "small") -> Model:
        """Open a model by name; see ``autocompose.load``."""
        from autocompose.model.hub import load

        return load(source)

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``model.json``; ``autocompose.load`` reads them."""
        from autocompose.model.checkpoint import save_model

        save_model(Path(folder), self)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.encoder.device

    @property
    def dim(self) -> int:
        """Feature size D."""
        return self.encoder.dim

    @property
    def preprocess(self) -> Callable[[Image.Image], Tensor]:
        """RGB picture -> ``(3, S, S)`` float32, the encoder's input."""
        return self.encoder.preprocess

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the weights as they were loaded: equal fingerprints, equal features."""
        from autocompose.model.checkpoint import fingerprint_of

        return self.loaded_fingerprint or fingerprint_of(self)

    def to(self, device: torch.device | str) -> Model:
        """Move encoder and composer, in place."""
        self.encoder.to(device)
        self.composer.to(device)
        return self

    def eval(self) -> Model:
        """Switch dropout off; a loaded model starts in this mode."""
        self.encoder.eval()
        self.composer.eval()
        return self

    @overload
    def encode(
        self,
        inputs: Picture | Sequence[Picture],
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        convert_to_tensor: Literal[False] = False,
    ) -> np.ndarray: ...

    @overload
    def encode(
        self,
        inputs: Picture | Sequence[Picture],
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        *,
        convert_to_tensor: Literal[True],
    ) -> Tensor: ...

    def encode(
        self,
        inputs: Picture | Sequence[Picture],
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        convert_to_tensor: bool = False,
    ) -> np.ndarray | Tensor:
        """Encode any mixture of texts and pictures: a ``str`` is a text, everything else a picture (a ``Path`` too).

        :param inputs: one or many.
        :param batch_size: how many are encoded at a time; None: what suits the device.
        :param normalize_embeddings: scale each feature to length 1.
        :param convert_to_tensor: give a torch tensor instead of a numpy array.
        :return: ``(N, D)``, or ``(D,)`` of a single one.
        :raises ImageError: names the first file that cannot be opened; InputError: neither text nor picture.
        """
        values, single = ([inputs], True) if isinstance(inputs, str) else as_pictures(inputs)
        texts = [i for i, value in enumerate(values) if isinstance(value, str)]
        pictures = [i for i, value in enumerate(values) if not isinstance(value, str)]
        _warn_of_files([values[i] for i in texts])
        features = torch.empty(len(values), self.dim)
        if pictures:
            features[pictures] = embed_images(self.encoder, [values[i] for i in pictures], batch_size=batch_size)[0]
        if texts:
            features[texts] = embed_texts(self.encoder, [values[i] for i in texts], batch_size or 128)
        features = F.normalize(features, dim=-1) if normalize_embeddings else features
        features = features[0] if single else features
        return features if convert_to_tensor else features.numpy()

    def encode_images(self, images: Picture | Sequence[Picture], batch_size: int | None = None) -> np.ndarray:
        """Pictures -> ``(N, D)`` float32, not normalised; a single one -> ``(D,)``. A ``str`` is a path.

        :raises ImageError: names the first file that cannot be opened.
        """
        pictures, single = as_pictures(images)
        features = embed_images(self.encoder, pictures, batch_size=batch_size)[0].numpy()
        return features[0] if single else features

    def encode_people(self, people: Sequence[Sequence[Person]]) -> np.ndarray:
        """The person, or nobody, that the shipped pose estimator sees in each of N pictures -> ``(N, D)``.

        The features are those of ``encode_images``, without looking at the pictures again.

        :raises ConfigError: the image side does not see with the pose estimator.
        """
        visual = self.encoder.visual
        if not isinstance(visual, PoseNet):
            raise ConfigError("encode_people: this model sees pictures, not people; use encode_images")
        with torch.no_grad():
            features: Tensor = visual.head(trunk_of_people(people).to(self.device))
            return features.float().cpu().numpy()

    def encode_texts(self, texts: str | Sequence[str], batch_size: int = 128) -> np.ndarray:
        """Texts -> ``(N, D)`` float32, not normalised; a single one -> ``(D,)``."""
        features = embed_texts(self.encoder, several(texts), batch_size).numpy()
        return features[0] if is_one(texts) else features

    encode_image, encode_text = encode_images, encode_texts  # open_clip's names

    def compose(self, images: Picture | Sequence[Picture], texts: str | Sequence[str]) -> np.ndarray:
        """Query vector: the normalised feature of "like this picture, but with this change".

        :param images: one picture or N; :param texts: as many, or one for all.
        :return: ``(N, D)``, or ``(D,)`` of one picture and one text.
        :raises ImageError: names the first file that cannot be opened; InputError: numbers that do not fit together.
        """
        return self.compose_features(self.encode_images(images), self.encode_texts(texts))

    @torch.inference_mode()
    def compose_features(self, images: Features, texts: Features, batch_size: int = COMPOSED) -> Features:
        """Un-normalised features of pictures and texts -> float32 normalised predictions, of the kind they came in.

        :param images: ``(N, D)``, or ``(D,)`` of a single picture; ``texts`` likewise, as many or one for all.
        :return: ``(N, D)``, or ``(D,)`` when both are single.
        :raises InputError: numbers that do not fit together.
        """
        self.composer.eval()
        image, text = (torch.as_tensor(features, dtype=torch.float32) for features in (images, texts))
        try:
            image, text = torch.broadcast_tensors(image, text)
        except RuntimeError:
            sizes = f"{tuple(image.shape)} and {tuple(text.shape)}"
            raise InputError(f"features {sizes}: expected as many pictures as texts, or one for all") from None
        single = image.ndim == 1
        image, text = torch.atleast_2d(image, text)
        parts = zip(image.split(batch_size), text.split(batch_size), strict=True)
        composed = torch.cat([self.composer(i.to(self.device), t.to(self.device)).cpu() for i, t in parts])
        composed = composed[0] if single else composed
        return composed if isinstance(images, Tensor) else composed.numpy()

    def similarity(self, first: Features, second: Features) -> Features:
        """Cosine of every feature with every other: ``(N, D)`` and ``(M, D)`` -> ``(N, M)`` float32.

        :param first: also ``(D,)``, which counts as one; ``second`` likewise.
        """
        a, b = (torch.atleast_2d(torch.as_tensor(f, dtype=torch.float32)) for f in (first, second))
        cosines = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
        return cosines if isinstance(first, Tensor) else cosines.numpy()


def _warn_of_files(texts: Sequence[str]) -> None:
    """Warn about file names encoded as texts: their features would be useless without anybody noticing."""
    named = [text for text in texts if Path(text).suffix and len(text) < 256 and os.path.isfile(text)]
    if named:
        say(f"{named[0]}: a file name encoded as a text; for the picture, pass a Path or call encode_images")
