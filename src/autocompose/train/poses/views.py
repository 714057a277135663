"""What the estimator sees in pictures of the training cubes, one file beside each file of cubes.

    python -m autocompose.train.poses.views CUBES [STEP START]

Each pose is rendered like the benchmark's pictures, once; about 0.1 s of one core a picture. STEP, START: every STEPth
file from START on, to share the work between processes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autocompose.core.errors import InputError
from autocompose.core.log import track
from autocompose.estimate.estimator import Estimator
from autocompose.estimate.lifting import Lifter
from autocompose.model.small2.pose_net import trunk_of
from autocompose.train.lifting.benchmark import collect_rows
from autocompose.train.lifting.fit import Data
from autocompose.train.poses.cubes import cubes_path, pose_table

FIRST = 1_000_000  # number of the first picture, whose light and place are drawn by it: none of the benchmark's


def views_path(folder: Path, number: int) -> Path:
    """What is seen of a file's cubes."""
    return Path(folder) / f"views-{number:03d}.npz"


def main(folder: Path, step: int = 1, start: int = 0) -> None:
    """Make the files that are missing."""
    torch.set_num_threads(1)
    numbers = [int(path.stem[-3:]) for path in sorted(Path(folder).glob("cubes-*.npz"))][start::step]
    estimator = Estimator.load()
    for number in track(numbers, "pictures of cubes", len(numbers)):
        collect(folder, number, estimator)


def seen_trunks(folder: Path, count: int) -> Tensor:
    """The trunks ``(8 * count, TRUNK)`` of the first cubes, zeros where nobody was found.

    :raises InputError: files are missing.
    """
    paths = sorted(Path(folder).glob("views-*.npz"))
    seen = Data.read(paths) if paths else None
    if seen is None or len(seen.joints) < 8 * count:
        raise InputError(f"{folder}: views of cubes are missing; run python -m autocompose.train.poses.views {folder}")
    with torch.inference_mode():
        trunks = trunk_of(*Lifter.load()(seen.seen))
    return (trunks * torch.from_numpy(seen.columns["found"])[:, None])[: 8 * count]


def collect(folder: Path, number: int, estimator: Estimator) -> None:
    """Make one file, unless it is there."""
    path = views_path(folder, number)
    if path.exists():
        return
    with np.load(cubes_path(folder, number)) as file:
        clusters, joints = len(np.unique(file["body"])), file["joints"]
    table = pose_table(number, clusters)
    if not np.allclose(table.joints, joints, atol=1e-4):
        raise RuntimeError(f"{cubes_path(folder, number)}: made by another version of the package; delete it")
    collect_rows(path, table, np.arange(len(table.names)), FIRST + number * len(table.names), estimator)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
