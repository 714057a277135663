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


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_shows_its_default(name: str) -> None:
    for param in COMMANDS[name].params:
        if param.param_type_name != "option" or param.required or (param.is_flag and not param.secondary_opts):
            continue
        shown = param.show_default if isinstance(param.show_default, str) else param.default
        assert shown not in (None, "", ()), f"{name} {param.name}"


def test_shown_defaults_are_those_of_the_settings() -> None:
    from autocompose.model.encoder import EncoderConfig
    from autocompose.train.runs import CombinerSettings, FinetuneSettings

    stages, shown = (FinetuneSettings(), CombinerSettings()), {p.name: p.show_default for p in COMMANDS["train"].params}
    for name in ("epochs", "batch_size", "learning_rate"):
        values = [float(word.split()[1]) for word in shown[name].split(", ")]
        assert values == [getattr(stage.loop, name) for stage in stages]
    more = {p.name: p.show_default for p in COMMANDS["finetune"].params}
    assert more["part"] == stages[0].part and more["transform"] == EncoderConfig(arch="RN50").transform
    for stage in stages:
        assert shown["texts"] == f"{stage.text.source.value}_{stage.text.texts}" and shown["seed"] == "0"
        assert stage.loop.seed == 0 and not stage.text.cycle and stage.loop.tracker == "none"


def test_old_names_of_options_are_taken_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    from autocompose.cli.renamed import RENAMED, current_names

    argv = ["describe", "mllm", "corpus", "--engine=ray", "--texts", "2"]
    assert current_names(argv) == ["describe", "mllm", "corpus", "--on=ray", "--wordings", "2"]
    assert "--engine is now called --on" in capsys.readouterr().err
    assert current_names(["search", "gallery", "--engine", "symbolic"])[2:] == ["--engine", "symbolic"]
    for verb, names in RENAMED.items():
        options = {option for param in COMMANDS[verb].params for option in param.opts}
        assert set(names.values()) <= options and not set(names) & options


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import autocompose
    from autocompose.cli.app import run

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"autocompose {autocompose.__version__}\n"
