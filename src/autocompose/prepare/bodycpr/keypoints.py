"""Joint positions in the pictures of the embedded benchmark, needed to tint limbs.

Recomputed from poses, bodies and cameras, which the benchmark's seed determines; no picture is rendered or read.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import project
from autocompose.core.errors import InputError
from autocompose.core.log import track
from autocompose.core.run_folder import RunFolder
from autocompose.core.workers import each
from autocompose.corpus.format import load_corpus
from autocompose.corpus.poses import PoseTable
from autocompose.prepare.bodycpr import clusters as bodycpr

COLUMN = "coco2d"


def add_keypoints(root: Path, workers: int | None = None) -> PoseTable:
    """Write the column ``coco2d`` of ``poses.npz``: ``(N, 17, 2)`` float32 COCO keypoints in pixels, x right, y down.

    :param workers: processes; default: one per core. The result does not depend on it.
    :raises InputError: ``root`` is no finished benchmark of this version.
    """
    record = RunFolder(root, "bodycpr").record()
    if record is None or record["settings"].get("version") != bodycpr.VERSION:
        raise InputError(
            f"{root}: not a finished benchmark of this version; make it with 'autocompose prepare bodycpr'"
        )
    settings, table = record["settings"], load_corpus(root).poses
    assert table is not None
    size = bodycpr.Preset.parse({k: v for k, v in settings.items() if k in bodycpr.Preset.model_fields}, str(root))
    rows = [np.flatnonzero(table.columns["cube"] == cube) for cube in np.unique(table.columns["cube"])]
    shards = [bodycpr.shard_of(root, table, r, size, settings["seed"]) for r in rows]
    points = np.zeros((len(table.names), 17, 2), np.float32)
    projected = each(partial(keypoints, size=size.size), shards, workers)
    for r, part in zip(rows, track(projected, "keypoints", len(shards)), strict=True):
        points[r] = part
    table = replace(table, columns={**table.columns, COLUMN: points})
    table.save(root / "poses.npz")
    return table


def keypoints(shard: bodycpr.Shard, size: int) -> np.ndarray:
    """Keypoints of the pictures of a shard, ``(P, 17, 2)`` pixels."""
    bodies = shared_body().pose(shard.rotations, shard.look.phenotype).on_floor()
    each_one = zip(bodies.coco17, bodies.vertices, shard.shots, strict=True)
    return np.stack([project(joints, vertices, shot, size) for joints, vertices, shot in each_one])
