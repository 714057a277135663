"""The command line: verbs only; every verb is one function elsewhere."""

from __future__ import annotations

import sys
from importlib import import_module

from autocompose.cli.app import app, restore_help, run

VERB_MODULES = (
    "demo",
    "doctor",
    "query",
    "data",
    "data_bodycpr",
    "annotate_mllm",
    "annotate_rules",
    "annotate_audit",
    "annotate_pictures",
    "learn",
    "cache",
)


def load_verbs() -> None:
    """Import the modules that register verbs."""
    for name in VERB_MODULES:
        import_module(f"autocompose.cli.{name}")
    if sys.flags.optimize > 1:  # Python has left out the docstrings, which are the verbs' help
        restore_help(app)


def main() -> None:
    """Entry point of the ``autocompose`` command."""
    load_verbs()
    sys.exit(run(sys.argv[1:]))


__all__ = ["app", "load_verbs", "main"]
