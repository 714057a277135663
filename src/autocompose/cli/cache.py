"""Verb: cache."""

from __future__ import annotations

from typing import Annotated

import typer

from autocompose.cli.app import START, app


@app.command(rich_help_panel=START)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Clear the cache; it is rebuilt when needed.")] = False,
) -> None:
    """Show or clear the program's cache folder (XDG_CACHE_HOME moves it)."""
    from autocompose.core.cache import cache_places, entries
    from autocompose.core.cache import clear as remove_all

    listed = remove_all() if clear else entries()
    for entry in listed:
        typer.echo(f"{entry.size / 1e6:8.1f} MB  {entry.path}  {entry.purpose}")
    total = sum(entry.size for entry in listed) / 1e6
    what = f"{'removed' if clear else 'total'}: {total:.1f} MB" if listed else "nothing is cached"
    typer.echo(f"{what} (looked in {', '.join(map(str, cache_places()))})")
