"""A hook of the documentation site: the command-line reference is generated from the program itself."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from autocompose.cli import app, load_verbs

PAGE = "reference/cli.md"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Append every verb with its arguments, options and defaults to the page of the command line."""
    if page.file.src_uri != PAGE:
        return markdown
    load_verbs()
    root = typer.main.get_command(app)
    return markdown + "\n" + "\n".join(_sections(root, "autocompose"))


def _sections(command: TyperCommand | TyperGroup, name: str) -> list[str]:
    context = typer.Context(command, info_name=name)
    if isinstance(command, TyperGroup):
        inner = [(key, command.get_command(context, key)) for key in command.list_commands(context)]
        return [text for key, verb in inner if verb and not verb.hidden for text in _sections(verb, f"{name} {key}")]
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    rows = [_row(parameter, context) for parameter in command.params if not getattr(parameter, "hidden", False)]
    table = ["| option | meaning | default |", "|---|---|---|", *rows] if rows else []
    return [f"## `{name}`\n", f"{_plain(command.help or '')}\n", f"    {usage}\n", *table, ""]


def _row(parameter: Any, context: typer.Context) -> str:
    record = parameter.get_help_record(context)
    default = parameter.get_default(context, call=False)
    shown = "" if default in (None, "", (), []) or callable(default) else f"`{default}`"
    names = record[0] if record else parameter.human_readable_name
    text = getattr(parameter, "help", None) or (record[1] if record else "")
    return f"| `{names.replace('|', '&#124;')}` | {_plain(text)} | {shown} |"


def _plain(text: str) -> str:
    """One line of Markdown: no table bars, no markup."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
