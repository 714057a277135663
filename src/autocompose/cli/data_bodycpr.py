"""The verb ``prepare bodycpr``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import prepare


class Size(str, Enum):
    """Presets of the benchmark."""

    TINY = "tiny"
    DEMO = "demo"
    FULL = "full"


@prepare.command()
def bodycpr(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the new corpus; an unfinished one is finished.")
    ],
    preset: Annotated[
        Size, typer.Option(help="12 cubes at 96 px, 1,000 at 128 px, or 8,000 at 224 px; a cube is 8 pictures.")
    ] = Size.DEMO,
    seed: Annotated[int, typer.Option(help="Decides everything.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; the result is the same.", show_default="one per core")
    ] = None,
) -> None:
    """Make the embedded benchmark: posed bodies, edit cubes, pictures."""
    from autocompose.prepare.bodycpr.clusters import prepare_bodycpr

    prepare_bodycpr(out, preset.value, seed, workers)


@prepare.command("keypoints")
def bodycpr_keypoints(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="A finished corpus of prepare bodycpr.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one per core")] = None,
) -> None:
    """Add the pixel positions of the joints to poses.npz, so that describe mllm can tint limbs by side."""
    from autocompose.core.log import say
    from autocompose.prepare.bodycpr.keypoints import add_keypoints

    say(f"{corpus}: keypoints of {len(add_keypoints(corpus, workers).names):,} pictures")
