"""The typer application that the verbs register with, and how errors become exit codes."""

from __future__ import annotations

import ast
import errno
import inspect
import os
import re
import sys
import textwrap
from contextlib import suppress
from importlib.metadata import requires
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from autocompose.cli.renamed import current_names
from autocompose.core.errors import AutocomposeError, CorpusError, DependencyError, NothingLeftError
from autocompose.core.files import cannot_write
from autocompose.core.log import escape_output
from autocompose.core.reading.plain import cause

# Groups of verbs in the help, in the order in which they are shown.
PANELS = START, CORPORA, TEXTS, TRAINING, SEARCH, PAPER = (
    "Start here", "Corpora", "Texts", "Training", "Search", "Paper",
)  # fmt: skip

PoseWeights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Pose networks made by runs/convert_blazepose.py.", show_default="the shipped ones"
    ),
]


class _Verbs(TyperGroup):
    """The verbs in help order; groups of verbs come first in their panel."""

    def list_commands(self, ctx: Any) -> list[str]:
        def place(name: str) -> tuple[int, bool]:
            command = self.commands[name]
            return PANELS.index(command.rich_help_panel), not isinstance(command, TyperGroup)  # type: ignore[attr-defined]

        return sorted(self.commands, key=place)


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help='Search human poses by "like this picture, but with this change", and build everything such a search needs.',
    epilog="Every verb takes --debug, which shows the full traceback of an error.",
)
prepare = typer.Typer(no_args_is_help=True, help="Turn a dataset, motion capture or photographs into a corpus.")
describe = typer.Typer(no_args_is_help=True, help="Write transition descriptions into a corpus.")
app.add_typer(prepare, name="prepare", rich_help_panel=CORPORA)
app.add_typer(describe, name="describe", rich_help_panel=TEXTS)

MAX_ENTRIES = 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # what a disk says that takes no more


def _show_version(wanted: bool) -> None:
    if wanted:
        from autocompose import __version__

        typer.echo(f"autocompose {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep the program a group of verbs even if only one is registered."""


def restore_help(group: typer.Typer) -> None:
    """Restore every verb's first help paragraph from the source if ``python -OO`` has removed docstrings."""
    for command in group.registered_commands:
        if command.callback and not command.help and not command.callback.__doc__:
            with suppress(OSError, SyntaxError, IndexError):
                source = ast.parse(textwrap.dedent(inspect.getsource(command.callback)))
                command.help = ast.get_docstring(source.body[0])  # type: ignore[arg-type]
    for inner in group.registered_groups:
        if inner.typer_instance:
            restore_help(inner.typer_instance)


def run(argv: list[str]) -> int:
    """Run one command line and return its exit code.

    :return: 0 done, 1 done but nothing is left, 2 an error with one line, 130 interrupted.
    """
    escape_output()
    debug = "--debug" in argv
    argv = current_names([a for a in argv if a != "--debug"])
    try:
        app(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except AutocomposeError as error:
        if debug:
            raise
        print(f"autocompose: {error}", file=sys.stderr)  # noqa: T201
        for entry in error.entries[:MAX_ENTRIES] if isinstance(error, CorpusError) and len(error.entries) > 1 else ():
            print(f"  {entry}", file=sys.stderr)  # noqa: T201
        return 1 if isinstance(error, NothingLeftError) else 2
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = _extra_of(package)
        if debug or extra is None:
            raise
        print(f"autocompose: {DependencyError(package, extra, 'this command')}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        if debug:
            raise
        if error.errno in FULL:
            print(f"autocompose: {cannot_write(Path(error.filename or '.'), error)}", file=sys.stderr)  # noqa: T201
            return 2
        print(f"autocompose: {_refused(error)}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("autocompose: interrupted; the same command continues where it stopped", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def _refused(error: OSError) -> str:
    """One line for an unexpected refusal by the operating system."""
    if error.filename is None:
        return f"the operating system refuses: {error.strerror or error}; see more with --debug"
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    return f"{name}: {cause(error)}; see where with --debug"


def _extra_of(package: str) -> str | None:
    """The extra that installs an optional package; None for other packages."""
    for line in requires("autocompose") or ():
        name, _, condition = line.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)", condition)
        if extra and re.split(r"[^\w-]", name)[0].replace("-", "_") == package:
            return extra[1]
    return None
