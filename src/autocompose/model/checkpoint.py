"""A run folder is a model: ``model.safetensors`` (weights) and ``model.json`` (what they belong to).

``model.json`` holds the encoder's configuration (architecture, activation, transform, vocabulary), the composer's
sizes, and a card about the training: data hash, settings, metrics.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

import autocompose
from autocompose.core.errors import CheckpointError, missing_file
from autocompose.core.files import file_hash, read_json, write_bytes, write_json
from autocompose.model.bundled import model_folder
from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.encoder import Encoder, EncoderConfig
from autocompose.model.fingerprint import stated_fingerprint
from autocompose.model.model import Composer, Model
from autocompose.model.weights.weight_files import read_safetensors

FORMAT = 1


def save_model(folder: Path, model: Model, card: dict[str, Any] | None = None) -> None:
    """Write ``model.safetensors``, then ``model.json`` (each atomically).

    :param card: replaces ``model.card``.
    """
    folder = Path(folder)
    write_bytes(folder / "model.safetensors", _weights(model))
    write_json(
        folder / "model.json",
        {
            "format": FORMAT,
            "autocompose": autocompose.__version__,
            **_sizes(model),
            "sha256": file_hash(folder / "model.safetensors"),
            "card": model.card if card is None else card,
        },
    )


def _weights(model: Model) -> bytes:
    state = {f"encoder.{k}": v for k, v in model.encoder.clip.state_dict().items()}
    state |= {f"composer.{k}": v for k, v in model.composer.state_dict().items()}
    return save({k: v.detach().cpu().contiguous() for k, v in state.items()})


def _sizes(model: Model) -> dict[str, Any]:
    encoder = model.encoder.config.model_dump(mode="json", exclude_none=True)
    return {"encoder": encoder, "composer": _composer_sizes(model.composer)}


def fingerprint_of(model: Model) -> str:
    """The fingerprint that the model's run folder would have."""
    return stated_fingerprint({**_sizes(model), "sha256": hashlib.sha256(_weights(model)).hexdigest()})


def load_model(folder: str | Path) -> Model:
    """Read a run folder (or ``small``, the model of this package), in eval mode on the CPU.

    :raises CheckpointError: a file is missing, of another format, or does not fit.
    """
    folder = model_folder(folder)
    weights = folder / "model.safetensors"
    for path in (folder / "model.json", weights):
        if not path.exists():
            raise CheckpointError(str(missing_file(path, "model file", "name a run folder")))
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
    return Model(encoder.eval(), composer.eval(), info.get("card", {}), folder, stated_fingerprint(info))


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
    problems = [f"{len(names)} {what} (first: {names[0]})" for what, names in faults.items() if names]
    if problems:
        raise CheckpointError(f"{origin}: the weights do not fit {type(module).__name__}: {'; '.join(problems)}")
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
