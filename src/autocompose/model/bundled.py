"""The model that ships with the package: the demo's model in half precision.

It was trained by ``autocompose demo`` on rendered bodies and rule texts alone. On other rendered bodies it answers as
well as the demo's report says; on photographs it is a toy.
"""

from __future__ import annotations

from pathlib import Path

NAME = "small"
FOLDER = Path(__file__).with_name("small-v1")


def model_folder(name: str | Path) -> Path:
    """The run folder that a name stands for: ``small`` is the model of this package, all else a folder itself.

    A run folder of that name in the working directory goes first.
    """
    return FOLDER if str(name) == NAME and not Path(name, "model.json").exists() else Path(name)
