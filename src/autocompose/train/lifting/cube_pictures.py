"""Pictures of edit cubes as renders for the lifting network: eight poses of a cube, rendered like the benchmark's.

The cubes are those of the training part of BodyCPR's preset ``full``: no body, family or clip of the test part is among
them (a test asserts it).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autocompose.core.records import Split
from autocompose.corpus.poses import PoseTable
from autocompose.estimate.estimator import Estimator
from autocompose.prepare.bodycpr import clusters as bodycpr
from autocompose.train.lifting.benchmark import collect_rows

PRESET = bodycpr.PRESETS["full"]
CLUSTERS = 4  # of a file: 128 pictures
FIRST = 1_000_000  # number of the first picture, which draws its light and place: beyond all of the benchmark's


def pose_table(number: int, clusters: int = CLUSTERS) -> PoseTable:
    """The poses of a file's clusters, 8 of a cube one after the other."""
    tasks = [task for task in bodycpr.tasks(PRESET) if task.split is Split.TRAIN]
    mine = tasks[number * clusters : (number + 1) * clusters]
    return bodycpr.pose_table([bodycpr.make_cluster(task, 0, PRESET.per_cluster) for task in mine])


def pictures_path(folder: Path, number: int) -> Path:
    """What is seen of a file's cubes."""
    return Path(folder) / f"cubes-{number:05d}.npz"


def cube_files(folder: Path) -> list[Path]:
    """All that exist."""
    return sorted(Path(folder).glob("cubes-?????.npz"))


def collect_cubes(folder: Path, number: int, estimator: Estimator, clusters: int = CLUSTERS) -> None:
    """Make one file, unless it is there."""
    path = pictures_path(folder, number)
    if path.exists():
        return
    table = pose_table(number, clusters)
    collect_rows(path, table, np.arange(len(table.names)), FIRST + number * len(table.names), estimator)
