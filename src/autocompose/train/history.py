"""What the epochs of a training run said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autocompose.train.loop import LOG


def history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a run: loss, seconds and, where it was validated, metrics."""
    text = (Path(folder) / LOG).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]
