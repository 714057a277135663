"""Identity of a model: equal fingerprints mean equal features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocompose.core.files import value_hash


def stated_fingerprint(info: Mapping[str, Any]) -> str:
    """Of the values of a ``model.json``, which state the hash of the weights; no weights are read."""
    return value_hash([info.get("sha256"), info.get("encoder"), info.get("composer")])[:16]
