"""Single posed bodies with their 3D and 2D joints, for pretraining the small backbone.

Poses are more varied than those of BodyCPR's training part (same families and clips, none of the test's). Up to
``ALIKE`` pictures are of one person in one scene and in nearly one pose, as in a cube, so that small differences are
learned as well. The result is arrays, not files of pictures; parts are written as they are finished.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.rendering.appearance import (
    Look,
    Phenotype,
    draw_backdrop,
    draw_outfit,
    draw_phenotype,
    draw_shot,
)
from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import project, render
from autocompose.bodies.sampling import limits
from autocompose.bodies.sampling import self_contact as selfhit
from autocompose.bodies.sampling.limits import ARM, INDEX, LEG, LIMITS, SIDES
from autocompose.bodies.sampling.sampler import ARMS, DEEPEST, FAMILIES, put_limb, sample
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.files import write_npz
from autocompose.core.log import track
from autocompose.core.records import Split
from autocompose.core.run_folder import RunFolder
from autocompose.core.workers import each
from autocompose.corpus.format import Corpus
from autocompose.prepare.bodycpr.bases import MOCAP_SHARE, UNSEEN_FAMILIES, clip_frames, turned
from autocompose.prepare.bodycpr.clusters import FRONTAL_SHARE, FRONTAL_YAW, YAW_JITTER, Preset, Shard, shard_of
from autocompose.prepare.bodycpr.limb_edits import LEG_WAYS, TORSO_WAYS

PART = 200  # pictures of a part; they share a body shape, which is slow to build
BODIES = 4  # shapes in a part
ALIKE = 4  # poses made of one by drawing limbs anew
BASES = 5  # poses drawn together, of one family or of motion clips
FREE_ARM, FREE_LEG, FREE_TORSO = 0.5, 0.3, 0.3  # share of poses whose arm, leg, torso is drawn anew
WILD = 0.25  # share of limbs held in any way that joints allow, as no family would: the test has families of its own
_J = {name: i for i, name in enumerate(SMPL22)}
_ARM_JOINTS = ("collar", "shoulder", "elbow", "wrist")
_LEG_JOINTS = ("hip", "knee", "ankle", "foot")


class Singles(NamedTuple):
    """N pictures and what they show.

    :param pixels: ``(N, S, S, 3)`` uint8.
    :param joints: ``(N, 22, 3)`` float32 metres, scene frame, yaw included.
    :param yaw: ``(N,)`` float32 degrees.
    :param points: ``(N, 22, 2)`` float32 joints in the picture: x right, y down, -1..1.
    :param group: ``(N,)`` int64; pictures of one group are of one person in nearly one pose.
    """

    pixels: np.ndarray
    joints: np.ndarray
    yaw: np.ndarray
    points: np.ndarray
    group: np.ndarray


def prepare_singles(out: Path, count: int, size: int, seed: int = 0, workers: int | None = None) -> Singles:
    """Render ``count`` pictures (rounded up to whole parts), or load existing ones.

    :param size: side of the pictures in pixels.
    :raises InputError: ``out`` holds pictures made with other settings, or files of another origin.
    """
    parts = -(-count // PART)
    settings = {"size": size, "seed": seed, "part": PART}
    RunFolder(out, "singles", "pictures of bodies").claim(settings)
    todo = [n for n in range(parts) if not _path(out, n).exists()]
    work = partial(_make_part, out=out, size=size, seed=seed)
    for _ in track(each(work, todo, workers), "single bodies", len(todo)):
        pass
    loaded = [np.load(_path(out, n)) for n in range(parts)]
    keys = ("pixels", "joints", "yaw", "points")
    pixels, joints, angles, points = (np.concatenate([part[key] for part in loaded])[:count] for key in keys)
    group = np.concatenate([n * PART + part["group"] for n, part in enumerate(loaded)])[:count]
    return Singles(pixels, joints, angles, points, group)


def cube_pictures(corpus: Corpus, pixels: np.ndarray, preset: Preset, seed: int, points: Path) -> Singles:
    """The training pictures of a BodyCPR corpus in the same form; a cube is a group.

    :param pixels: ``(N, S, S, 3)`` uint8 of the training gallery.
    :param preset, seed: of the corpus.
    :param points: file of the joints in the picture; read if it is there.
    """
    poses = corpus.poses
    assert poses is not None, "BodyCPR always has poses"
    rows = poses.rows(corpus.galleries[Split.TRAIN])
    if not points.exists():
        shards = [shard_of(corpus.root, poses, cube, preset, seed) for cube in rows.reshape(-1, 8)]
        write_npz(points, {"points": np.concatenate(list(each(_cube_points, shards)))})
    pixel_joints = np.load(points)["points"]
    return Singles(pixels, poses.joints[rows], poses.yaw[rows], pixel_joints, poses.columns["cube"][rows])


def _cube_points(shard: Shard) -> np.ndarray:
    posed = shared_body().pose(shard.rotations, shard.look.phenotype).on_floor()
    bodies = zip(posed.smpl22, posed.vertices, shard.shots, strict=True)
    return np.stack([project(joints, vertices, shot, 2) - 1 for joints, vertices, shot in bodies]).astype(np.float32)


def joined(first: Singles, second: Singles) -> Singles:
    """Both together; groups stay apart."""
    second = second._replace(group=second.group + first.group.max() + 1)
    return Singles(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))


def _path(out: Path, number: int) -> Path:
    return out / f"part-{number:04d}.npz"


def _make_part(number: int, out: Path, size: int, seed: int) -> None:
    rng = np.random.default_rng([seed, 7, number])
    rotations, group = _draw_poses(PART, seed, rng)
    yaw = _draw_yaw(group, rng)
    rotations = turned(rotations, yaw)
    looks = [Look(Phenotype(), draw_outfit(rng), draw_backdrop(rng)) for _ in range(group[-1] + 1)]
    pixels, joints, points = [], [], []
    for groups in np.array_split(np.arange(len(looks)), BODIES):
        rows, phenotype = np.flatnonzero(np.isin(group, groups)), draw_phenotype(rng)
        posed = shared_body().pose(rotations[rows], phenotype).on_floor()
        for row, vertices, skeleton in zip(rows, posed.vertices, posed.smpl22, strict=True):
            look = replace(looks[group[row]], phenotype=phenotype)
            shot = replace(draw_shot(rng), camera_yaw=0.0)  # the camera's direction is already in the pose's yaw
            pixels.append(render(shared_body(), vertices, look, shot, size))
            points.append(project(skeleton, vertices, shot, 2) - 1)
        joints.append(posed.smpl22)
    arrays = {
        "pixels": np.stack(pixels),
        "joints": np.concatenate(joints),
        "yaw": yaw,
        "points": np.stack(points).astype(np.float32),
        "group": group,
    }
    write_npz(_path(out, number), arrays)


def _draw_yaw(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One direction for a group, a little different for each picture."""
    count = group[-1] + 1
    widest = np.where(rng.random(count) < FRONTAL_SHARE, FRONTAL_YAW + 15.0, 180.0)
    yaw = (widest * rng.uniform(-1, 1, count))[group] + rng.uniform(-YAW_JITTER, YAW_JITTER, len(group))
    return ((yaw + 180) % 360 - 180).astype(np.float32)


def _draw_poses(count: int, seed: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``(count, 22, 3)`` rotations facing +z; without self-intersection; and the group number of each."""
    families = [family for family in FAMILIES if family not in UNSEEN_FAMILIES]
    frames = clip_frames(Split.TRAIN, seed)
    rotations, group, bases = list[np.ndarray](), list[np.ndarray](), 0
    while sum(map(len, rotations)) < count:
        if frames and rng.random() < MOCAP_SHARE:
            drawn = _mix_frames(frames, rng)
        else:
            drawn = _vary(families[rng.integers(len(families))], rng)
        sound = selfhit.depth(forward(drawn)[0]) <= DEEPEST
        rotations.append(drawn[sound])
        group.append((bases + np.arange(BASES)).repeat(ALIKE)[sound])
        bases += BASES
    numbers = np.unique(np.concatenate(group)[:count], return_inverse=True)[1]
    return np.concatenate(rotations)[:count], numbers


def _vary(family: str, rng: np.random.Generator) -> np.ndarray:
    """Poses of a family, each ``ALIKE`` times, with some limbs and torsos redrawn."""
    angles = sample(family, BASES, rng).repeat(ALIKE, 0)
    count = len(angles)
    arms = [way for way in ARMS if way != "propped"]
    for side in SIDES:
        for limb, ways, share in (("arm", arms, FREE_ARM), ("leg", LEG_WAYS.get(family, ()), FREE_LEG)):
            rows = np.flatnonzero(rng.random(count) < share)
            if len(ways) and len(rows):
                drawn = angles[rows]
                put_limb(drawn, side, limb, rng.choice(ways, len(rows)), rng)
                angles[rows] = drawn
            for row in np.flatnonzero(rng.random(count) < WILD):
                for name in ARM if limb == "arm" else LEG:
                    key = f"{side}_{limb}_{name}"
                    angles[row, INDEX[key]] = rng.uniform(*LIMITS[key])
    for row in np.flatnonzero(rng.random(count) < FREE_TORSO):
        way = TORSO_WAYS[rng.integers(len(TORSO_WAYS))]
        for name in way:
            angles[row, INDEX[name]] = rng.uniform(*way[name])
    return limits.to_rotations(limits.clip(angles))


def _mix_frames(frames: tuple[tuple[str, np.ndarray], ...], rng: np.random.Generator) -> np.ndarray:
    """Frames of motion capture, each ``ALIKE`` times, half of the arms and some legs taken from other frames."""
    rotations = np.stack([frames[i][1] for i in rng.integers(len(frames), size=BASES)]).repeat(ALIKE, 0)
    count = len(rotations)
    for side in SIDES:
        for joints, share in ((_ARM_JOINTS, FREE_ARM), (_LEG_JOINTS, FREE_LEG)):
            rows = np.flatnonzero(rng.random(count) < share)
            other = np.stack([frames[i][1] for i in rng.integers(len(frames), size=count)])
            columns = np.array([_J[f"{side}_{joint}"] for joint in joints])
            rotations[np.ix_(rows, columns)] = other[np.ix_(rows, columns)]
    return rotations
