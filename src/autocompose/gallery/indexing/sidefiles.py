"""Side files about the pictures: ``metadata.csv``, ``image_splits``, the columns of ``poses.npz``.

Rows are matched with pictures by ``PictureNames``; those that match none are counted and named, with a suggestion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autocompose.core.errors import InputError, one_line
from autocompose.core.log import Tally
from autocompose.core.reading.table import read_table
from autocompose.corpus.format import read_gallery
from autocompose.corpus.poses import PoseTable
from autocompose.gallery.indexing.picture_names import PictureNames
from autocompose.gallery.pose import JOINTS, Pose
from autocompose.gallery.values import Value, plain, typed

SUGGESTED = 5  # names for which a suggestion is looked for
NO_PICTURE = "matches no picture"
ALIASES = ("file_name", "filename")  # of the column ``path``; Hugging Face's image folders name it so
Meta = dict[str, dict[str, Value]]  # picture -> column -> value


def shown(name: str) -> str:
    """A name as it can be printed, in quotes where it would not be seen otherwise."""
    return one_line(name if name.isprintable() and name == name.strip() else ascii(name))


@dataclass
class SideFile:
    """One side file as it was used.

    :param tally: its rows or boxes.
    :param notes: what else the user should know.
    """

    tally: Tally
    notes: list[str] = field(default_factory=list)

    def unmatched(self, name: str, names: PictureNames, place: str = "") -> None:
        """Count a row that matches no picture."""
        entry = shown(name) + place
        if self.tally.dropped[NO_PICTURE] < SUGGESTED and (near := names.suggest(name)):
            entry += f" (did you mean {shown(near)}?)"
        self.tally.drop(NO_PICTURE, entry)

    @property
    def speaks(self) -> bool:
        """Whether there is something to report about it."""
        return bool(self.notes or self.tally.dropped)


def read_metadata(path: Path, names: PictureNames) -> tuple[Meta, SideFile]:
    """``metadata.csv``: picture -> its values; see ``core.table`` for the spellings that are read.

    :raises InputError: unreadable, or no column ``path`` (or ``ALIASES``).
    """
    table = read_table(path, "path", *ALIASES)
    side = SideFile(Tally(f"{path.name} rows"), [f"{path.name}: {note}" for note in table.notes])
    side.notes += [
        f"{path.name}: the column {name!r} cannot be filtered by; rename it without '='"
        for name in table.columns
        if "=" in name
    ]
    rows: list[tuple[str, dict[str, str]]] = []
    for row in table.rows:
        cells = dict(row.cells)
        name = cells.pop("path", "")
        picture = names.find(name) if name else None
        if row.fault or not name:
            side.tally.drop(row.fault or "no path", f"line {row.line}")
        elif picture is None:
            side.unmatched(name, names, f" in line {row.line}")
        else:
            side.tally.keep()
            rows.append((picture, cells))
    meta: Meta = {}
    again: list[str] = []
    for (picture, _), values in zip(rows, typed(cells for _, cells in rows), strict=True):
        known = meta.setdefault(picture, {})
        if any(known.get(column, value) != value for column, value in values.items()):
            again.append(picture)
        known.update(values)
    side.notes += _won(path, "contradict an earlier row of their picture", again)
    return meta, side


def _won(file: Path, what: str, pictures: Sequence[str]) -> Iterable[str]:
    if pictures:
        first = ", ".join(map(shown, dict.fromkeys(pictures[:SUGGESTED])))
        yield f"{file.name}: {len(pictures)} rows {what} and win: {first}"


def read_splits(folder: Path, names: PictureNames) -> tuple[Meta, list[SideFile]]:
    """``image_splits/*.json``: picture -> the column ``split``.

    :raises CorpusError: one is no list of names.
    """
    meta: Meta = {}
    sides = []
    for path in sorted(folder.glob("*.json")):
        side = SideFile(Tally(f"{folder.name}/{path.name} names"))
        for name in read_gallery(path):
            if picture := names.find(name):
                meta.setdefault(picture, {})["split"] = path.stem
                side.tally.keep()
            else:
                side.unmatched(name, names)
        sides.append(side)
    return meta, sides


@dataclass(frozen=True)
class Poses:
    """The rows of ``poses.npz`` by picture."""

    meta: Meta
    poses: Mapping[str, Pose]


def read_poses(path: Path, names: PictureNames) -> tuple[Poses, SideFile]:
    """``poses.npz``: picture -> pose (22, 3) and the columns with one number or text for each row.

    :raises PoseError: unreadable.
    """
    table = PoseTable.load(path)
    side = SideFile(Tally(f"{path.name} rows"))
    columns, left_out = _columns(table)
    finite = np.isfinite(table.joints).all((1, 2))
    meta: Meta = {}
    poses: dict[str, Pose] = {}
    rows, again = pose_rows(path, table), []
    for row, name in enumerate(table.names):
        picture = names.find(name)
        if picture is None:
            side.unmatched(name, names)
            continue
        side.tally.keep()
        if picture in meta:
            again.append(picture)
            poses.pop(picture, None)
        values = {column: plain(values[row]) for column, values in columns.items()}
        meta[picture] = {column: value for column, value in values.items() if value is not None}
        if pose := rows[row]:
            poses[picture] = pose
    side.notes += _won(path, "come after another row of their picture", again)
    side.notes += [f"{path.name}: the column {shown(name)} is left out (its type is {kind})" for name, kind in left_out]
    side.notes += _infinite(path.name, columns, ~finite)
    return Poses(meta, poses), side


def pose_rows(path: Path, table: PoseTable) -> list[Pose | None]:
    """The pose of each row; None where it is not finite. With the column ``uncertainty`` (N, 22) they are estimates.

    :raises InputError: that column has another shape.
    """
    doubts = table.columns.get("uncertainty")
    if doubts is not None and doubts.shape != (len(table.names), JOINTS):
        raise InputError(f"{path}: uncertainty of shape {doubts.shape}, expected ({len(table.names)}, {JOINTS}) metres")
    joints = table.joints.astype(np.float32)
    return [
        Pose(joints[row], None if doubts is None else doubts[row].astype(np.float32))
        if np.isfinite(joints[row]).all()
        else None
        for row in range(len(joints))
    ]


def _columns(table: PoseTable) -> tuple[dict[str, np.ndarray], list[tuple[str, np.dtype]]]:
    """The columns of one value for each row, and those of a type that no value has."""
    single = {name: column for name, column in table.columns.items() if column.ndim == 1}
    left_out = [(name, column.dtype) for name, column in single.items() if column.dtype.kind not in "iufbUM"]
    return {name: column for name, column in single.items() if column.dtype.kind in "iufbUM"}, left_out


def _infinite(file: str, columns: Mapping[str, np.ndarray], bad: np.ndarray) -> Iterable[str]:
    if bad.any():
        yield f"{file}: {bad.sum():,} poses hold numbers that are not finite; their pictures count as without a pose"
    for name, column in columns.items():
        if column.dtype.kind == "f" and (n := int(np.isinf(column).sum())):
            yield f"{file}: {n:,} values of the column {name} are infinite and left out"
