"""Verb: describe pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocompose.cli.app import PoseWeights, describe
from autocompose.core.log import say

if TYPE_CHECKING:
    from autocompose.describe.pictures.change import Measurement, PoseChange

NO_CHANGE = "No change of pose is larger than what the estimated poses may be wrong by."


@describe.command("pictures")
def describe_pictures(
    first: Annotated[Path, typer.Argument(metavar="A", help="Picture of a person.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Picture of the pose to get to.")],
    person: Annotated[
        tuple[int, int],
        typer.Option(
            min=0, metavar="N M", help="Which person of A and of B, counted from the left; 0 = the most prominent."
        ),
    ] = (0, 0),
    wordings: Annotated[int, typer.Option(min=1, help="Number of wordings.")] = 1,
    codes: Annotated[
        bool, typer.Option("--codes", help="Also print what was measured, what is left out, and why.")
    ] = False,
    pose_weights: PoseWeights = None,
    seed: Annotated[int, typer.Option(help="Decides between wordings.")] = 0,
) -> None:
    """Say in words how to get from the pose in picture A to that in picture B (left and right are the person's own)."""
    from autocompose.describe.pictures.pictures import describe_change

    which = (person[0] or None, person[1] or None)
    change = describe_change(first, second, person=which, wordings=wordings, weights=pose_weights, seed=seed)
    for path, number, count, place in zip((first, second), which, change.people, change.chosen, strict=True):
        if count > 1 and number is None:
            say(f"{path}: {count} people; person {place} from the left, the most prominent, is compared (see --person)")
    for line in change.texts or (NO_CHANGE,):
        typer.echo(line)
    for line in _lines(change) if codes else ():
        typer.echo(line)


def _lines(change: PoseChange) -> list[str]:
    lines = [_line(one, "stated") for one in change.measurements]
    lines += [_line(one, "left out: within the uncertainty") for one in change.left_out]
    if change.tilt:
        lines.append(f"tilt of the whole person: {change.tilt:g} deg, left out: may be the camera's")
    lines.append(f"turn to the person's own left: {change.turned:g} deg, left out: may be the camera's")
    return lines


def _line(one: Measurement, verdict: str) -> str:
    return f"{one.code}: {one.before:g} to {one.after:g} {one.unit} +- {one.uncertainty:g} ({one.category}), {verdict}"
