"""The verb ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import START, app


@app.command(rich_help_panel=START)
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo; an unfinished demo continues.")] = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="The same stages on 12 cubes, in about a minute.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Train an image encoder too, from random weights; 20 to 60 minutes.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the search page in the end.")] = False,
) -> None:
    """Train the model small further on a rendered benchmark, and measure it: texts, both stages, evaluation, report."""
    from autocompose.demo.demo import run_demo

    _, serve = run_demo(out, quick, seed, from_scratch)
    if open_page:
        app(serve)
