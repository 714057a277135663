"""The verb ``doctor``: what this machine has, and what that means."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import START, app

GIB = 2**30
DEMO_MEMORY, DEMO_DISK = 4.2, 2.0  # GiB; docs/demo.md


@app.command(rich_help_panel=START)
def doctor(
    folder: Annotated[Path, typer.Option(help="Folder whose disk is checked for free space.")] = Path("."),
) -> None:
    """Check this machine: cores, instructions, GPU, memory, disk, extras and weights, and the consequences."""
    lines = findings(folder)
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        typer.echo(f"{name:{width}}  {text}")


def findings(folder: Path) -> list[tuple[str, str]]:
    """The findings, one per line, and the consequences at the end."""
    import torch

    import autocompose
    from autocompose.core.machine import cores, free_disk, instructions, memory, processor
    from autocompose.train.precision import best_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    (total, free), room = memory(), free_disk(folder)
    versions = f"{autocompose.__version__}, Python {platform.python_version()}, torch {torch.__version__}"
    best = best_precision(device)
    lines = [
        ("autocompose", versions),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("processor", f"{processor()}, {cores()} cores; {', '.join(instructions()) or 'instructions not known'}"),
        ("GPU", _gpus()),
        ("memory", f"{total / GIB:.1f} GiB, {free / GIB:.1f} free" if total else "not known"),
        ("free disk", f"{room / GIB:.1f} GiB at {folder.absolute()}"),
        ("precision", f"{best.precision}: {best.why}"),
    ]
    return [*lines, *_extras(), *_weights(), *_meaning(free / GIB if total else None, room / GIB)]


def _gpus() -> str:
    import torch

    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return ", ".join(f"{p.name} ({p.total_memory / GIB:.0f} GiB)" for p in names) or "none that torch can use"


def _extras() -> list[tuple[str, str]]:
    from autocompose.core.extras import missing_packages

    return [
        (f"extra {name}", f"pip install 'autocompose[{name}]' (lacks {', '.join(lacking)})" if lacking else "installed")
        for name, lacking in missing_packages().items()
    ]


def _weights() -> list[tuple[str, str]]:
    """CLIP weights on this machine, and where others are searched."""
    from autocompose.model.bundled import FOLDER, NAME
    from autocompose.model.encoder import OPENAI_NAMES
    from autocompose.model.weights.start_weights import openai_file

    files = {name: openai_file(name) for name in OPENAI_NAMES}
    there = [f"{name} ({path})" for name, path in files.items() if path.exists()]
    where = f"none in {files[OPENAI_NAMES[0]].parent}; --weights FILE names one elsewhere"
    small = str(FOLDER) if (FOLDER / "model.safetensors").exists() else "missing: install the package again"
    return [(f"weights {NAME}", small), ("weights OpenAI", ", ".join(there) or where)]


def _meaning(free: float | None, room: float) -> list[tuple[str, str]]:
    """What the demo lacks on this machine."""
    import torch

    from autocompose.core.extras import missing_packages
    from autocompose.core.machine import cores
    from autocompose.train.precision import best_precision

    lacking = [
        *(["its packages: pip install 'autocompose[demo]'"] if missing_packages().get("demo") else []),
        *([f"memory: it takes {DEMO_MEMORY} GiB, {free:.1f} are free"] if free and free < DEMO_MEMORY else []),
        *([f"room: it takes about {DEMO_DISK} GiB, {room:.1f} are free"] if room < DEMO_DISK else []),
    ]
    if lacking:
        return [("demo", f"cannot run yet; it lacks {'; '.join(lacking)}")]
    kind = best_precision(torch.device("cpu")).precision
    return [("demo", f"autocompose demo runs here, on the CPU ({cores()} cores) and in {kind}")]
