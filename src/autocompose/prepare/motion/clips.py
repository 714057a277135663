"""Motion capture -> corpus: BVH, SMPL parameters, joint arrays, or the public clips that pybullet carries."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.bodies.convert import SKELETONS, convert_joints
from autocompose.bodies.kinematics import forward
from autocompose.bodies.motion import bvh
from autocompose.bodies.motion.mocap import Clip, clip_files, read_clip
from autocompose.bodies.motion.retarget import rotations_from_joints
from autocompose.bodies.pose_frame import remove_yaw
from autocompose.core.errors import AutocomposeError, InputError, PoseError
from autocompose.core.log import Tally, say, track
from autocompose.core.reading.plain import cause
from autocompose.core.records import Split
from autocompose.core.run_folder import maker
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus
from autocompose.corpus.names import safe_names
from autocompose.corpus.walk import walk
from autocompose.prepare.adapter import Stage
from autocompose.prepare.bodycpr.bases import clip_split
from autocompose.prepare.foreign_files import archive_hint, positive, read_npz
from autocompose.prepare.motion.smpl import face_viewer, read_sequence
from autocompose.prepare.pairing.diverse import farthest
from autocompose.prepare.pairing.groups import nearest_groups
from autocompose.prepare.pairing.mined import Mining, mined_pairs
from autocompose.prepare.rendering.renders import PoseSet, Style, render_poses

RATE = 30  # frames a second that are considered
LEVEL, LYING = 0.5, 0.9  # cosine of a trunk that is called level; share of the frames of a motion that lies
APART = 0.02  # metres, mean joint distance below which two poses count as the same
TEST_SHARE, VAL_SHARE = 0.2, 0.1


class Kind(str, Enum):
    """Kind of motion files: ``bvh``; ``smpl`` parameters (.npz, .pkl); ``npz`` with joints; pybullet's ``clips``."""

    BVH = "bvh"
    SMPL = "smpl"
    NPZ = "npz"
    CLIPS = "clips"

    def __str__(self) -> str:
        return self.value


SUFFIXES = {
    Kind.BVH: (".bvh",),
    Kind.SMPL: (".npz", ".pkl", ".npy"),
    Kind.NPZ: (".npz", ".npy"),
    Kind.CLIPS: (".txt",),
}


def prepare_motion(
    source: Path | None,
    out: Path,
    kind: Kind,
    *,
    up: str = "y",
    count: int = 1000,
    yaw: float = 0.0,
    mining: Mining | None = None,
    size: int = 224,
    style: Style = Style.PLAIN,
    seed: int = 0,
    processes: int = 1,
) -> Corpus:
    """Sample diverse poses, render them, pair them within splits of whole motions, describe the pairs by rules.

    :param source: a file, or a folder that is searched for motion files; None only for ``clips``.
    :param up: the vertical axis of the files, "y" or "z" (AMASS); of joints also "-y".
    :param count: pictures, spread over the motions by farthest point sampling.
    :param yaw: maximum heading of a person away from the camera in degrees; 0: all face it, as in PoseFix.
    :raises InputError: no motion files, or none of them can be read.
    """
    mining = mining or Mining()
    axes = ("y", "z") if kind is Kind.SMPL else ("y", "z", "-y")
    if up not in axes:
        raise InputError(f"up axis {up!r}: expected {' or '.join(axes)}")
    files = motion_files(source, kind)
    settings = {
        "verb": str(kind),
        "up": up,
        "count": count,
        "yaw": yaw,
        "size": size,
        "style": str(style),
        "seed": seed,
    }
    stage = Stage(out, {**settings, **asdict(mining)}, files)
    if stage.finished:
        return stage.result()
    motions, frames = Tally("motion files"), Tally("frames")
    clips = read_clips(files, kind, up, motions)
    poses = sample_poses(clips, count, yaw, seed, frames)
    stage.name_pictures(poses.names)
    render_poses(poses, stage.out / "images", size=size, style=style, seed=seed, processes=processes)
    from autocompose.bodies.rendering.body import shared_body

    table = poses.table(shared_body())
    names = [str(name) for name in poses.columns["sequence"]]
    # the benchmark's models have seen its training clips, so every corpus of these clips splits them the same way
    split_of = {n: clip_split(n) for n in names} if kind is Kind.CLIPS else split_motions(names, seed)
    rows = {s: [i for i, name in enumerate(names) if split_of[name] is s] for s in Split}
    goals = Tally("poses")
    pairs = mined_pairs(table, rows, mining, seed, goals)
    galleries = {split: tuple(table.names[i] for i in indices) for split, indices in rows.items()}
    about = _about(kind, source, count)
    corpus = Corpus(stage.out, pairs, galleries, table)
    return stage.finish(corpus, about, [motions, frames, goals], 0, seed, lambda pairs: nearest_groups(pairs, table))


def _about(kind: Kind, source: Path | None, count: int) -> About:
    if kind is Kind.CLIPS:
        sources: tuple[str, ...] = ("motion clips of the package pybullet_data (zlib licence), from public databases",)
        licence, passing = "clips: as distributed with pybullet_data", "pictures and texts are made by this program"
    else:
        sources = (f"motion files: {Path(source or '.').resolve().name}",)
        licence, passing = "that of the motion files", "as the licence of the motion files allows"
    splits = "the clips of BodyCPR's splits" if kind is Kind.CLIPS else "splits of whole motions"
    protocol = f"{count} poses by farthest point sampling; {splits}; pairs mined by pose"
    return About(name=str(kind), protocol=protocol, sources=sources, licence=licence, redistribution=passing)


def _say_blocked(folder: Path, error: OSError) -> None:
    say(f"{folder}: {cause(error)}; its contents are skipped")


def motion_files(source: Path | None, kind: Kind) -> dict[str, Path]:
    """Motion name (path without suffix, relative to ``source``) -> file, in order of name; hidden files are left out.

    Names are made fit for pictures: a file whose name is not UTF-8 is called ``%83_walk``.

    :raises InputError: nothing there.
    """
    if kind is Kind.CLIPS and source is None:
        files = {path.stem.removeprefix("humanoid3d_"): path for path in clip_files()}
        if not files:
            raise InputError("no motion clips: install pybullet, or name a folder with humanoid3d_*.txt files")
        return files
    path = Path(source or ".")
    if path.is_file():
        return safe_names([path], path.parent, suffix=False)
    if not path.is_dir():
        raise InputError(f"{path}: file or folder not found")
    seen = walk(path, _say_blocked, lambda folder: maker(folder) is None)
    paths = sorted(p for p in seen if p.suffix.lower() in SUFFIXES[kind] and os.path.isfile(p))
    if not paths:
        raise InputError(f"{path}: no {' or '.join(SUFFIXES[kind])} file in it or below{archive_hint(path)}")
    return safe_names(paths, path, suffix=False)


def read_clips(files: dict[str, Path], kind: Kind, up: str, tally: Tally) -> list[Clip]:
    """Read the motions; damaged files are counted and named.

    :raises InputError: not one could be read.
    """
    readers: dict[Kind, Callable[[Path], Clip]] = {
        Kind.BVH: lambda path: _bvh(path, up),
        Kind.SMPL: lambda path: read_sequence(path, up),
        Kind.NPZ: lambda path: read_joints(path, up),
        Kind.CLIPS: read_clip,
    }
    clips = []
    for name, path in track(files.items(), "motions", len(files)):
        try:
            clip = readers[kind](path)
        except Exception as error:  # one foreign file never ends the run, whatever it contains
            ours = isinstance(error, AutocomposeError)
            say(str(error) if ours else f"{path}: cannot be read ({type(error).__name__}: {error!s:.200})")
            tally.drop("unreadable", name)
            continue
        tally.keep()
        clips.append(Clip(name, clip.time, clip.rotations))
    if not clips:
        raise InputError("no motion file could be read; see the messages above")
    if lying := [clip.name for clip in clips if _lies(clip)]:
        other = "z" if up == "y" else "y"
        say(f"the body lies in nearly all frames of {len(lying)} of {len(clips)} motions (first: {lying[0]}); "
            f"where it should stand, prepare those with --up {other}")  # fmt: skip
    return clips


def _lies(clip: Clip) -> bool:
    """Whether the trunk is nearly level almost always: of a whole motion, more often a wrong axis than a person."""
    upright = Rotation.from_rotvec(clip.rotations[:, 0]).as_matrix()[:, 1, 1]
    return bool((np.abs(upright) < LEVEL).mean() > LYING) if len(upright) else False


def _bvh(path: Path, up: str) -> Clip:
    motion = bvh.read_bvh(path)
    try:
        converted = bvh.to_smpl22(motion, up)
    except PoseError as error:
        raise PoseError(f"{path}: {error}") from None
    rotations = rotations_from_joints(converted.joints[:, :22], converted.known)
    return Clip(path.stem, np.arange(len(rotations)) * motion.frame_time, rotations)


def read_joints(path: Path, up: str = "y") -> Clip:
    """An npz with ``joints`` or ``keypoints3d`` ``(T, J, 3)`` in metres, J = 22, 24, 52 (SMPL), 17 or 23 (COCO) or 33.

    The frame rate is ``fps`` (30 when it is not given).

    :raises InputError, PoseError: another layout, or values that are not finite.
    """
    arrays = read_npz(path, (), optional=("fps",), one_of=("joints", "keypoints3d"))
    joints = arrays["joints" if "joints" in arrays else "keypoints3d"]
    skeletons = {len(names): skeleton for skeleton, names in SKELETONS.items()}
    if joints.ndim != 3 or joints.shape[1] not in skeletons or joints.shape[2] != 3:
        wanted = f"joints or keypoints3d (T, J, 3) with J in {sorted(skeletons)}"
        raise InputError(f"{path}: expected {wanted}, got {joints.shape}")
    converted = convert_joints(joints, skeletons[joints.shape[1]], up)
    rotations = rotations_from_joints(converted.joints[:, :22], converted.known)
    rate = positive(arrays.get("fps", 30.0), f"{path}: fps")
    return Clip(path.stem, np.arange(len(rotations)) / rate, rotations)


def sample_poses(clips: list[Clip], count: int, yaw: float, seed: int, tally: Tally) -> PoseSet:
    """The ``count`` poses of all motions that differ most, in the order of choice, each in a heading of its own.

    :raises PoseError: the motions have no frame.
    """
    thinned = [(clip, _thin(clip.time)) for clip in clips]
    tally.drop(f"between frames, above {RATE} a second", n=sum(len(c.time) - len(f) for c, f in thinned))
    rotations = np.concatenate([clip.rotations[frames] for clip, frames in thinned])
    if not len(rotations):
        raise PoseError("the motions have no frames")
    owner = np.concatenate([np.full(len(frames), i) for i, (_, frames) in enumerate(thinned)])
    frame = np.concatenate([frames for _, frames in thinned])
    chosen = farthest(remove_yaw(forward(rotations)[0]), count, APART)
    tally.keep(len(chosen))
    tally.drop("too similar to a chosen pose, or more than requested", n=len(rotations) - len(chosen))
    facing, _ = face_viewer(rotations[chosen])
    turns = np.random.default_rng(seed).uniform(-yaw, yaw, len(chosen)) if yaw else np.zeros(len(chosen))
    names = tuple(f"{clips[owner[i]].name}/{frame[i]:06d}.png" for i in chosen)
    columns = {
        "sequence": np.array([clips[owner[i]].name for i in chosen]),
        "time": np.array([clips[owner[i]].time[frame[i]] for i in chosen]),
        "frame": frame[chosen],
    }
    return PoseSet(names, facing, turns, columns)


def _thin(time: np.ndarray) -> np.ndarray:
    """Frames at most ``RATE`` times a second."""
    slots = np.floor(np.asarray(time) * RATE + 1e-6).astype(int)
    return np.unique(slots, return_index=True)[1]


def split_motions(sequences: list[str], seed: int) -> dict[str, Split]:
    """Whole motions to test and val until they hold their shares of the pictures; the rest is for training.

    With fewer than three motions, all are for training.
    """
    names, counts = np.unique(sequences, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    splits: dict[str, Split] = {}
    wanted = {Split.TEST: TEST_SHARE * len(sequences), Split.VAL: VAL_SHARE * len(sequences)}
    for i in order:
        left = {s: n for s, n in wanted.items() if n > 0 and len(names) > 2}
        # a motion goes where it overshoots by at most half its size
        fits = [s for s, n in left.items() if counts[i] <= 1.5 * n]
        split = fits[0] if fits else Split.TRAIN
        if split in wanted:
            wanted[split] -= counts[i]
        splits[str(names[i])] = split
    return splits
