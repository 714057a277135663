"""The embedded benchmark BodyCPR: clusters of edit cubes, rendered, in the common corpus format.

Three stages, each of which continues after an interruption: poses (``poses.npz``), pictures (files that exist are
kept), pairs (captions and galleries; the manifest comes last). Every cluster and every picture has its own random
generator made of the seed and its number, so the result does not depend on the number of processes. The test part of
the presets ``demo`` and ``full`` is not sampled but loaded: it is the frozen BodyCPR-v1 (see ``frozen``).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autocompose.bodies.motion.mocap import clip_files
from autocompose.bodies.rendering.appearance import Look, Shot, draw_look, draw_shot
from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import render
from autocompose.bodies.sampling.sampler import FAMILIES
from autocompose.core.config import Config
from autocompose.core.errors import InputError
from autocompose.core.files import atomic_file, clear_parts
from autocompose.core.log import Tally, say, track
from autocompose.core.records import Pair, Split
from autocompose.core.run_folder import RunFolder
from autocompose.core.workers import each, kept_processes
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.poses import PoseTable
from autocompose.prepare.bodycpr import cube_codes, frozen
from autocompose.prepare.bodycpr.bases import PATIENCE, Task, draw_base, turned
from autocompose.prepare.bodycpr.cubes import PER_CLUSTER, Cube, cluster
from autocompose.prepare.bodycpr.limb_edits import Base

VERSION = 3
FRONTAL_SHARE, FRONTAL_YAW = 0.7, 60.0  # share of clusters seen from the front, degrees
YAW_JITTER = 8.0  # degrees, per picture
ABOUT = About(
    name="bodycpr",
    protocol="edit cubes: eight pictures of one body and scene that differ by three independent edits; pairs one or two"
    " edits apart; groups are cubes; splits share no cluster, body or clip, and some families are only in the test",
    sources=(
        "body model anny (Apache-2.0)",
        "a third of the poses at most: motion clips of the package pybullet_data (zlib licence)",
    ),
    licence="pictures, poses and texts are made by this program, under its licence (MIT)",
    redistribution="may be passed on",
)
_LOOKS, _SHOTS = 1, 2  # second word of the seeds
ORDER = (Split.TEST, Split.VAL, Split.TRAIN)  # of the numbers: the test has the same ones in every preset


class Preset(Config):
    """Size of the benchmark.

    :param train, val, test: cubes.
    :param per_cluster: cubes per cluster.
    :param size: side of the pictures in pixels.
    :param frozen_test: the test part is BodyCPR-v1.
    """

    train: int
    val: int
    test: int
    per_cluster: int = PER_CLUSTER
    size: int = 128
    frozen_test: bool = True


PRESETS: dict[str, Preset] = {
    "tiny": Preset(train=6, val=2, test=4, per_cluster=2, size=96, frozen_test=False),
    "short": Preset(train=96, val=24, test=140),
    "demo": Preset(train=800, val=60, test=140),
    "full": Preset(train=7400, val=460, test=140, size=224),
}


class Made(NamedTuple):
    """One cluster: poses with 8 rows for each cube, the yaw in the root.

    :param failed: base poses that were rejected before.
    """

    task: Task
    base: Base
    cubes: list[Cube]
    rotations: np.ndarray
    yaw: np.ndarray
    joints: np.ndarray
    coco: np.ndarray
    failed: int


def prepare_bodycpr(out: Path, preset: str = "demo", seed: int = 0, workers: int | None = None) -> Corpus:
    """Make the benchmark in ``out``, or continue an unfinished one.

    :param preset: name of ``PRESETS``.
    :param workers: processes; default: one per core. The result does not depend on it.
    :raises InputError: unknown preset, or ``out`` holds a benchmark made with other settings.
    """
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}: expected one of {', '.join(PRESETS)}")
    out, size = Path(out), PRESETS[preset]
    settings = {"preset": preset, **size.model_dump(), "seed": seed, "version": VERSION, "mocap": bool(clip_files())}
    finished = RunFolder(out, "bodycpr", "a benchmark").claim(settings) and (out / "captions").exists()
    with kept_processes(workers):
        table = _stage_poses(out, size, seed, workers, settings)
        _stage_pictures(out, table, size, seed, workers)
    if finished:  # its captions may have texts by now
        return load_corpus(out)
    return _stage_pairs(out, table, settings)


# --- poses ---------------------------------------------------------------------------------------------------------


def _stage_poses(out: Path, size: Preset, seed: int, workers: int | None, settings: dict[str, Any]) -> PoseTable:
    poses = RunFolder(out, "poses")
    if poses.finished(settings) and (out / "poses.npz").exists():
        return PoseTable.load(out / "poses.npz")
    if not clip_files():
        say("pybullet is not installed (no wheels above Python 3.11): no motion capture, all base poses are sampled")
    tally = Tally("base poses")
    work = partial(make_cluster, seed=seed, count=size.per_cluster)
    todo = [t for t in tasks(size) if not (size.frozen_test and t.split is Split.TEST)]
    made = []
    for one in track(each(work, todo, workers), "poses", len(todo)):
        tally.keep()
        if one.failed:
            tally.drop("too few edits work on it", n=one.failed)
        made.append(one)
    say(tally.line())
    table = pose_table(made, size.test if size.frozen_test else 0)
    if size.frozen_test:
        table = _joined(frozen.load().table(shared_body()), table)
    table.save(out / "poses.npz")
    poses.finish(settings, **tally.record())
    return table


def tasks(size: Preset) -> Iterator[Task]:
    """The clusters of a preset."""
    number = 0
    for split in ORDER:
        for rank in range(-(-getattr(size, split.value) // size.per_cluster)):
            yield Task(number, split, rank)
            number += 1


def make_cluster(task: Task, seed: int, count: int) -> Made:
    """The cubes of one cluster, posed on its body. Pure: the same for the same arguments."""
    for attempt in range(PATIENCE * len(FAMILIES)):
        rng = np.random.default_rng([seed, 0, task.number, attempt])
        base = draw_base(task, attempt, seed, rng)
        cubes = cluster(base, rng, count, twins=task.split is not Split.TRAIN)
        if len(cubes) == count:
            break
    else:
        raise RuntimeError(f"cluster {task.number}: no base pose with {count} cubes in {attempt + 1} attempts")
    yaw = _draw_yaw(8 * count, rng)
    rotations = frozen.rounded(turned(np.concatenate([cube.rotations for cube in cubes]), yaw))
    joints, coco = shared_body().joints_on_floor(rotations, look_of(seed, task.number).phenotype)
    return Made(task, base, cubes, rotations, yaw, joints, coco, attempt)


def _draw_yaw(count: int, rng: np.random.Generator) -> np.ndarray:
    """One direction for the cluster, a little different for every picture; degrees in -180..180."""
    widest = FRONTAL_YAW if rng.random() < FRONTAL_SHARE else 180.0
    yaw = rng.uniform(-widest, widest) + rng.uniform(-YAW_JITTER, YAW_JITTER, count)
    return ((yaw + 180) % 360 - 180).astype(np.float32)


def pose_table(made: list[Made], first_cube: int = 0) -> PoseTable:
    """Rows of clusters; 8 rows are a cube, in the order of ``cube_codes.MASKS``. Columns: see docs/bodycpr.md."""
    columns: dict[str, list[Any]] = {}
    names: list[str] = []
    for one in made:
        for cube in one.cubes:
            number = first_cube + len(names) // 8
            names += cube_names(number)
            clip = one.base.sequence
            row = {
                "cube": number,
                "body": one.task.number,
                "family": one.base.family,
                "origin": "mocap" if clip else "sampled",
                "sequence": clip or f"sampled-{one.task.number:05d}",
                "split": one.task.split.value,
                "parts": cube.parts,
            }
            for key, value in row.items():
                columns.setdefault(key, []).extend([value] * 8)
    arrays = {key: np.array(values) for key, values in columns.items()}
    arrays["mask"] = np.arange(len(names)) % 8
    arrays["rotations"] = np.concatenate([one.rotations for one in made])
    arrays["coco"] = np.concatenate([one.coco for one in made])
    joints = np.concatenate([one.joints for one in made])
    return PoseTable(tuple(names), joints, np.concatenate([one.yaw for one in made]), arrays)


def cube_names(number: int) -> list[str]:
    """Names of a cube's pictures: its number, then its edits on (1) or off (0)."""
    return [f"{number:05d}-{mask:03b}.png" for mask in range(8)]


def _joined(first: PoseTable, second: PoseTable) -> PoseTable:
    columns = {key: np.concatenate([first.columns[key], second.columns[key]]) for key in second.columns}
    joints, yaw = (np.concatenate([getattr(t, key) for t in (first, second)]) for key in ("joints", "yaw"))
    return PoseTable(first.names + second.names, joints, yaw, columns)


# --- pictures ------------------------------------------------------------------------------------------------------


class Shard(NamedTuple):
    """Pictures of one cube."""

    paths: tuple[Path, ...]
    rotations: np.ndarray
    look: Look
    shots: tuple[Shot, ...]


def _stage_pictures(out: Path, table: PoseTable, size: Preset, seed: int, workers: int | None) -> None:
    missing = np.array([not (out / "images" / name).exists() for name in table.names])
    tally = Tally("pictures")
    tally.keep(int((~missing).sum()))
    shards = [
        shard_of(out, table, rows[missing[rows]], size, seed) for rows in _cube_rows(table) if missing[rows].any()
    ]
    rendered = each(partial(render_shard, size=size.size), shards, workers)
    for shard, pictures in zip(shards, track(rendered, "pictures", len(shards)), strict=True):
        for path, data in zip(shard.paths, pictures, strict=True):
            with atomic_file(path, durable=False) as file:  # thousands of them: a slow disk would set the pace
                file.write(data)
            tally.keep()
    say(tally.line())


def _cube_rows(table: PoseTable) -> np.ndarray:
    return np.arange(len(table.names)).reshape(-1, 8)


def shard_of(out: Path, table: PoseTable, rows: np.ndarray, size: Preset, seed: int) -> Shard:
    """Everything needed to render some pictures of one cube."""
    body, split = int(table.columns["body"][rows[0]]), str(table.columns["split"][rows[0]])
    if size.frozen_test and split == Split.TEST.value:
        look, shots = frozen.load().appearance(rows)
    else:
        look, shots = look_of(seed, body), tuple(shot_of(seed, int(row)) for row in rows)
    return Shard(tuple(out / "images" / table.names[r] for r in rows), table.columns["rotations"][rows], look, shots)


def render_shard(shard: Shard, size: int) -> list[bytes]:
    """PNG bytes of a shard's pictures."""
    from PIL import Image

    pictures = []
    bodies = shared_body().pose(shard.rotations, shard.look.phenotype).on_floor()
    for vertices, shot in zip(bodies.vertices, shard.shots, strict=True):
        picture = Image.fromarray(render(shared_body(), vertices, shard.look, shot, size))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)  # the default takes three times as long
        pictures.append(buffer.getvalue())
    return pictures


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
    pairs: dict[Split, tuple[Pair, ...]] = dict.fromkeys(Split, ())
    galleries: dict[Split, tuple[str, ...]] = dict.fromkeys(Split, ())
    for rows in _cube_rows(table):
        split = Split(str(table.columns["split"][rows[0]]))
        galleries[split] += table.names[rows[0] : rows[-1] + 1]
        pairs[split] += tuple(cube_pairs(table, int(rows[0]), tally))
    say(tally.line())
    corpus = Corpus(out, pairs, galleries, table)
    ABOUT.save(out)
    corpus.save()
    clear_parts(out)
    counts = {split.value: {"pairs": len(pairs[split]), "pictures": len(galleries[split])} for split in Split}
    RunFolder(out, "bodycpr").finish(settings, **counts, **tally.record())
    return corpus


def cube_pairs(table: PoseTable, first: int, tally: Tally) -> Iterator[Pair]:
    """The usable ordered pairs of the cube whose rows start at ``first``: distinguishable, one or two edits apart."""
    names = table.names[first : first + 8]
    good = cube_codes.told_apart(cube_codes.cube_levels(table.joints[first : first + 8]))
    extra = {key: str(table.columns[key][first]) for key in ("family", "origin", "sequence")}
    for reference, target in np.argwhere(cube_codes.USABLE).tolist():
        if not good[reference, target]:
            tally.drop(
                "pose codes do not distinguish the target from another candidate", f"{names[reference]} {names[target]}"
            )
            continue
        tally.keep()
        edits = cube_codes.MASKS[reference ^ target].astype(bool)
        changed = {"edits": int(edits.sum()), "parts": table.columns["parts"][first][edits].tolist()}
        cube = {"cube": int(table.columns["cube"][first])}
        yield Pair(names[reference], names[target], names, {}, {**cube, **changed, **extra})
