"""How well `prepare folder` finds people and poses, measured on our own renders, where the truth is known.

    python benchmarks/photos.py --poses 60 --composites 40

Prints the joint error after Procrustes alignment (PA-MPJPE, 12 limb joints), how often left and right are exchanged,
the error of the heading, and the recall on composites of two to four renders side by side.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.bodies.rendering.body import Body
from autocompose.bodies.skeleton import COCO17, mirror_order
from autocompose.core.log import Tally
from autocompose.corpus.poses import PoseTable
from autocompose.prepare.motion.clips import Kind, motion_files, read_clips, sample_poses
from autocompose.prepare.photos.estimator import Estimator, pose_python
from autocompose.prepare.photos.photographs import LIMBS, pose_table
from autocompose.prepare.rendering.renders import PoseSet, Style, render_poses

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = [i for i, name in enumerate(COCO17) if name.rpartition("_")[2] in PARTS]
OTHER_SIDE = [JOINTS.index(j) for j in mirror_order(COCO17)[JOINTS]]


def aligned_error(found: np.ndarray, true: np.ndarray) -> float:
    """Mean joint distance in metres after the best similarity transform of ``found``."""
    a, b = found - found.mean(0), true - true.mean(0)
    u, s, v = np.linalg.svd(a.T @ b)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
    scale = (s * np.diag(flip)).sum() / (a**2).sum()
    return float(np.linalg.norm(scale * a @ (u @ flip @ v) - b, axis=1).mean())


def poses_of_clips(count: int, folder: Path, size: int) -> PoseTable:
    clips = read_clips(motion_files(None, Kind.CLIPS), Kind.CLIPS, "y", Tally("clips"))
    poses: PoseSet = sample_poses(clips, count, 60.0, 5, Tally("frames"))
    render_poses(poses, folder, size=size, style=Style.VARIED, seed=3)
    return poses.table(Body())


def single(table: PoseTable, folder: Path, estimator: Estimator) -> None:
    errors, exchanged, headings, seen = [], [], [], []
    spent, missed = 0.0, 0
    for i, name in enumerate(table.names):
        picture = Image.open(folder / name).convert("RGB")
        start = time.perf_counter()
        people = estimator.people(picture)
        spent += time.perf_counter() - start
        if not people:
            missed += 1
            continue
        found = pose_table([("x", "x", people[0])])
        a, b = (t.columns["coco"][k][JOINTS].astype(float) for t, k in ((found, 0), (table, i)))
        errors.append(1000 * aligned_error(a, b))
        exchanged.append(1000 * aligned_error(a[OTHER_SIDE], b) < errors[-1])
        headings.append(abs((found.yaw[0] - table.yaw[i] + 180) % 360 - 180))
        seen.append((people[0].image[LIMBS, 2] > 0.5).sum() >= 10)
    print(
        f"{len(table.names)} renders: {missed} without a person, {np.mean(seen):.0%} of the rest with 10 of 12 joints"
    )
    q = np.percentile(errors, [50, 90])
    print(f"PA-MPJPE: mean {np.mean(errors):.0f} mm, median {q[0]:.0f}, 90 % below {q[1]:.0f}")
    print(f"sides exchanged: {np.mean(exchanged):.1%}; heading: median error {np.median(headings):.0f} degrees")
    print(f"{1000 * spent / len(table.names):.0f} ms a picture")


def composites(table: PoseTable, folder: Path, estimator: Estimator, count: int, size: int) -> None:
    rng = np.random.default_rng(0)
    for people in (1, 2, 3, 4):
        hits = extra = 0
        for _ in range(count):
            chosen = rng.choice(len(table.names), people, replace=False)
            canvas = Image.new("RGB", (size * people, size))
            for k, i in enumerate(chosen):
                canvas.paste(Image.open(folder / table.names[i]), (size * k, 0))
            cells = [int(np.median(p.image[LIMBS, 0]) // size) for p in estimator.people(canvas)]
            hits += len({c for c in cells if 0 <= c < people})
            extra += len(cells) - len(set(cells))
        print(f"{people} side by side: {hits / (count * people):.0%} found, {extra / count:.2f} doubles a picture")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=int, default=60)
    parser.add_argument("--composites", type=int, default=40)
    parser.add_argument("--size", type=int, default=384, help="side of the renders in pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, Estimator(pose_python()) as estimator:
        table = poses_of_clips(options.poses, Path(scratch), options.size)
        single(table, Path(scratch), estimator)
        composites(table, Path(scratch), estimator, options.composites, options.size)


if __name__ == "__main__":
    main()
