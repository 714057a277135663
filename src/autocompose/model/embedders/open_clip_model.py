"""Any model of open_clip, with its own tokenizer and its own preparation of pictures.

Composition is a weighted sum: none of them was trained to compose.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from autocompose.core.errors import AutocomposeError, CheckpointError, DependencyError
from autocompose.core.files import file_hash, read_json, value_hash
from autocompose.core.log import track
from autocompose.model.embedders.embedder import Embedder, TextCache, decoded

if TYPE_CHECKING:
    import torch

    from autocompose.model.embed import Picture

TAG = "pretrained:"
CONFIG = "open_clip_config.json"
HASHED = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.json", "*.model", "*.txt")


class Loaded(NamedTuple):
    """A model of open_clip, and what makes tensors of pictures and texts for it."""

    clip: Any
    pixels: Callable[[Image.Image], torch.Tensor]
    tokens: Callable[[list[str]], torch.Tensor]
    device: torch.device


class OpenClipModel(Embedder):
    """A model of open_clip.

    :param source: ``pretrained:TAG`` or ``pretrained:ARCHITECTURE:TAG``, which may download weights and tokenizer; or a
        folder in open_clip's format (``open_clip_config.json``, weights, tokenizer), for which nothing is downloaded.
    :param text_weight: weight of the text in a composition; None = 0.5.
    :raises CheckpointError: there is no such folder or tag.
    """

    def __init__(self, source: str, text_weight: float | None = None, batch_size: int = 16) -> None:
        self.text_weight, self.batch_size = text_weight, batch_size
        if source.startswith(TAG):
            from autocompose.model.weights.start_weights import pretrained_model

            self.name, self._known = source, pretrained_model(source)
            self.fingerprint = value_hash([TAG, *self._known])[:16]
        else:
            self.name, self._known = str(Path(source).resolve()), (f"local-dir:{Path(source).resolve()}", "")
            _check(Path(source))
            files = sorted({path for pattern in HASHED for path in Path(source).glob(pattern)})
            self.fingerprint = value_hash(["open_clip", *([p.name, file_hash(p)] for p in files)])[:16]
        self._texts = TextCache(self._encode_texts)
        self._loading = threading.Lock()
        self._kept: Loaded | None = None

    def __reduce__(self) -> tuple[type[OpenClipModel], tuple[Any, ...]]:
        """Another process loads the model itself."""
        return OpenClipModel, (self.name, self.text_weight, self.batch_size)

    @property
    def loaded(self) -> Loaded:
        """The model, loaded when it is first used.

        :raises CheckpointError: it cannot be loaded; DependencyError: its tokenizer needs transformers.
        """
        with self._loading:
            if self._kept is None:
                self._kept = _load(self.name, *self._known)
            return self._kept

    def embed_images(self, images: Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` un-normalised."""
        import torch

        clip, pixels, _, device = self.loaded
        parts = []
        for start in track(range(0, len(images), self.batch_size), "encoding pictures"):
            batch = torch.stack([pixels(decoded(image)) for image in images[start : start + self.batch_size]])
            with torch.inference_mode():
                parts.append(clip.encode_image(batch.to(device)).float().cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, self.dim), np.float32)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised; each is computed once."""
        return self._texts(texts)

    def _encode_texts(self, texts: list[str]) -> np.ndarray:
        import torch

        clip, _, tokens, device = self.loaded
        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), self.batch_size):
                batch = tokens(texts[start : start + self.batch_size]).to(device)
                parts.append(clip.encode_text(batch).float().cpu().numpy())
        return np.concatenate(parts)


def is_open_clip_folder(path: Path) -> bool:
    """Whether a folder is a model in open_clip's format."""
    return (path / CONFIG).is_file()


def _check(folder: Path) -> None:
    config = read_json(folder / CONFIG)
    parts = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(parts, dict) or not isinstance(parts.get("text_cfg"), dict):
        raise CheckpointError(f"{folder / CONFIG}: lacks model_cfg with text_cfg; expected open_clip's own format")
    if (name := parts["text_cfg"].get("hf_tokenizer_name")) and not list(folder.glob("tokenizer*")):
        raise CheckpointError(f"{folder}: no tokenizer; copy that of {name} (tokenizer.json ...) into the folder")


def _load(shown: str, name: str, tag: str) -> Loaded:
    import open_clip
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with _quiet(), _offline(not tag):
            clip, _, pixels = open_clip.create_model_and_transforms(name, tag or None, require_pretrained=True)
            tokens = open_clip.get_tokenizer(name)
    except ImportError as error:
        raise DependencyError(error.name or "transformers", "embedders", shown) from None
    except AutocomposeError:
        raise
    except Exception as error:  # of hubs, networks, archives and configurations
        said = " ".join(str(error).split())[:200] or type(error).__name__
        hint = "connect, or name a folder in open_clip's format" if tag else "copy the folder again"
        raise CheckpointError(f"{shown}: open_clip cannot load it ({said}); {hint}") from None
    return Loaded(clip.eval().to(device), _whole(clip, pixels), tokens, device)


def _whole(clip: Any, pixels: Callable[[Image.Image], torch.Tensor]) -> Callable[[Image.Image], torch.Tensor]:
    """The model's own preparation, but hands and feet are not cropped away: first the picture is padded (TargetPad)."""
    from autocompose.corpus.pictures.transforms import Transform, square_crop

    config = getattr(clip.visual, "preprocess_cfg", {})
    size = config.get("size", 0)
    side = size if isinstance(size, int) else size[0] if len(set(size)) == 1 else 0
    if config.get("resize_mode") != "shortest" or config.get("interpolation") != "bicubic" or not side:
        return pixels
    crop = square_crop(Transform.TARGETPAD, side)
    return lambda image: pixels(crop(image))


@contextmanager
def _offline(active: bool) -> Iterator[None]:
    """No request goes to the Hugging Face hub while a folder of this machine is opened."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or active
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip tells its progress on the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(max(before, logging.ERROR))
    try:
        yield
    finally:
        root.setLevel(before)
