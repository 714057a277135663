"""Which model is it? Models of equal fingerprint give equal features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autocompose.core.errors import CheckpointError
from autocompose.core.files import read_json, value_hash
from autocompose.model.bundled import model_folder

_STATED = {"sha256": str, "encoder": dict}  # what every model.json holds


def fingerprint(folder: Path) -> str:
    """Of a run folder, as its ``model.json`` states weights and configuration; no weights are read.

    :raises CheckpointError: no such file.
    """
    path = model_folder(folder) / "model.json"
    if not path.exists():
        raise CheckpointError(f"{path}: model file not found; name a folder that training has written")
    info = read_json(path)
    if not isinstance(info, dict) or not all(isinstance(info.get(key), kind) for key, kind in _STATED.items()):
        raise CheckpointError(f"{path}: states no sha256 and encoder; expected what training has written")
    return stated_fingerprint(info)


def stated_fingerprint(info: dict[str, Any]) -> str:
    """Of the values of a ``model.json``."""
    return value_hash([info.get("sha256"), info.get("encoder"), info.get("composer")])[:16]
