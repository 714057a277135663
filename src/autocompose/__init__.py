"""autocompose: search human poses by "like this picture, but with this change"."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> module; imported on first use, so that `import autocompose` stays fast.
_PUBLIC = {
    "AutocomposeError": "core.errors",
    "Corpus": "corpus.format",
    "Edit": "core.records",
    "Gallery": "gallery.search",
    "Pair": "core.records",
    "Query": "core.records",
    "Source": "core.records",
    "Split": "core.records",
    "describe_change": "describe.pictures.change",
    "load": "model.hub",
    "load_corpus": "corpus.format",
    "push_to_hub": "model.hub",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"autocompose.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'autocompose' has no attribute {name!r}")
