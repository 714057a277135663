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
) -> None:
    """Render the embedded benchmark, then train, evaluate and search a model, from scratch."""
    from autocompose.demo.demo import run_demo

    run_demo(out, quick, seed)
