"""The files of the PoseFix release (ICCV 2023)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from autocompose.core.errors import CorpusError, InputError
from autocompose.core.files import read_json
from autocompose.core.log import say
from autocompose.core.records import Split
from autocompose.prepare.foreign_files import archive_hint, as_texts, expect_folder, find_file

FOLDERS = (".", "posefix_dataset_release", "posefix")
KINDS = ("human", "paraphrases", "auto")
EXPECTED = {"pairs": 135_305, "human": 6_157, "paraphrases": 4_284, "auto": 135_305}
"""Published sizes."""
ALIASES = {
    "BMLrub": "BioMotionLab_NTroje", "DFaust": "DFaust_67", "EyesJapanDataset": "Eyes_Japan_Dataset",
    "HDM05": "MPI_HDM05", "PosePrior": "MPI_Limits", "MoSh": "MPI_mosh", "SSM": "SSM_synced",
    "TCDHands": "TCD_handMocap", "Transitions": "Transitions_mocap",
}  # fmt: skip
"""Data sets of AMASS that were renamed: name of today's archives -> name in the older ones, which the authors had."""


@dataclass(frozen=True)
class Frame:
    """Where a pose comes from: sequence file relative to the AMASS root, and frame number."""

    sequence: str
    frame: int


@dataclass(frozen=True)
class Release:
    """The release in memory.

    :param frames: pose id -> where it comes from.
    :param pairs: pair id (index) -> pose ids of A and B.
    :param splits: split -> pair ids, in- and out-of-sequence together, in file order.
    :param texts: kind (``KINDS``) -> pair id -> texts.
    """

    frames: dict[int, Frame]
    pairs: list[tuple[int, int]]
    splits: dict[Split, list[int]]
    texts: dict[str, dict[int, tuple[str, ...]]]

    def in_sequence(self, pair: int) -> bool:
        """A and B come from the same motion."""
        a, b = self.pairs[pair]
        return self.frames[a].sequence == self.frames[b].sequence


def read_release(root: Path) -> Release:
    """Read and check the release.

    :raises InputError: a file is missing or not as published; CorpusError: entries at fault, all of them.
    """
    frames = _frames(_glob(root, "ids_2_dataset_sequence_and_frame_index_*.json", "pose ids"))
    pairs = _pairs(find_file(root, "pair_id_2_pose_ids.json", "PoseFix pairs", FOLDERS), frames)
    texts = {kind: _texts(_glob(root, f"posefix_{kind}_*.json", f"{kind} texts"), len(pairs)) for kind in KINDS}
    splits: dict[Split, list[int]] = {}
    release = Release(frames, pairs, splits, texts)
    wrong = []
    for split in Split:
        splits[split] = []
        for where in ("in", "out"):
            path = find_file(root, f"{split}_{where}_sequence_pair_ids.json", "PoseFix split", FOLDERS)
            ids = _ids(path, len(pairs))
            wrong += [f"{path.name}: pair {i}" for i in ids if release.in_sequence(i) != (where == "in")]
            splits[split] += ids
    _report(release, wrong)
    return release


def amass_file(amass: Path, sequence: str) -> Path | None:
    """The file of a sequence: under the data set's name or its other one, also in the folder of its archive."""
    first, _, rest = sequence.removesuffix(".npz").partition("/")
    other = {**ALIASES, **{old: new for new, old in ALIASES.items()}}.get(first, first)
    for name in dict.fromkeys((first, other)):
        path = f"{escape(name)}/{escape(rest)}.npz"
        file = next(iter(sorted((*amass.glob(path), *amass.glob(f"*/{path}")))), None)
        if file is not None:
            return file
    return None


def _glob(root: Path, pattern: str, what: str) -> Path:
    root = expect_folder(root, "the unpacked PoseFix release")
    files = sorted(path for folder in FOLDERS for path in (root / folder).glob(pattern))
    if not files:
        raise InputError(f"{root}: no {pattern} ({what}); expected the unpacked PoseFix release{archive_hint(root)}")
    if len(files) > 1:
        raise InputError(f"{root}: {files[0].name} and {files[1].name} both match {pattern}; keep one")
    return files[0]


def _raise(path: Path, faults: list[str]) -> None:
    if faults:
        raise CorpusError(f"{path}: {len(faults)} entries differ from the published layout; first: {faults[0]}", faults)


def _frames(path: Path) -> dict[int, Frame]:
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise InputError(f"{path}: expected an object pose id -> [dataset, sequence, frame]")
    frames: dict[int, Frame] = {}
    faults = []
    for key, value in entries.items():
        sound = isinstance(value, list) and len(value) == 3 and isinstance(value[1], str) and type(value[2]) is int
        if not key.isdigit() or not sound or value[2] < 0:
            faults.append(f"{path.name}: {key!r}: {value!r}, expected [dataset, sequence, frame]")
        elif value[0] != "AMASS":
            faults.append(f"{path.name}: {key!r}: data set {value[0]!r}, only AMASS is known")
        elif ".." in re.split(r"[/\\]", value[1]) or value[1].startswith(("/", "\\")):
            faults.append(f"{path.name}: {key!r}: sequence {value[1]!r} leaves the AMASS folder")
        else:
            frames[int(key)] = Frame(value[1], value[2])
    _raise(path, faults)
    return frames


def _pairs(path: Path, frames: dict[int, Frame]) -> list[tuple[int, int]]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list, the index being the pair id")
    faults = []
    for i, value in enumerate(entries):
        if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)):
            faults.append(f"{path.name}[{i}]: {value!r}, expected two pose ids")
        else:
            faults += [f"{path.name}[{i}]: pose {v} is not in the pose id file" for v in value if v not in frames]
    _raise(path, faults)
    return [(a, b) for a, b in entries]


def _texts(path: Path, n_pairs: int) -> dict[int, tuple[str, ...]]:
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise InputError(f"{path}: expected an object pair id -> texts")
    texts: dict[int, tuple[str, ...]] = {}
    faults = []
    for key, value in entries.items():
        if not key.isdigit() or int(key) >= n_pairs:
            faults.append(f"{path.name}: {key!r} is no pair id")
            continue
        try:
            texts[int(key)] = as_texts(value, f"{path.name}: {key!r}")
        except InputError as error:
            faults.append(str(error))
    _raise(path, faults)
    return texts


def _ids(path: Path, n_pairs: int) -> list[int]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of pair ids")
    _raise(path, [f"{path.name}[{i}]: {v!r} is no pair id" for i, v in enumerate(entries) if not _is_id(v, n_pairs)])
    return entries


def _is_id(value: Any, n_pairs: int) -> bool:
    return type(value) is int and 0 <= value < n_pairs


def _report(release: Release, wrong: list[str]) -> None:
    """Report differences from the published release; none of them is an error."""
    sizes = {"pairs": len(release.pairs), **{kind: len(texts) for kind, texts in release.texts.items()}}
    for what, expected in EXPECTED.items():
        if sizes[what] != expected:
            say(f"PoseFix {what}: {sizes[what]:,}, the published release has {expected:,}")
    ids = [i for split_ids in release.splits.values() for i in split_ids]
    if len(set(ids)) != len(ids) or len(ids) != len(release.pairs):
        say(
            f"PoseFix splits name {len(set(ids)):,} of {len(release.pairs):,} pairs, {len(ids) - len(set(ids)):,} twice"
        )
    if wrong:
        say(f"PoseFix splits: {len(wrong):,} pairs are on the wrong side of in/out of sequence, such as {wrong[0]}")
