"""AIST++ (ICCV 2021) -> corpus: frames of the dance videos, or rendered bodies where there are no videos."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.pose_frame import remove_yaw
from autocompose.bodies.skeleton import COCO17, mirror_order, turn
from autocompose.core.errors import InputError
from autocompose.core.files import atomic_file
from autocompose.core.fingerprint import files_below
from autocompose.core.log import Tally, nothing_left, say, track
from autocompose.core.workers import each
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus
from autocompose.prepare.adapter import Stage
from autocompose.prepare.foreign_files import expect_folder
from autocompose.prepare.motion.smpl import face_viewer
from autocompose.prepare.pairing.diverse import farthest
from autocompose.prepare.pairing.groups import nearest_groups
from autocompose.prepare.pairing.mined import Mining, mined_pairs
from autocompose.prepare.releases.aist_release import (
    BAD_VIEWS,
    FPS,
    FRAME,
    VIEWS,
    Annotations,
    Camera,
    Sequence,
    dancer_of,
    read_annotations,
    read_sequence,
)
from autocompose.prepare.releases.aist_sides import check_sides, measure_sides
from autocompose.prepare.releases.video_frames import crop, frames_at, person_box
from autocompose.prepare.rendering.renders import PoseSet, Style, render_poses

EVERY = 6  # frames between candidates: a tenth of a second
CHECKED = 20  # sequences on which left and right are measured
FRONT = "front"
QUALITY = 92  # of JPEG files

ABOUT = About(
    name="aist",
    sources=(
        "AIST++ annotations v1.0, Li et al., ICCV 2021: https://google.github.io/aistplusplus_dataset",
        "AIST Dance Video Database, Tsuchida et al., ISMIR 2019: https://aistdancedb.ongaaccel.jp",
    ),
    licence="annotations: CC BY 4.0 (Google); videos: terms of the AIST Dance Video Database (academic research)",
    redistribution="frames of the videos must not be redistributed; annotations, texts, names and addresses may",
)


@dataclass(frozen=True)
class Choice:
    """Which pictures are taken.

    :param per_sequence: frames of a sequence, the most different ones.
    :param views: cameras, or ``("front",)``: for each frame the camera that sees the dancer most from the front.
    :param size: side of the pictures in pixels.
    """

    per_sequence: int = 12
    views: tuple[str, ...] = ("c01",)
    size: int = 224

    def __post_init__(self) -> None:
        wrong = [v for v in self.views if v not in VIEWS and v != FRONT]
        if wrong or not self.views or (FRONT in self.views and len(self.views) > 1):
            raise InputError(f"views {', '.join(self.views)!r}: expected some of {', '.join(VIEWS)}, or front alone")


@dataclass(frozen=True)
class Shots:
    """The pictures of one sequence: a pose set, and what was dropped and why."""

    poses: PoseSet
    dropped: list[tuple[str, str]]


def prepare_aist(
    raw: Path,
    out: Path,
    *,
    videos: Path | None = None,
    choice: Choice | None = None,
    mining: Mining | None = None,
    style: Style = Style.PLAIN,
    val_share: float = 0.1,
    seed: int = 0,
    processes: int = 1,
) -> Corpus:
    """Make a corpus; dancers of the test are in no other split.

    :param raw: the annotation folder. :param videos: folder with the 10M videos; None renders bodies instead.
    :param val_share: used only when the split files are missing.
    :raises InputError: files missing or not as published, or left and right that contradict each other.
    """
    choice, mining = choice or Choice(), mining or Mining()
    if videos is not None:
        videos = expect_folder(videos, "the folder with the 10M videos")
    settings = {
        "verb": "aist",
        **asdict(choice),
        **asdict(mining),
        "style": str(style),
        "val_share": val_share,
        "seed": seed,
    }
    stage = Stage(out, settings, files_below([Path(raw), *([videos] if videos else [])]))
    if stage.finished:
        return stage.result()
    annotations = read_annotations(raw)
    if not annotations.cameras and choice.views != ("c01",):
        raise InputError(f"{raw}: views other than c01 need cameras/mapping.txt and cameras/setting*.json")
    poses, frames = _frames_of(annotations, choice, videos, stage, processes)
    if videos is None:
        stage.name_pictures(poses.names)
        render_poses(poses, stage.out / "images", size=choice.size, style=style, seed=seed, processes=processes)
    from autocompose.bodies.rendering.body import shared_body

    table = poses.table(shared_body())
    split_of = {name: split for split, names in annotations.splits.items() for name in names}
    of_rows = [split_of[name] for name in poses.columns["sequence"]]
    rows = {split: [i for i, s in enumerate(of_rows) if s is split] for split in annotations.splits}
    goals = Tally("poses")
    pairs = mined_pairs(table, rows, mining, seed, goals)
    galleries = {split: tuple(table.names[i] for i in indices) for split, indices in rows.items()}
    protocol = "split by dancer" + (", the authors' files" if annotations.official else ", by the rule")
    about = ABOUT.model_copy(update={"protocol": f"{protocol}; pairs mined by pose; {asdict(choice)} {asdict(mining)}"})
    corpus = Corpus(stage.out, pairs, galleries, table)
    share = 0.0 if annotations.official else val_share
    return stage.finish(corpus, about, [frames, goals], share, seed, lambda pairs: nearest_groups(pairs, table))


def _frames_of(
    annotations: Annotations, choice: Choice, videos: Path | None, stage: Stage, processes: int
) -> tuple[PoseSet, Tally]:
    """The chosen poses of all sequences, and what became of their frames; pictures are cut from the videos, if any."""
    names = [name for split_names in annotations.splits.values() for name in split_names]
    swapped = _check_sides(annotations, names)
    work = partial(shots_of, root=annotations.root, cameras=annotations.cameras, choice=choice, swapped=swapped)
    work = partial(work, videos=videos, images=stage.out / "images")
    if videos is not None:
        stage.name_pictures(patterns=[f"{name.replace('cAll', view)}/??????.jpg" for name in names for view in VIEWS])
    frames = Tally("frames")
    shots = list(track(each(work, names, processes), "sequences", len(names)))
    for shot in shots:
        frames.keep(len(shot.poses.names))
        for reason, entry in shot.dropped:
            frames.drop(reason, entry)
    poses = _joined([s.poses for s in shots if s.poses.names])
    if not poses.names:
        raise nothing_left(stage.out, [frames])
    return poses, frames


def _check_sides(annotations: Annotations, names: Many[str]) -> bool:
    some = []
    for name in names[:: max(1, len(names) // CHECKED)][:CHECKED]:
        try:
            some.append((read_sequence(annotations.root, name), annotations.cameras.get(name)))
        except InputError as error:
            say(str(error))
    return check_sides(measure_sides(some))


def shots_of(
    name: str,
    root: Path,
    cameras: dict[str, dict[str, Camera]],
    choice: Choice,
    swapped: bool,
    videos: Path | None,
    images: Path,
) -> Shots:
    """Choose the frames and views of one sequence and, with videos, write their pictures."""
    try:
        sequence = read_sequence(root, name)
    except InputError as error:
        say(str(error))
        return Shots(_joined([]), [("annotations missing or damaged", name)])
    frames = choose_frames(sequence, choice.per_sequence)
    facing, heading = face_viewer(sequence.rotations[frames])
    rows: list[tuple[int, str, str]] = []  # place in frames, view, picture name
    dropped: list[tuple[str, str]] = []
    if choice.views == (FRONT,) and name not in cameras:
        dropped.append(("not in mapping.txt, so the front is not known", name))
    kind = "png" if videos is None else "jpg"
    for i, frame in enumerate(frames):
        for view in _views(cameras.get(name), heading[i], choice.views):
            rows.append((i, view, f"{sequence.video(view)[:-4]}/{frame:06d}.{kind}"))
    if videos is not None:
        rows = _cut(sequence, frames, rows, videos, images, choice.size, dropped)
    toward = {v: camera.heading for v, camera in cameras[name].items()} if name in cameras else {}
    index = np.array([i for i, _, _ in rows], int)
    away = np.array([toward.get(view, 0.0) for _, view, _ in rows])
    yaw = heading[index] - away
    points = sequence.keypoints3d[frames][:, mirror_order(COCO17)] if swapped else sequence.keypoints3d[frames]
    hips = points[:, [COCO17.index("left_hip"), COCO17.index("right_hip")]].mean(1, keepdims=True)
    coco = turn((points - hips)[index], -away)
    columns = {
        "sequence": np.array([name] * len(rows)), "time": frames[index] / FPS, "frame": frames[index],
        "view": np.array([view for _, view, _ in rows], str), "dancer": np.full(len(rows), dancer_of(name)),
        "coco": coco.astype(np.float32),
    }  # fmt: skip
    return Shots(PoseSet(tuple(n for _, _, n in rows), facing[index], (yaw + 180) % 360 - 180, columns), dropped)


def choose_frames(sequence: Sequence, count: int) -> np.ndarray:
    """Frame numbers of the poses that differ most, ascending; only frames with finite key points."""
    sound = np.flatnonzero(np.isfinite(sequence.keypoints3d).all((1, 2)))[::EVERY]
    if not len(sound):
        return sound
    joints = remove_yaw(forward(sequence.rotations[sound])[0])
    return np.sort(sound[farthest(joints, count)])


def _views(cameras: dict[str, Camera] | None, heading: float, views: tuple[str, ...]) -> tuple[str, ...]:
    if views != (FRONT,):
        return views
    if cameras is None:
        return ()
    away = {v: abs((heading - cameras[v].heading + 180) % 360 - 180) for v in VIEWS if v in cameras}
    return (min(away, key=lambda v: away[v]),)


def _cut(
    sequence: Sequence, frames: np.ndarray, rows: list[tuple[int, str, str]], videos: Path, images: Path, size: int,
    dropped: list[tuple[str, str]],
) -> list[tuple[int, str, str]]:  # fmt: skip
    """Cut the person out of the videos; rows without a picture are moved to ``dropped``."""
    kept = []
    for view in dict.fromkeys(view for _, view, _ in rows):
        path = videos / sequence.video(view)
        boxes = {}
        for row in (r for r in rows if r[1] == view):
            reason, box = _box(sequence, view, int(frames[row[0]]), path)
            if box is None:
                dropped.append((reason, row[2]))
            else:
                boxes[row] = box
        todo = {int(frames[row[0]]): row for row in boxes if not (images / row[2]).exists()}
        try:
            for frame, image in frames_at(path, sorted(todo)) if todo else ():
                row = todo[frame]
                factor = image.width / FRAME[0]
                left, top, right, bottom = (v * factor for v in boxes[row])
                with atomic_file(images / row[2]) as file:
                    crop(image, (left, top, right, bottom), size).save(file, "JPEG", quality=QUALITY)
        except InputError as error:
            say(str(error))
        there = [row for row in boxes if (images / row[2]).exists()]
        dropped += [("video ends before the frame, or is damaged", row[2]) for row in boxes if row not in there]
        kept += there
    return kept


def _box(sequence: Sequence, view: str, frame: int, path: Path) -> tuple[str, tuple[float, float, float, float] | None]:
    if (sequence.name, view) in BAD_VIEWS:
        return "view masked by the authors", None
    if not path.is_file():
        return "video missing", None
    if sequence.keypoints2d is None:
        return "no 2D key points", None
    return "person not found in the picture", person_box(sequence.keypoints2d[VIEWS.index(view), frame])


def _joined(parts: list[PoseSet]) -> PoseSet:
    if not parts:
        return PoseSet((), np.zeros((0, 22, 3)), np.zeros(0), {})
    columns = {key: np.concatenate([p.columns[key] for p in parts]) for key in parts[0].columns}
    names = tuple(n for p in parts for n in p.names)
    return PoseSet(names, np.concatenate([p.rotations for p in parts]), np.concatenate([p.yaw for p in parts]), columns)
