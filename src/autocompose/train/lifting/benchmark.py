"""The benchmark of lifting: landmarks in the pictures of BodyCPR's validation and test part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import render
from autocompose.core.files import atomic_file
from autocompose.core.records import Split
from autocompose.corpus.poses import PoseTable
from autocompose.estimate.estimator import Estimator
from autocompose.estimate.marking import Views, mark
from autocompose.estimate.regions import ROOM, Region
from autocompose.prepare.bodycpr import clusters as bodycpr
from autocompose.prepare.bodycpr import frozen
from autocompose.train.lifting.records import record, stacked

PRESET = bodycpr.PRESETS["demo"]
CHUNK = 16  # pictures of one file


def table_of(split: Split) -> PoseTable:
    """Poses of the frozen test part, or of the demo's validation part (seed 0)."""
    if split is Split.TEST:
        return frozen.load().table(shared_body())
    tasks = [task for task in bodycpr.tasks(PRESET) if task.split is split]
    made = [bodycpr.make_cluster(task, seed=0, count=PRESET.per_cluster) for task in tasks]
    return bodycpr.pose_table(made, PRESET.test)


def pictures(table: PoseTable, rows: np.ndarray, first: int) -> list[Image.Image]:
    """The benchmark's pictures of rows of one cube. ``first``: rows of the benchmark before this table."""
    look, shots = (
        frozen.load().appearance(rows)
        if table.columns["split"][rows[0]] == Split.TEST.value
        else (
            bodycpr.look_of(0, int(table.columns["body"][rows[0]])),
            tuple(bodycpr.shot_of(0, first + int(row)) for row in rows),
        )
    )
    bodies = shared_body().pose(table.columns["rotations"][rows], look.phenotype).on_floor()
    return [
        Image.fromarray(render(shared_body(), vertices, look, shot, PRESET.size))
        for vertices, shot in zip(bodies.vertices, shots, strict=True)
    ]


def collect_split(folder: Path, split: Split, estimator: Estimator, limit: int | None = None) -> None:
    """Write the files of a split that are missing. ``limit``: only the first so many."""
    paths = split_paths(folder, split)[:limit]
    if all(path.exists() for path in paths):
        return
    table = table_of(split)
    first = 8 * PRESET.test if split is not Split.TEST else 0
    for path, rows in zip(paths, np.arange(len(table.names)).reshape(-1, CHUNK)[:limit], strict=True):
        collect_rows(path, table, rows, first, estimator)


def collect_rows(path: Path, table: PoseTable, rows: np.ndarray, first: int, estimator: Estimator) -> None:
    """Write what is seen in the pictures of some cubes, unless it is there. ``first``: see ``pictures``."""
    if path.exists():
        return
    kept = []
    for cube in rows.reshape(-1, 8):
        for picture, row in zip(pictures(table, cube, first), cube.tolist(), strict=True):
            kept.append({**looked_at(estimator, picture), **_truth(table, row)})
    with atomic_file(path) as file:
        np.savez(file, **stacked(kept))  # type: ignore[arg-type]


def split_paths(folder: Path, split: Split) -> list[Path]:
    """Files of a split."""
    return [Path(folder) / f"{split.value}-{i:03d}.npz" for i in range(8 * getattr(PRESET, split.value) // CHUNK)]


@torch.inference_mode()
def looked_at(estimator: Estimator, picture: Image.Image) -> dict[str, np.ndarray]:
    """One person's record; if none is found, that of the whole picture, marked as such."""
    people = estimator.views(picture, windows=False)
    if people:
        return {**record(people[0], picture), "found": np.array(True)}
    region = Region((picture.width / 2, picture.height / 2), ROOM * max(picture.size))
    plain = mark(estimator.net, picture, region)
    views = Views(plain, mark(estimator.net, picture, plain.region, mirrored=True))
    return {**record(views, picture), "found": np.array(False)}


def _truth(table: PoseTable, row: int) -> dict[str, np.ndarray]:
    columns = ("cube", "body", "family", "sequence")
    truth = {key: np.array(table.columns[key][row], "U24" if key in columns[2:] else int) for key in columns}
    return {**truth, "row": np.array(row), "joints": table.joints[row].astype(np.float32)}
