"""The command line: verbs only; every verb is one function elsewhere."""

from __future__ import annotations

import sys

from autocompose.cli.app import app, run


def main() -> None:
    """Entry point of the ``autocompose`` command."""
    from autocompose.cli import annotate, data, learn, query  # noqa: F401  (each registers its verbs)

    sys.exit(run(sys.argv[1:]))


__all__ = ["app", "main"]
