"""Prompt sets: a folder of readable files, versioned by the hash of their contents."""

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
from autocompose.describe.mllm.frames import QUESTION_FRAMES, Frame

BUILT_IN = Path(__file__).parent / "prompts"
FILES = (
    *(f"parts.{frame}{end}" for frame in QUESTION_FRAMES for end in (".md", ".schema.json")),
    *("texts.md", "texts.schema.json", "user.toml"),
)


SIDE_VIEW = "side_view.toml"
"""Read only where pictures are followed by side views."""


@dataclass(frozen=True)
class Prompts:
    """One prompt set.

    :param folder: where its files lie; all of ``FILES`` must exist.
    """

    folder: Path

    def __post_init__(self) -> None:
        missing = [name for name in FILES if not (self.folder / name).is_file()]
        if missing:
            raise ConfigError(
                f"{self.folder}: not a prompt set, {missing[0]} is missing; copy {BUILT_IN / 'v1'} and edit the copy"
            )

    def hash(self, frame: Frame, side_view: bool = False) -> str:
        """SHA-256 over names and contents of the files that a frame uses, 16 digits.

        :param side_view: pictures are followed by side views.
        """
        digest = hashlib.sha256()
        for name in (*FILES, *((SIDE_VIEW,) if side_view else ())):
            if frame is Frame.AUTO or not name.startswith("parts.") or name.startswith(f"parts.{frame}."):
                digest.update(name.encode() + b"\0" + read_file(self.folder / name) + b"\0")
        return digest.hexdigest()[:16]

    @cached_property
    def lines(self) -> dict[str, dict[str, str]]:
        """The texts around the pictures (``user.toml``)."""
        return read_toml(self.folder / "user.toml")

    def side_view(self, frame: Frame) -> str:
        """The line before a side view.

        :raises ConfigError: the prompt set lacks it.
        """
        path = self.folder / SIDE_VIEW
        if not path.is_file():
            source = BUILT_IN / "v1"
            raise ConfigError(f"{path} is missing, which --pictures with-side-view needs; copy it from {source}")
        try:
            return str(read_toml(path)["side_view"][str(frame)])
        except (KeyError, TypeError):
            raise ConfigError(f"{path}: [side_view] {frame} is missing") from None

    def line(self, section: str, name: str, **values: object) -> str:
        """One line of ``user.toml`` with its ``$`` places filled.

        :raises ConfigError: the prompt set lacks it.
        """
        try:
            return Template(self.lines[section][name]).safe_substitute({k: str(v) for k, v in values.items()})
        except (KeyError, TypeError):
            raise ConfigError(f"{self.folder / 'user.toml'}: [{section}] {name} is missing, or no text") from None

    def schema(self, name: str) -> dict[str, Any]:
        """The JSON schema that belongs to ``name``."""
        return read_json(self.folder / f"{name}.schema.json", dict)

    def parts(self, frame: Frame) -> tuple[str, ...]:
        """The closed list of body parts of a frame."""
        path = f"parts.{frame}"
        try:
            return tuple(self.schema(path)["properties"]["movements"]["items"]["properties"]["part"]["enum"])
        except (KeyError, TypeError):
            raise ConfigError(f"{self.folder / path}.schema.json: movements[].part needs an enum of parts") from None

    def system(self, name: str, language: str, parts: tuple[str, ...] = ()) -> str:
        """The system prompt ``name`` (``parts.colour`` ... or ``texts``)."""
        path = self.folder / f"{name}.md"
        text = decode(read_file(path), path).strip()
        return Template(text).safe_substitute(language=language, parts=", ".join(parts))


def load_prompts(name: str) -> Prompts:
    """A built-in prompt set by name, or one from a folder.

    :raises ConfigError: neither exists.
    """
    if (BUILT_IN / name).is_dir():
        return Prompts(BUILT_IN / name)
    if Path(name).is_dir():
        return Prompts(Path(name))
    built_in = ", ".join(sorted(p.name for p in BUILT_IN.iterdir() if p.is_dir()))
    raise ConfigError(f"--prompts {name}: no such folder; built-in prompt sets: {built_in}")
