"""The verb ``prepare bodycpr``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import prepare
from autocompose.cli.options.spread import On, WorkerCpus, spread


class Size(str, Enum):
    """Presets of the benchmark."""

    TINY = "tiny"
    DEMO = "demo"
    FULL = "full"


@prepare.command()
def bodycpr(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the new corpus; an unfinished corpus continues.")
    ],
    preset: Annotated[
        Size, typer.Option(help="12 cubes at 96 px, 1,000 at 128 px, or 8,000 at 224 px; a cube is 8 pictures.")
    ] = Size.DEMO,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of processes; the result does not depend on it.", show_default="one per core"),
    ] = None,
    on: On = "here",
    worker_cpus: WorkerCpus = 1.0,
) -> None:
    """Make BodyCPR, the embedded benchmark: rendered bodies in groups of eight, for pose changes."""
    from autocompose.prepare.bodycpr.clusters import prepare_bodycpr

    with spread(on, processes, worker_cpus):
        prepare_bodycpr(out, preset.value, seed, processes)


@prepare.command("keypoints")
def bodycpr_keypoints(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Finished corpus from prepare bodycpr.")],
    processes: Annotated[
        int | None, typer.Option(min=1, help="Number of processes.", show_default="one per core")
    ] = None,
) -> None:
    """Add the pixel positions of the joints to poses.npz, so that describe mllm can tint limbs by side."""
    from autocompose.core.log import say
    from autocompose.prepare.bodycpr.keypoints import add_keypoints

    say(f"{corpus}: keypoints of {len(add_keypoints(corpus, processes).names):,} pictures")
