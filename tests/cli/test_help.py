"""What the help says is what stands in the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rich.text import Text
from typer.main import get_command

from autocompose.cli import app, load_verbs


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, command
    for verb, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {verb}".strip())


load_verbs()
COMMANDS = dict(commands(get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_words_of_the_help_are_taken_for_markup(name: str) -> None:
    command = COMMANDS[name]
    said = [command.help, command.epilog, *(getattr(param, "help", None) for param in command.params)]
    for text in filter(None, said):
        assert Text.from_markup(text).plain == text
