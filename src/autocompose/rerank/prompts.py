"""The prompts of re-ranking: a folder of readable files, versioned by the hash of their contents."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any

from autocompose.core.config import read_toml
from autocompose.core.errors import ConfigError
from autocompose.core.files import read_json
from autocompose.core.reading.plain import decode, read_file

BUILT_IN = Path(__file__).parent / "prompts"
FILES = ("grid.md", "grid.schema.json", "single.md", "single.schema.json", "user.toml")


@dataclass(frozen=True)
class Prompts:
    """One prompt set.

    :param folder: where its files lie.
    :raises ConfigError: one of them is missing.
    """

    folder: Path

    def __post_init__(self) -> None:
        missing = [name for name in FILES if not (self.folder / name).is_file()]
        if missing:
            raise ConfigError(f"{self.folder}: not a prompt set for re-ranking, {missing[0]} is missing")

    @cached_property
    def hash(self) -> str:
        """SHA-256 over names and contents, 16 digits."""
        digest = hashlib.sha256()
        for name in FILES:
            digest.update(name.encode() + b"\0" + read_file(self.folder / name) + b"\0")
        return digest.hexdigest()[:16]

    @cached_property
    def _lines(self) -> dict[str, dict[str, str]]:
        return read_toml(self.folder / "user.toml")

    def line(self, section: str, name: str, **values: object) -> str:
        """One line of ``user.toml`` with its ``$`` places filled.

        :raises ConfigError: the prompt set lacks it.
        """
        try:
            return Template(self._lines[section][name]).safe_substitute({k: str(v) for k, v in values.items()})
        except (KeyError, TypeError):
            raise ConfigError(f"{self.folder / 'user.toml'}: [{section}] {name} is missing, or no text") from None

    def schema(self, way: str) -> dict[str, Any]:
        """The JSON schema of the answers."""
        return read_json(self.folder / f"{way}.schema.json", dict)

    def system(self, way: str, **values: object) -> str:
        """The system prompt."""
        path = self.folder / f"{way}.md"
        return Template(decode(read_file(path), path).strip()).safe_substitute({k: str(v) for k, v in values.items()})


def load_prompts(name: str) -> Prompts:
    """A built-in prompt set by name, or one from a folder.

    :raises ConfigError: neither exists.
    """
    folder = next((path for path in (BUILT_IN / name, Path(name)) if path.is_dir()), None)
    if folder is None:
        built_in = ", ".join(sorted(path.name for path in BUILT_IN.iterdir() if path.is_dir()))
        raise ConfigError(f"re-ranking prompts {name!r}: no such folder; built-in prompt sets: {built_in}")
    return Prompts(folder)
