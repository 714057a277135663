"""The options that spread a heavy step over a Ray cluster, the same for every verb that has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

PANEL = "Where the work is done"
PROCESSES = "1; with --on ray: as many as the cluster has room for"
On = Annotated[
    str,
    typer.Option("--on", help="here (processes of this machine) or ray (a Ray cluster).", rich_help_panel=PANEL),
]
WorkerCpus = Annotated[
    float, typer.Option(min=0.01, help="Processor cores that each Ray worker asks for.", rich_help_panel=PANEL)
]
WorkerGpus = Annotated[
    float,
    typer.Option(min=0, help="GPUs that each Ray worker asks for; may be a part of one.", rich_help_panel=PANEL),
]


@contextmanager
def spread(on: str, processes: int | None, cpus: float = 1.0, gpus: float = 0.0) -> Iterator[None]:
    """Do the work of this block where ``on`` says.

    :param processes: number of Ray workers; None = as many as there is room for.
    """
    if on == "here":
        yield
        return
    if on != "ray":
        raise typer.BadParameter(f"{on!r}; allowed: here, ray", param_hint="--on")
    from autocompose.core.ray_workers import RayWorkers, on_ray

    with on_ray(RayWorkers(processes, cpus, gpus)):
        yield
