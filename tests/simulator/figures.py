"""Drawn stick figures with a machine-readable number, so that the simulator knows which pose it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from autocompose.bodies.kinematics import forward
from autocompose.bodies.sampling.limits import to_rotations
from autocompose.bodies.sampling.sampler import INDEX, sample
from autocompose.bodies.skeleton import COCO17, SMPL22, SMPL22_PARENTS, turn
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable
from tests.simulator.truth import movements

SIZE, STRIP, BITS = 256, 20, 16
START, END = (1, 1, 0), (0, 0, 1)  # read backwards it starts 1, 0, 0: the picture is mirrored
FACE = {"nose": (0, 0.0, 0.12), "left_eye": (0.03, 0.04, 0.1), "right_eye": (-0.03, 0.04, 0.1)}
FACE |= {"left_ear": (0.08, 0.02, 0.02), "right_ear": (-0.08, 0.02, 0.02)}


def figure_corpus(root: Path, pairs: int, seed: int = 0, widest_yaw: float = 35.0) -> Corpus:
    """``pairs`` train pairs of stick figures in which one or two limbs differ, with poses and keypoints."""
    rng = np.random.default_rng(seed)
    base, goal = _poses(pairs, rng)
    joints = forward(to_rotations(np.concatenate([base, goal])))[0].astype(np.float32)
    yaw = np.tile(rng.uniform(-widest_yaw, widest_yaw, pairs), 2).astype(np.float32)
    joints = np.stack([turn(j, float(y)) for j, y in zip(joints, yaw, strict=True)])
    names = [f"{i:05d}.png" for i in range(2 * pairs)]
    points = np.stack(
        [draw(root / "images" / name, i, j, y) for i, (name, j, y) in enumerate(zip(names, joints, yaw, strict=True))]
    )
    table = PoseTable(tuple(names), joints, yaw, {"coco2d": points.astype(np.float32)})
    entries = tuple(Pair(names[i], names[pairs + i], (names[i], names[pairs + i])) for i in range(pairs))
    corpus = Corpus(root, {Split.TRAIN: entries}, {Split.TRAIN: tuple(names)}, table)
    corpus.save()
    return corpus


def _poses(pairs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Angles of base and goal poses that differ in one or both arms, enough to be worth a word both ways."""
    limbs = np.array([[name.startswith(p) for name in INDEX] for p in ("left_arm", "right_arm")])
    found: list[tuple[np.ndarray, np.ndarray]] = []
    while len(found) < pairs:
        base, other = sample("standing", 64, rng), sample("standing", 64, rng)
        goal = base.copy()
        for row in range(64):
            for limb in rng.permutation(2)[: rng.integers(1, 3)]:
                goal[row, limbs[limb]] = other[row, limbs[limb]]
        a, b = (forward(to_rotations(angles))[0] for angles in (base, goal))
        found += [(base[i], goal[i]) for i in range(64) if movements(a[i], b[i]) and movements(b[i], a[i])]
    return np.stack([f[0] for f in found[:pairs]]), np.stack([f[1] for f in found[:pairs]])


def draw(path: Path, number: int, joints: np.ndarray, yaw: float) -> np.ndarray:
    """Write one picture; returns its COCO keypoints in pixels."""
    scale, foot = (SIZE - STRIP - 20) / 2.1, joints[:, 1].min()

    def project(points: np.ndarray) -> np.ndarray:
        return np.stack([SIZE / 2 + scale * points[:, 0], SIZE - 10 - scale * (points[:, 1] - foot)], 1)

    image = Image.new("RGB", (SIZE, SIZE), (225, 220, 210))
    pen = ImageDraw.Draw(image)
    flat = project(joints)
    for joint, parent in enumerate(SMPL22_PARENTS):
        if parent >= 0:
            pen.line([tuple(flat[parent]), tuple(flat[joint])], fill=(70, 60, 60), width=9)
    head = flat[SMPL22.index("head")]
    pen.ellipse((head[0] - 14, head[1] - 20, head[0] + 14, head[1] + 12), fill=(190, 150, 130))
    image.paste(strip_of(number, SIZE), (0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    face = turn(np.array(list(FACE.values())), yaw) + joints[SMPL22.index("head")]
    body = np.stack([joints[SMPL22.index(name)] for name in COCO17[5:]])
    return project(np.concatenate([face, body]))


def strip_of(number: int, width: int) -> Image.Image:
    """The machine-readable number, as wide as the picture that it stands on."""
    bits = (*START, *(number >> k & 1 for k in range(BITS)), *END)
    strip = Image.new("RGB", (width, round(width * STRIP / SIZE)))
    pen = ImageDraw.Draw(strip)
    edges = np.linspace(0, width, len(bits) + 1)
    for bit, left, right in zip(bits, edges[:-1], edges[1:], strict=True):
        pen.rectangle((left, 0, right - 1, strip.height - 1), fill=(255, 255, 255) if bit else (0, 0, 0))
    return strip


def read_number(image: Image.Image) -> tuple[int, bool]:
    """The number of a figure, and whether its picture was mirrored."""
    grey = np.asarray(image.convert("L"), float)
    row = grey[: max(1, round(STRIP / SIZE * grey.shape[1] * 0.8))].mean(0)
    count = len(START) + BITS + len(END)
    middles = ((np.arange(count) + 0.5) * len(row) / count).astype(int)
    bits = tuple(int(row[m] > 128) for m in middles)
    mirrored = bits[:3] != START
    if mirrored:
        bits = bits[::-1]
    if bits[:3] != START or bits[-3:] != END:
        raise ValueError(f"not a figure: {bits}")
    return sum(bit << k for k, bit in enumerate(bits[3:-3])), mirrored
