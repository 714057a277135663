"""A run folder is a model: ``model.safetensors`` (weights) and ``model.json`` (what they belong to).

``model.json`` holds the encoder's configuration (architecture, activation, transform, vocabulary), the composer's
sizes, and a card with what is known about the training: data hash, settings, metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

import autocompose
from autocompose.core.errors import CheckpointError, missing_file
from autocompose.core.files import file_hash, read_json, write_bytes, write_json
from autocompose.core.several import is_one, several
from autocompose.model.bundled import model_folder
from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.embed import Picture, embed_images, embed_texts
from autocompose.model.encoder import Encoder, EncoderConfig
from autocompose.model.weights.weight_files import read_safetensors

FORMAT = 1
Composer = Combiner | ElementwiseSum


@dataclass
class Model:
    """An encoder and the composer that belongs to it.

    :param card: what is known about the training; free JSON.
    """

    encoder: Encoder
    composer: Composer
    card: dict[str, Any] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Model:
        """Move encoder and composer, in place."""
        self.encoder.to(device)
        self.composer.to(device)
        return self

    def embed_images(self, images: Picture | Sequence[Picture], batch_size: int | None = None) -> np.ndarray:
        """Pictures (paths or PIL) -> ``(N, D)`` float32, not normalised; a single one -> ``(D,)``.

        :raises ImageError: names the first file that cannot be opened.
        """
        features = embed_images(self.encoder, several(images), batch_size=batch_size)[0].numpy()
        return features[0] if is_one(images) else features

    def embed_texts(self, texts: str | Sequence[str], batch_size: int = 128) -> np.ndarray:
        """Texts -> ``(N, D)`` float32, not normalised; a single one -> ``(D,)``."""
        features = embed_texts(self.encoder, several(texts), batch_size).numpy()
        return features[0] if is_one(texts) else features

    @torch.inference_mode()
    def compose(self, images: np.ndarray | Tensor, texts: np.ndarray | Tensor, batch_size: int = 1024) -> np.ndarray:
        """Un-normalised features of pictures and texts -> float32 normalised predictions.

        :param images: ``(N, D)``, or ``(D,)`` of a single picture; ``texts`` likewise, as many or one for all.
        :return: ``(N, D)``, or ``(D,)`` when both are single.
        """
        self.composer.eval()
        device = self.encoder.device
        image, text = torch.broadcast_tensors(
            *(torch.as_tensor(features, dtype=torch.float32) for features in (images, texts))
        )
        single = image.ndim == 1
        image, text = torch.atleast_2d(image, text)
        parts = zip(image.split(batch_size), text.split(batch_size), strict=True)
        found = torch.cat([self.composer(i.to(device), t.to(device)).cpu() for i, t in parts]).numpy()
        return found[0] if single else found


def save_model(folder: Path, model: Model, card: dict[str, Any] | None = None) -> None:
    """Write ``model.safetensors``, then ``model.json`` (each atomically).

    :param card: replaces ``model.card``.
    """
    folder = Path(folder)
    state = {f"encoder.{k}": v for k, v in model.encoder.clip.state_dict().items()}
    state |= {f"composer.{k}": v for k, v in model.composer.state_dict().items()}
    write_bytes(folder / "model.safetensors", save({k: v.detach().cpu().contiguous() for k, v in state.items()}))
    write_json(
        folder / "model.json",
        {
            "format": FORMAT,
            "autocompose": autocompose.__version__,
            "encoder": model.encoder.config.model_dump(mode="json", exclude_none=True),
            "composer": _composer_sizes(model.composer),
            "sha256": file_hash(folder / "model.safetensors"),
            "card": model.card if card is None else card,
        },
    )


def load_model(folder: str | Path) -> Model:
    """Read a run folder (or ``small``, the model of this package), in eval mode on the CPU.

    :raises CheckpointError: a file is missing, of another format, or does not fit.
    """
    folder = model_folder(folder)
    weights = folder / "model.safetensors"
    for path in (folder / "model.json", weights):
        if not path.exists():
            raise CheckpointError(str(missing_file(path, "model file", "name a folder that training has written")))
    info = read_json(folder / "model.json")
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / 'model.json'}: not a model of format {FORMAT}; was it written by another version?"
        )
    missing = [key for key in ("encoder", "composer") if not isinstance(info.get(key), dict)]
    if missing:
        raise CheckpointError(f"{folder / 'model.json'}: lacks {' and '.join(missing)}; copy the run folder again")
    encoder = Encoder(EncoderConfig.parse(info["encoder"], str(folder / "model.json")))
    composer = _composer(info["composer"], encoder.dim, str(folder / "model.json"))
    state = read_safetensors(weights)
    for prefix, module in (("encoder.", encoder.clip), ("composer.", composer)):
        fit(module, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, str(weights))
    return Model(encoder.eval(), composer.eval(), info.get("card", {}))


def fit(module: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Load weights into a module; every name and shape must agree.

    :raises CheckpointError: says how many names are missing, unknown or of another shape, and the first of each.
    """
    own = module.state_dict()
    faults = {
        "missing": [k for k in own if k not in state],
        "unknown": [k for k in state if k not in own],
        "of another shape": [
            f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}"
            for k in own
            if k in state and own[k].shape != state[k].shape
        ],
    }
    found = [f"{len(names)} {what} (first: {names[0]})" for what, names in faults.items() if names]
    if found:
        raise CheckpointError(f"{origin}: the weights do not fit {type(module).__name__}: {'; '.join(found)}")
    module.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})


def _composer_sizes(composer: Composer) -> dict[str, Any]:
    if isinstance(composer, ElementwiseSum):
        return {"kind": "sum"}
    return {
        "kind": "combiner",
        "projection_dim": composer.projection_dim,
        "hidden_dim": composer.hidden_dim,
        "dropout": composer.dropout,
    }


def _composer(sizes: dict[str, Any], dim: int, origin: str) -> Composer:
    kind, rest = sizes.get("kind"), {k: v for k, v in sizes.items() if k != "kind"}
    try:
        return ElementwiseSum() if kind == "sum" else Combiner(dim, **rest)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{origin}: composer: {error}") from None
