"""PoseFix (ICCV 2023) + AMASS -> corpus of rendered bodies with the human, paraphrased and automatic texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from autocompose.core.errors import InputError
from autocompose.core.files import write_json
from autocompose.core.fingerprint import files_below
from autocompose.core.log import Tally, say, track
from autocompose.core.records import Pair, Split
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable
from autocompose.prepare.adapter import Stage
from autocompose.prepare.foreign_files import archive_hint, expect_folder
from autocompose.prepare.motion.smpl import face_viewer, read_sequence
from autocompose.prepare.pairing.groups import nearest_groups
from autocompose.prepare.releases.posefix_release import Frame, Release, amass_file, read_release
from autocompose.prepare.rendering.renders import PoseSet, Style, render_poses
from autocompose.prepare.rendering.smplh import SmplhBody

MISSING = "missing_sequences.json"

ABOUT = About(
    name="posefix",
    sources=(
        "PoseFix texts, Delmas et al., ICCV 2023: https://europe.naverlabs.com/research/posefix",
        "AMASS motions (SMPL+H G), Mahmood et al., ICCV 2019: https://amass.is.tue.mpg.de",
        "body model of the pictures: anny (Apache-2.0)",
    ),
    licence="PoseFix texts: CC BY-NC-SA 4.0; AMASS: its own non-commercial research licence, motions of others",
    redistribution="texts and what derives from them only non-commercially and under the same licence; poses and"
    " pictures of AMASS motions not at all without its owners' consent",
)


class Training(str, Enum):
    """Which pairs train: those with a text by a person, or all of the release (automatic texts)."""

    HUMAN = "human"
    ALL = "all"

    def __str__(self) -> str:
        return self.value


class Where(str, Enum):
    """Keep pairs whose poses come from one motion (``in``), from two (``out``), or ``both``."""

    BOTH = "both"
    IN = "in"
    OUT = "out"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class View:
    """A pose in one yaw treatment: ``heading_of`` is the pose whose heading is taken out (itself, or A of the pair)."""

    pose: int
    heading_of: int

    @property
    def name(self) -> str:
        """The picture's name."""
        after = "" if self.heading_of == self.pose else f"-after-{self.heading_of:06d}"
        return f"{self.pose:06d}{after}.png"


def prepare_posefix(
    raw: Path,
    amass: Path,
    out: Path,
    *,
    training: Training = Training.HUMAN,
    where: Where = Where.BOTH,
    size: int = 224,
    style: Style = Style.PLAIN,
    smplh: Path | None = None,
    reverse_texts: int = 3,
    seed: int = 0,
    processes: int = 1,
) -> Corpus:
    """Make a corpus from the release and the AMASS sequences.

    Out of sequence each pose faces the camera; in sequence B keeps its heading relative to A. One picture per pose and
    heading. Sequences that are missing are counted and listed in ``missing_sequences.json``.

    :param raw: the unpacked release. :param amass: root of AMASS' SMPL+H release.
    :param size: side of the pictures in pixels.
    :param smplh: the ``.npz`` file of the neutral SMPL-H model; draws that body, in grey, instead of ours.
    :param reverse_texts: texts from B to A that our rules write for each pair (``auto-reverse``).
    :raises InputError: files missing or not as published; NothingLeftError: no pair is left.
    """
    amass = expect_folder(amass, "the root of AMASS' SMPL+H release")
    if smplh is not None:
        SmplhBody(smplh)  # reject a wrong file now, not after the motions are read
    settings = {
        "verb": "posefix", "training": str(training), "where": str(where), "size": size, "style": str(style),
        "reverse_texts": reverse_texts, "seed": seed, "smplh": smplh is not None,
    }  # fmt: skip
    before = files_below([Path(raw), amass])
    stage = Stage(out, settings, before | ({"smplh": smplh} if smplh else {}), before.values())
    if stage.finished:
        return stage.result()
    release = read_release(raw)
    tally = Tally("pairs")
    chosen = {split: list(_chosen(release, split, training, where, tally)) for split in Split}
    needed = {pose for ids in chosen.values() for i in ids for pose in release.pairs[i]}
    rotations = read_poses(release.frames, needed, amass, stage.out)
    ids = {split: _posed(release, numbers, rotations, tally) for split, numbers in chosen.items()}
    views = list(dict.fromkeys(v for numbers in ids.values() for i in numbers for v in views_of(release, i)))
    poses = pose_set(views, rotations, release)
    images = stage.out / "images"
    stage.name_pictures(poses.names)
    render_poses(poses, images, size=size, style=style, seed=seed, processes=processes, smplh=smplh)
    from autocompose.bodies.rendering.body import shared_body

    table = poses.table(shared_body())
    pairs = {split: _entries(release, numbers, table, reverse_texts, seed) for split, numbers in ids.items()}
    galleries = {
        s: tuple(dict.fromkeys(n for p in entries for n in (p.reference, p.target))) for s, entries in pairs.items()
    }
    protocol = f"official splits; training pairs: {training}; {where} of sequence; groups: the ten nearest poses"
    about = ABOUT.model_copy(update={"protocol": protocol})
    corpus = Corpus(stage.out, pairs, galleries, table)
    return stage.finish(corpus, about, [tally], 0, seed, lambda pairs: nearest_groups(pairs, table))


def _chosen(release: Release, split: Split, training: Training, where: Where, tally: Tally) -> Iterable[int]:
    for i in release.splits[split]:
        has_text = i in release.texts["human"] or (split is Split.TRAIN and training is Training.ALL)
        if not has_text:
            tally.drop("no text by a person")
        elif where is not Where.BOTH and release.in_sequence(i) != (where is Where.IN):
            tally.drop(f"not {where} of sequence")
        else:
            yield i


def read_poses(frames: dict[int, Frame], needed: set[int], amass: Path, out: Path) -> dict[int, np.ndarray | str]:
    """Rotations ``(22, 3)`` of the poses, or the reason why a pose is not there; each sequence is read once."""
    by_sequence: dict[str, list[int]] = defaultdict(list)
    for pose in sorted(needed):
        by_sequence[frames[pose].sequence].append(pose)
    poses: dict[int, np.ndarray | str] = {}
    missing = {}
    for sequence, ids in track(sorted(by_sequence.items()), "sequences", len(by_sequence)):
        path = amass_file(amass, sequence)
        if path is None:
            missing[sequence] = len(ids)
            poses.update(dict.fromkeys(ids, "AMASS sequence missing"))
            continue
        try:
            rotations = read_sequence(path, "z").rotations
        except InputError as error:
            say(str(error))
            poses.update(dict.fromkeys(ids, "AMASS sequence damaged"))
            continue
        for pose in ids:
            inside = frames[pose].frame < len(rotations)
            poses[pose] = rotations[frames[pose].frame] if inside else "frame outside the sequence"
    if missing:
        write_json(out / MISSING, missing)
        say(
            f"{len(missing):,} of {len(by_sequence):,} AMASS sequences are missing under {amass}, such as"
            f" {next(iter(missing))}; see {out / MISSING}{archive_hint(amass)}"
        )
    return poses


def _posed(release: Release, ids: Sequence[int], poses: dict[int, np.ndarray | str], tally: Tally) -> list[int]:
    kept = []
    for i in ids:
        reasons = [reason for pose in release.pairs[i] if isinstance(reason := poses[pose], str)]
        if reasons:
            tally.drop(reasons[0], f"pair {i}")
        else:
            tally.keep()
            kept.append(i)
    return kept


def views_of(release: Release, pair: int) -> tuple[View, View]:
    """The pictures of A and B."""
    a, b = release.pairs[pair]
    return View(a, a), View(b, a if release.in_sequence(pair) else b)


def pose_set(views: Sequence[View], rotations: dict[int, np.ndarray | str], release: Release) -> PoseSet:
    """Poses and headings of the pictures."""
    index = {pose: i for i, pose in enumerate(sorted({p for v in views for p in (v.pose, v.heading_of)}))}
    stacked = np.array([rotations[pose] for pose in index], float).reshape(-1, 22, 3)
    facing, heading = face_viewer(stacked)
    rows = np.array([index[v.pose] for v in views], int)
    yaw = heading[rows] - heading[[index[v.heading_of] for v in views]]
    columns = {
        "pose": np.array([v.pose for v in views], int),
        "sequence": np.array([release.frames[v.pose].sequence for v in views], str),
    }
    return PoseSet(tuple(v.name for v in views), facing[rows], (yaw + 180) % 360 - 180, columns)


def _entries(release: Release, ids: Sequence[int], table: PoseTable, reverse: int, seed: int) -> tuple[Pair, ...]:
    from autocompose.describe.rules.texts import describe_pairs

    names = [tuple(view.name for view in views_of(release, i)) for i in ids]
    back: list[list[str]] = [[] for _ in ids]
    if reverse and ids:
        a, b = (table.joints[table.rows([pair[k] for pair in names])] for k in (0, 1))
        back = describe_pairs(b, a, seed, reverse, keys=[f"{i}-reverse" for i in ids])
    pairs = []
    for i, (reference, target), reversed_texts in zip(ids, names, back, strict=True):
        human = (*release.texts["human"].get(i, ()), *release.texts["paraphrases"].get(i, ()))
        texts = {"sents": human, "auto": release.texts["auto"].get(i, ()), "auto-reverse": tuple(reversed_texts)}
        where = "in" if release.in_sequence(i) else "out"
        filled = {key: value for key, value in texts.items() if value}
        pairs.append(Pair(reference, target, (), filled, {"pair_id": i, "sequence_relation": where}))
    return tuple(pairs)
