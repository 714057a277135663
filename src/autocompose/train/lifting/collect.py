"""Run the frozen detector and landmark network over rendered scenes once, and keep what they say.

Files of ``GROUPS`` bodies each, written atomically under their number: a run that was killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autocompose.core.files import atomic_file
from autocompose.estimate.detector import Detector
from autocompose.estimate.estimator import settled
from autocompose.estimate.finding import find
from autocompose.estimate.landmarks import LandmarkNet
from autocompose.estimate.marking import Marks, Views, mark
from autocompose.estimate.regions import Region
from autocompose.train.lifting.scenes import GROUP, SEED, Scene, scenes

GROUPS = 16  # bodies in a file
DETECTED = 0.4  # share of the pictures whose region comes from the detector, where it finds somebody
JITTER = (0.04, 0.10, 8.0)  # of the other regions: share of the side, logarithm of the side, degrees


def shard_path(folder: Path, number: int) -> Path:
    """File of the bodies ``number * GROUPS`` and on."""
    return Path(folder) / f"scenes-{number:05d}.npz"


def collect(folder: Path, number: int, detector: Detector, net: LandmarkNet) -> None:
    """Make one file, unless it is there."""
    if shard_path(folder, number).exists():
        return
    rows: list[dict[str, np.ndarray]] = []
    for group in range(number * GROUPS, (number + 1) * GROUPS):
        for place, scene in enumerate(scenes(group)):
            rng = np.random.default_rng([SEED, group, place + 1])
            with torch.inference_mode():
                region = _region(detector, scene, rng)
                look = partial(_views, net, scene.picture, region)
                rows.append({**record(net, scene.picture, look), **_truth(scene, group, place)})
    with atomic_file(shard_path(folder, number)) as file:
        np.savez(file, **stacked(rows))  # type: ignore[arg-type]


def stacked(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Records as columns."""
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


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


def _views(net: LandmarkNet, picture: Image.Image, region: Region) -> Views:
    plain = settled(net, picture, region)
    return Views(plain, mark(net, picture, plain.region, mirrored=True))


def record(net: LandmarkNet, picture: Image.Image, look: Callable[[], Views]) -> dict[str, np.ndarray]:
    """What ``look`` sees of one person, as arrays, with the trunk's maps of the last two crops."""
    maps: list[torch.Tensor] = []
    hook = net.trunk.neck.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    try:
        views = look()
    finally:
        hook.remove()
    region = views.plain.region
    row = {
        "size": np.array(picture.size),
        "maps": torch.cat(maps[-2:]).numpy().astype(np.float16),
        "region": np.array([*region.centre, region.side, region.angle]),
    }
    for key in Marks.__dataclass_fields__:
        row[key] = np.stack([getattr(view, key) for view in views]).astype(np.float32)
    return row
