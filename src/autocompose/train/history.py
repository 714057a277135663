"""What the epochs of a training run said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autocompose.core.reading.jsontext import parse_json
from autocompose.core.reading.plain import read_file
from autocompose.train.loop import LOG


def history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a run: loss, seconds and, where it was validated, metrics."""
    path = Path(folder) / LOG
    return [parse_json(line, f"{path}, line {i}", dict) for i, line in enumerate(read_file(path).splitlines(), 1)]
