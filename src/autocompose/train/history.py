"""The folder of a training run: whose it is, and what its epochs said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autocompose.core.distributed import rank
from autocompose.core.errors import ConfigError
from autocompose.core.files import read_json, write_json
from autocompose.core.jsontext import parse_json, to_json
from autocompose.core.reading import read_file
from autocompose.train.loop import LOG

SETTINGS = "settings.json"


def claim(folder: Path, settings: dict[str, Any]) -> bool:
    """Take a folder for a run with these settings.

    :return: the run has finished already.
    :raises ConfigError: the folder holds a run with other settings; names them.
    """
    path = folder / SETTINGS
    if not path.exists():
        if rank() == 0:
            write_json(path, settings)
        return False
    differences = difference(read_json(path, dict), json.loads(to_json(settings)))
    if differences:
        raise ConfigError(f"{folder}: holds a run with {'; '.join(differences)}; choose another folder or delete it")
    return (folder / "model.json").exists()


def difference(old: Any, new: Any, key: str = "") -> list[str]:
    """What differs between two settings, as lines ``key = old instead of new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(k for k in new if k not in old)]
        return [line for k in keys for line in difference(old.get(k), new.get(k), f"{key}.{k}".lstrip("."))]
    short = [str(v)[:12] + "…" if isinstance(v, str) and len(v) == 64 else repr(v) for v in (old, new)]
    return [] if old == new else [f"{key} = {short[0]} instead of {short[1]}"]


def history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a run: loss, seconds and, where it was validated, metrics."""
    path = Path(folder) / LOG
    return [parse_json(line, f"{path}, line {i}", dict) for i, line in enumerate(read_file(path).splitlines(), 1)]
