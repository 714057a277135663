"""Verb: describe pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autocompose.cli.app import describe
from autocompose.core.log import say

if TYPE_CHECKING:
    from autocompose.describe.pictures.change import PictureChange

NO_CHANGE = "No change of pose is larger than what the estimate may be wrong by."


@describe.command("pictures")
def describe_pictures(
    first: Annotated[Path, typer.Argument(metavar="A", help="Picture of a person.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Picture of the pose to get to.")],
    codes: Annotated[bool, typer.Option("--codes", help="Also print what was measured, and what is left out.")] = False,
    pose_weights: Annotated[
        Path | None,
        typer.Option(help="Networks made by runs/convert_blazepose.py.", show_default="the shipped ones"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides between wordings.")] = 0,
) -> None:
    """Say in words how to get from the pose in picture A to that in picture B (left and right are the person's own)."""
    from autocompose.describe.pictures.change import describe_change

    change = describe_change(first, second, weights=pose_weights, seed=seed)
    for path, count in zip((first, second), change.people, strict=True):
        if count > 1:
            say(f"{path}: {count} people; the most prominent is described")
    typer.echo(change.text or NO_CHANGE)
    for line in _lines(change) if codes else ():
        typer.echo(line)


def _lines(change: PictureChange) -> list[str]:
    lines = [_line(entry, "told") for entry in change.measured]
    lines += [_line(entry, "left out: within the uncertainty") for entry in change.left_out]
    lines += [f"tilt of the whole person: {change.tilt:g} deg, left out: the camera's"] if change.tilt else []
    return [*lines, f"turned to their left, as the camera sees it: {change.turned:g} deg, left out: may be the camera's"]


def _line(entry: dict[str, Any], verdict: str) -> str:
    doubt = f" +- {entry['uncertainty']:g}" if "uncertainty" in entry else ""
    return f"{entry['code']}: {entry['from']:g} to {entry['to']:g} {entry['unit']}{doubt} ({entry['category']}), {verdict}"
