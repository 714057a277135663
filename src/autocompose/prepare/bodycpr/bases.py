"""Base poses of BodyCPR's clusters: sampled families and motion capture, some held out for the test."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.bodies.kinematics import forward
from autocompose.bodies.motion.mocap import clip_files, distinct_frames, read_clip
from autocompose.bodies.pose_frame import yaw_of
from autocompose.bodies.sampling import limits
from autocompose.bodies.sampling.sampler import FAMILIES, sample
from autocompose.core.records import Split
from autocompose.prepare.bodycpr.limb_edits import Base

UNSEEN_FAMILIES = ("kneeling", "lunging")  # only in test
TEST_CLIPS = ("dance_b", "getup_faceup", "jump", "kick")
VAL_CLIPS = ("punch",)
CLIP_CAP = 40  # frames of one clip
MOCAP_SHARE = 0.3  # of the clusters of train and val; a third in test
MOTION = "motion capture"  # the family of poses that are not sampled
PATIENCE = 60  # base poses of one family tried before the next family has its turn


class Kind(Enum):
    """Origin of a base pose."""

    SEEN = "seen"
    UNSEEN = "unseen"
    MOCAP = "mocap"


class Task(NamedTuple):
    """One cluster to make.

    :param number: in the whole benchmark. :param rank: in its split.
    """

    number: int
    split: Split
    rank: int


def draw_base(task: Task, attempt: int, seed: int, rng: np.random.Generator) -> Base:
    """The base pose for one attempt at a cluster."""
    kind, rank = _kind(task)
    if kind is Kind.MOCAP and (frames := clip_frames(task.split, seed)):
        clip, rotations = frames[(rank + attempt * 7) % len(frames)]
        return Base(rotations, MOTION, sequence=clip, others=np.stack([r for name, r in frames if name == clip]))
    seen = [family for family in FAMILIES if family not in UNSEEN_FAMILIES]
    families = list(UNSEEN_FAMILIES) if kind is Kind.UNSEEN else seen
    family = families[(rank + attempt // PATIENCE) % len(families)]
    angles = sample(family, 1, rng, batch=16)
    return Base(limits.to_rotations(angles)[0], family, angles[0])


def _kind(task: Task) -> tuple[Kind, int]:
    """Where the base pose of a cluster comes from, and its rank among the split's clusters of that kind."""
    if task.split is Split.TEST:
        return (Kind.MOCAP, Kind.UNSEEN, Kind.SEEN)[task.rank % 3], task.rank // 3
    before, now = int(task.rank * MOCAP_SHARE), int((task.rank + 1) * MOCAP_SHARE)
    return (Kind.MOCAP, before) if now > before else (Kind.SEEN, task.rank - before)


def clip_split(name: str) -> Split:
    """The only split that may show a public clip, in the benchmark and in corpora made of the clips."""
    return Split.TEST if name in TEST_CLIPS else Split.VAL if name in VAL_CLIPS else Split.TRAIN


@lru_cache(maxsize=8)
def clip_frames(split: Split, seed: int) -> tuple[tuple[str, np.ndarray], ...]:
    """Clip and rotations (facing +z) of the frames that a split may use: clips in turn, frames of a clip shuffled."""
    turns = []
    for place, path in enumerate(clip_files()):
        clip = read_clip(path)
        if clip_split(clip.name) is not split:
            continue
        order = np.random.default_rng([seed, place]).permutation(distinct_frames(clip, limit=CLIP_CAP))
        turns += [(n, place, clip.name, _face_front(clip.rotations[frame])) for n, frame in enumerate(order)]
    return tuple((name, rotations) for _, _, name, rotations in sorted(turns, key=lambda turn: turn[:2]))


def _face_front(rotations: np.ndarray) -> np.ndarray:
    heading = yaw_of(forward(rotations[None])[0])
    return turned(rotations[None], -heading)[0]


def turned(rotations: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Turn poses ``(N, 22, 3)`` by ``yaw`` (N,) degrees, positive to the own left."""
    result = rotations.copy()
    turn = Rotation.from_euler("y", yaw[:, None], degrees=True)
    result[:, 0] = (turn * Rotation.from_rotvec(rotations[:, 0])).as_rotvec()
    return result
