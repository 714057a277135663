"""Run the frozen detector and landmark network over rendered scenes once, and store their output.

Files of ``GROUPS`` bodies each, written atomically under their number: a killed run continues where it stopped.

    python -m autocompose.train.lifting.collect FOLDER WIDE PLAIN CUBES [BENCHMARK]

WIDE, PLAIN: files of each kind of scenes. CUBES: files of pictures of edit cubes. BENCHMARK: files of 16 pictures of
each of the benchmark's two parts; default: all.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from autocompose.core.files import atomic_file
from autocompose.core.log import track
from autocompose.core.records import Split
from autocompose.estimate.detector import Detector
from autocompose.estimate.estimator import Estimator, settled
from autocompose.estimate.finding import find
from autocompose.estimate.marking import Views, mark
from autocompose.estimate.regions import Region
from autocompose.train.lifting.benchmark import collect_split, looked_at
from autocompose.train.lifting.cube_pictures import collect_cubes
from autocompose.train.lifting.records import record, stacked
from autocompose.train.lifting.scenes import GROUP, SEED, Kind, Scene, scenes

GROUPS = 16  # bodies in a file
DETECTED = 0.4  # share of the pictures whose region comes from the detector, where it finds a person
JITTER = (0.04, 0.10, 8.0)  # of the other regions: share of the side, logarithm of the side, degrees


NAMES: dict[Kind, str] = {"wide": "scenes", "plain": "plain"}  # what the files' names begin with


def shard_path(folder: Path, number: int, kind: Kind = "wide") -> Path:
    """File of the bodies ``number * GROUPS`` and on."""
    return Path(folder) / f"{NAMES[kind]}-{number:05d}.npz"


def shards(folder: Path) -> list[Path]:
    """All files of scenes that exist, of both kinds."""
    return [path for name in NAMES.values() for path in sorted(Path(folder).glob(f"{name}-*.npz"))]


def main(folder: Path, wide: int, plain: int, cubes: int, benchmark: int | None = None) -> None:
    """Make the files that are missing of the first so many of each kind, and those of the benchmark."""
    torch.set_num_threads(1)  # of small pictures' small layers; start several processes over other files for more
    estimator = Estimator.load()
    for split in (Split.VAL, Split.TEST):
        collect_split(folder, split, estimator, benchmark)
    counts: dict[Kind, int] = {"wide": wide, "plain": plain}
    for kind, files in counts.items():
        for number in track(range(files), f"{kind} scenes", files):
            collect(folder, number, estimator, kind)
    for number in track(range(cubes), "edit cubes", cubes):
        collect_cubes(folder, number, estimator)


def collect(folder: Path, number: int, estimator: Estimator, kind: Kind = "wide") -> None:
    """Make one file, unless it is there."""
    path = shard_path(folder, number, kind)
    if path.exists():
        return
    rows: list[dict[str, np.ndarray]] = []
    for group in range(number * GROUPS, (number + 1) * GROUPS):
        for place, scene in enumerate(scenes(group, kind)):
            if kind == "plain":
                seen = looked_at(estimator, scene.picture)
            else:
                seen = _jittered(estimator, scene, np.random.default_rng([SEED, group, place + 1]))
            rows.append({**seen, **_truth(scene, group, place)})
    with atomic_file(path) as file:
        np.savez(file, **stacked(rows))  # type: ignore[arg-type]


@torch.inference_mode()
def _jittered(estimator: Estimator, scene: Scene, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One person's record, where the detector would not always find them."""
    plain = settled(estimator.net, scene.picture, _region(estimator.detector, scene, rng))
    views = Views(plain, mark(estimator.net, scene.picture, plain.region, mirrored=True))
    return record(views, scene.picture)


def _truth(scene: Scene, group: int, place: int) -> dict[str, np.ndarray]:
    return {
        "joints": scene.joints.astype(np.float32),
        "coco": scene.coco.astype(np.float32),
        "row": np.array(group * GROUP + place),
        "family": np.array(scene.family, "U24"),
        "sequence": np.array(scene.sequence, "U24"),
    }


def _region(detector: Detector, scene: Scene, rng: np.random.Generator) -> Region:
    if rng.random() < DETECTED:
        finds = find(detector, scene.picture)
        if finds:
            return finds[0].region
    hips = scene.coco[11:13].mean(0)
    radius = 1.15 * float(np.linalg.norm(scene.coco - hips, axis=1).max())
    up = scene.coco[5:7].mean(0) - hips
    up /= max(float(np.linalg.norm(up)), 1e-6)
    exact = Region.around(hips, hips + radius * up)
    place, size, turn = JITTER
    centre = exact.to_picture(0.5 + rng.normal(0, place, 2))
    side, angle = exact.side * np.exp(rng.normal(0, size)), exact.angle + np.radians(rng.normal(0, turn))
    return Region((float(centre[0]), float(centre[1])), float(side), float(angle))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
