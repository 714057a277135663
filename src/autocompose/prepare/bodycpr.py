"""The embedded benchmark BodyCPR: clusters of edit cubes, rendered, in the common corpus format.

Three stages, each of which continues after an interruption: poses (``poses.npz``), pictures (files that exist are
kept), pairs (captions and galleries; the manifest comes last). Every cluster and every picture has its own random
generator made of the seed and its number, so the result does not depend on the number of processes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.bodies import limits
from autocompose.bodies.appearance import Look, Shot, draw_look, draw_shot
from autocompose.bodies.body import Body
from autocompose.bodies.kinematics import forward
from autocompose.bodies.mocap import clip_files, distinct_frames, read_clip
from autocompose.bodies.normalise import yaw_of
from autocompose.bodies.render import render
from autocompose.bodies.sampler import FAMILIES, sample
from autocompose.core.config import Config
from autocompose.core.errors import InputError
from autocompose.core.log import Tally, say, track
from autocompose.core.records import Pair, Split
from autocompose.core.store import Manifest, write_bytes
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable
from autocompose.prepare import cubes
from autocompose.prepare.cubes import Base, Cube

VERSION = 1
UNSEEN_FAMILIES = ("kneeling", "lunging")  # only in test
TEST_CLIPS = ("dance_b", "getup_faceup", "jump", "kick")
VAL_CLIPS = ("punch",)
CLIP_CAP = 40  # frames of one clip
MOCAP_SHARE = 0.3  # of the clusters
FRONTAL_SHARE, FRONTAL_YAW = 0.7, 60.0  # share of clusters seen from the front, degrees
YAW_JITTER = 8.0  # degrees, per picture
ATTEMPTS = 60  # base poses tried for a cluster before its family is given up
_LOOKS, _SHOTS, _FRAMES = 1, 2, 3  # second word of the seeds
A = TypeVar("A")
B = TypeVar("B")


class Preset(Config):
    """Size of the benchmark: cubes per split, cubes per cluster, side of the pictures in pixels."""

    train: int
    val: int
    test: int
    per_cluster: int = cubes.PER_CLUSTER
    size: int = 128


PRESETS: dict[str, Preset] = {
    "tiny": Preset(train=6, val=2, test=4, per_cluster=2, size=96),
    "demo": Preset(train=800, val=60, test=140),
    "full": Preset(train=6400, val=480, test=1120, size=224),
}


class Task(NamedTuple):
    """One cluster to make."""

    number: int
    split: Split
    index: int  # within the split


class Made(NamedTuple):
    """One cluster, made: arrays with 8 rows for each cube."""

    task: Task
    base: Base
    cubes: list[Cube]
    rotations: np.ndarray  # (N, 22, 3) with the yaw in the root
    yaw: np.ndarray
    joints: np.ndarray
    coco: np.ndarray
    failed: int


def prepare_bodycpr(out: Path, preset: str = "demo", seed: int = 0, workers: int | None = None) -> Corpus:
    """Make the benchmark in ``out``, or finish it.

    :param preset: name of ``PRESETS``.
    :param workers: processes; default: one per core. The result does not depend on it.
    :raises InputError: unknown preset, or ``out`` holds a benchmark made with other settings.
    """
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}: expected one of {', '.join(PRESETS)}")
    out, size = Path(out), PRESETS[preset]
    settings = {"preset": preset, **size.model_dump(), "seed": seed, "version": VERSION, "mocap": bool(clip_files())}
    _refuse_other(out, settings)
    workers = workers or os.cpu_count() or 1
    table = _stage_poses(out, size, seed, workers, settings)
    _stage_pictures(out, table, size.size, seed, workers)
    return _stage_pairs(out, table, settings)


def _refuse_other(out: Path, settings: dict[str, Any]) -> None:
    for stage in ("poses", "bodycpr"):
        manifest = Manifest(out, stage)
        if manifest.read() is not None and not manifest.matches(settings):
            raise InputError(f"{out}: holds a benchmark made with other settings; choose another folder or delete it")


# --- poses ---------------------------------------------------------------------------------------------------------


def _stage_poses(out: Path, size: Preset, seed: int, workers: int, settings: dict[str, Any]) -> PoseTable:
    manifest = Manifest(out, "poses")
    if manifest.matches(settings):
        return PoseTable.load(out / "poses.npz")
    if not clip_files():
        say(
            "motion capture: the package pybullet is not installed (it has no wheels above Python 3.11); "
            "all base poses are sampled"
        )
    tally = Tally("base poses")
    made = []
    work = partial(make_cluster, seed=seed, count=size.per_cluster)
    tasks = list(_tasks(size))
    for one in track(_each(work, tasks, workers), "poses", len(tasks)):
        tally.keep()
        if one.failed:
            tally.drop("too few edits work on it", n=one.failed)
        made.append(one)
    say(tally.line())
    table = _table(made)
    table.save(out / "poses.npz")
    manifest.write(settings, **tally.record())
    return table


def _tasks(size: Preset) -> Iterator[Task]:
    number = 0
    for split in Split:
        for index in range(-(-getattr(size, split.value) // size.per_cluster)):
            yield Task(number, split, index)
            number += 1


def make_cluster(task: Task, seed: int, count: int) -> Made:
    """The cubes of one cluster, posed on its body. Pure: the same for the same arguments."""
    for attempt in range(ATTEMPTS * len(FAMILIES)):
        rng = np.random.default_rng([seed, 0, task.number, attempt])
        base = _draw_base(task, attempt, seed, rng)
        found = cubes.cluster(base, rng, count)
        if len(found) == count:
            break
    else:
        raise RuntimeError(f"cluster {task.number}: no base pose with {count} cubes in {attempt + 1} attempts")
    rotations = np.concatenate([cube.rotations for cube in found])
    yaw = _draw_yaw(len(rotations), rng)
    turned = rotations.copy()
    turned[:, 0] = (
        Rotation.from_euler("y", yaw[:, None], degrees=True) * Rotation.from_rotvec(rotations[:, 0])
    ).as_rotvec()
    turned = turned.astype(np.float16).astype(np.float32)  # what a file of the frozen benchmark keeps
    posed = _body().pose(turned, look_of(seed, task.number).phenotype).on_floor()
    return Made(task, base, found, turned, yaw, posed.smpl22, posed.coco17, attempt)


def _draw_base(task: Task, attempt: int, seed: int, rng: np.random.Generator) -> Base:
    kind, rank = _kind(task)
    if kind == "mocap" and (frames := _frames(task.split, seed)):
        clip, rotations = frames[(rank + attempt * 7) % len(frames)]
        others = np.stack([r for name, r in frames if name == clip])
        return Base(rotations, "motion capture", sequence=clip, others=others)
    seen = [f for f in FAMILIES if f not in UNSEEN_FAMILIES]
    families = list(UNSEEN_FAMILIES) if kind == "unseen" else seen
    family = families[(rank + attempt // ATTEMPTS) % len(families)]
    angles = sample(family, 1, rng, batch=16)
    return Base(limits.to_rotations(angles)[0], family, angles[0])


def _kind(task: Task) -> tuple[str, int]:
    """Where the base pose of a cluster comes from, and its rank among the split's clusters of that kind."""
    if task.split is Split.TEST:
        return ("mocap", "unseen", "seen")[task.index % 3], task.index // 3
    before, now = int(task.index * MOCAP_SHARE), int((task.index + 1) * MOCAP_SHARE)
    return ("mocap", before) if now > before else ("seen", task.index - before)


@lru_cache(maxsize=8)
def _frames(split: Split, seed: int) -> tuple[tuple[str, np.ndarray], ...]:
    """Clip and rotations (facing +z) of the frames that a split may use: clips in turn, frames of a clip shuffled."""
    turns = []
    for place, path in enumerate(clip_files()):
        clip = read_clip(path)
        owner = Split.TEST if clip.name in TEST_CLIPS else Split.VAL if clip.name in VAL_CLIPS else Split.TRAIN
        if owner is not split:
            continue
        frames = distinct_frames(clip, most=CLIP_CAP)
        order = np.random.default_rng([seed, _FRAMES, place]).permutation(frames)
        turns += [(n, clip.name, _face_front(clip.rotations[i])) for n, i in enumerate(order)]
    return tuple((name, rotations) for _, name, rotations in sorted(turns, key=lambda turn: turn[:2]))


def _face_front(rotations: np.ndarray) -> np.ndarray:
    heading = yaw_of(forward(rotations[None])[0])
    result = rotations.copy()
    result[0] = (Rotation.from_euler("y", -heading[0], degrees=True) * Rotation.from_rotvec(rotations[0])).as_rotvec()
    return result


def _draw_yaw(count: int, rng: np.random.Generator) -> np.ndarray:
    """One direction for the cluster, a little different for every picture; degrees in -180..180."""
    widest = FRONTAL_YAW if rng.random() < FRONTAL_SHARE else 180.0
    yaw = rng.uniform(-widest, widest) + rng.uniform(-YAW_JITTER, YAW_JITTER, count)
    return ((yaw + 180) % 360 - 180).astype(np.float32)


def _table(made: list[Made]) -> PoseTable:
    columns: dict[str, list[Any]] = {
        key: [] for key in ("cube", "body", "mask", "family", "origin", "sequence", "split")
    }
    names, parts, cube_number = [], [], 0
    for one in made:
        for cube in one.cubes:
            for mask in range(8):
                names.append(f"{cube_number:05d}-{mask:03b}.png")
                parts.append(cube.parts)
                clip = one.base.sequence
                row = {
                    "cube": cube_number,
                    "body": one.task.number,
                    "mask": mask,
                    "family": one.base.family,
                    "origin": "mocap" if clip else "sampled",
                    "sequence": clip or f"cluster-{one.task.number:05d}",
                    "split": one.task.split.value,
                }
                for key, value in row.items():
                    columns[key].append(value)
            cube_number += 1
    arrays = {key: np.array(values) for key, values in columns.items()}
    arrays["rotations"] = np.concatenate([one.rotations for one in made])
    arrays["coco"] = np.concatenate([one.coco for one in made])
    arrays["parts"] = np.array(parts)
    joints = np.concatenate([one.joints for one in made])
    return PoseTable(tuple(names), joints, np.concatenate([one.yaw for one in made]), arrays)


# --- pictures ------------------------------------------------------------------------------------------------------


class Shard(NamedTuple):
    """Some pictures of one cluster."""

    folder: Path
    names: tuple[str, ...]
    rows: np.ndarray
    rotations: np.ndarray
    body: int


def _stage_pictures(out: Path, table: PoseTable, size: int, seed: int, workers: int) -> None:
    folder = out / "images"
    missing = np.array([not (folder / name).exists() for name in table.names])
    tally = Tally("pictures")
    tally.keep(int((~missing).sum()))
    shards = []
    for cube in np.unique(table.columns["cube"][missing]):
        rows = np.flatnonzero(missing & (table.columns["cube"] == cube))
        names = tuple(table.names[r] for r in rows)
        body = int(table.columns["body"][rows[0]])
        shards.append(Shard(folder, names, rows, table.columns["rotations"][rows], body))
    work = partial(render_shard, size=size, seed=seed)
    for count in track(_each(work, shards, workers), "pictures", len(shards)):
        tally.keep(count)
    say(tally.line())


def render_shard(shard: Shard, size: int, seed: int) -> int:
    """Render and write the pictures of a shard; returns how many."""
    from PIL import Image

    look = look_of(seed, shard.body)
    vertices = _body().pose(shard.rotations, look.phenotype).on_floor().vertices
    for name, row, body in zip(shard.names, shard.rows, vertices, strict=True):
        buffer = BytesIO()
        picture = render(_body(), body, look, shot_of(seed, int(row)), size)
        Image.fromarray(picture).save(buffer, "PNG")
        write_bytes(shard.folder / name, buffer.getvalue())
    return len(shard.names)


@lru_cache(maxsize=4)
def look_of(seed: int, cluster: int) -> Look:
    """Body, clothes and backdrop of a cluster."""
    return draw_look(np.random.default_rng([seed, _LOOKS, cluster]))


def shot_of(seed: int, row: int) -> Shot:
    """Light and place of a picture; the camera's direction is already in the pose's yaw."""
    return replace(draw_shot(np.random.default_rng([seed, _SHOTS, row])), camera_yaw=0.0)


# --- pairs ---------------------------------------------------------------------------------------------------------


def _stage_pairs(out: Path, table: PoseTable, settings: dict[str, Any]) -> Corpus:
    tally = Tally("pairs")
    pairs: dict[Split, list[Pair]] = {split: [] for split in Split}
    galleries: dict[Split, list[str]] = {split: [] for split in Split}
    for first in range(0, len(table.names), 8):
        split = Split(str(table.columns["split"][first]))
        galleries[split] += table.names[first : first + 8]
        pairs[split] += cube_pairs(table, first, tally)
    say(tally.line())
    corpus = Corpus(
        out, {s: tuple(p) for s, p in pairs.items() if p}, {s: tuple(g) for s, g in galleries.items() if g}, table
    )
    corpus.save()
    counts = Counter(f"{s} pairs" for s in Split for _ in pairs[s])
    Manifest(out, "bodycpr").write(settings, **counts, **tally.record())
    return corpus


def cube_pairs(table: PoseTable, first: int, tally: Tally) -> list[Pair]:
    """The usable ordered pairs of the cube whose rows start at ``first``: one or two edits apart, told apart."""
    names = table.names[first : first + 8]
    column = {key: values[first] for key, values in table.columns.items()}
    good = cubes.told_apart(cubes.joint_codes(table.joints[first : first + 8]))
    found = []
    for reference in range(8):
        for target in range(8):
            edits = (reference ^ target).bit_count()
            if edits not in (1, 2):
                continue
            if not good[reference, target]:
                tally.drop("codes do not tell the target from another candidate", f"{names[reference]} {names[target]}")
                continue
            tally.keep()
            changed = [str(p) for p, bit in zip(column["parts"], (4, 2, 1), strict=True) if (reference ^ target) & bit]
            extra = {
                "cube": int(column["cube"]),
                "edits": edits,
                "parts": changed,
                "family": str(column["family"]),
                "origin": str(column["origin"]),
                "sequence": str(column["sequence"]),
            }
            found.append(Pair(names[reference], names[target], names, {}, extra))
    return found


# --- processes -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _body() -> Body:
    return Body()


def _each(work: Callable[[A], B], items: Iterable[A], workers: int) -> Iterator[B]:
    """Results in order of the items, from several processes when there are several items."""
    items = list(items)
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    # spawn: forked copies of a process with torch threads can hang
    with ProcessPoolExecutor(min(workers, len(items)), get_context("spawn"), initializer=_start_worker) as pool:
        yield from pool.map(work, items, chunksize=max(1, min(8, len(items) // (workers * 4))))


def _start_worker() -> None:
    import torch

    torch.set_num_threads(1)
