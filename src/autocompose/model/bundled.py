"""The model that ships with the package: small-v2, its weights in half precision.

``runs/small.sh`` makes it from nothing but the package; docs/small.md is its card. Its image side is the estimator of
``estimate``, whose weights lie there.
"""

from __future__ import annotations

from pathlib import Path

NAME = "small"
FOLDER = Path(__file__).with_name("small-v2")


def model_folder(name: str | Path) -> Path:
    """The run folder of a name: ``small`` is the model of this package; any other name is a folder.

    A run folder called ``small`` in the working directory takes precedence.
    """
    return FOLDER if str(name) == NAME and not Path(name, "model.json").exists() else Path(name)
