"""What there is to index: the pictures of a folder or corpus, with the metadata, poses and boxes that lie beside them.

PICTURES/...                  any folder tree of pictures; in a corpus, its images/
PICTURES/metadata.csv         optional: column ``path`` and any others, which become filters
PICTURES/boxes.json           optional: path -> list of [left, top, right, bottom] in pixels, one for each person
PICTURES/poses.npz            optional: 3D poses; its scalar columns become filters
PICTURES/image_splits/*.json  in a corpus: the column ``split``
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import InputError, missing_file
from autocompose.core.log import Tally
from autocompose.core.store import read_json
from autocompose.corpus.names import name_fault
from autocompose.corpus.poses import PoseTable
from autocompose.gallery.item import Box, Value

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


@dataclass(frozen=True)
class Found:
    """One picture file and what is known about it; fields as in ``Item``."""

    path: str
    size: int
    mtime_ns: int
    boxes: tuple[Box | None, ...] = (None,)
    meta: dict[str, Value] = field(default_factory=dict)
    joints: np.ndarray | None = field(default=None, compare=False)


def picture_root(pictures: Path) -> Path:
    """The folder that item paths are relative to: ``images/`` of a corpus, else the folder itself.

    :raises InputError: not a folder.
    """
    pictures = Path(pictures)
    if not pictures.is_dir():
        raise missing_file(pictures, "picture folder", "name a folder of pictures or a corpus")
    corpus = (pictures / "captions").is_dir() and (pictures / "images").is_dir()
    return (pictures / "images" if corpus else pictures).resolve()


def scan(pictures: Path, tally: Tally) -> list[Found]:
    """All pictures below a folder, sorted by path. Links that lead out of the folder are not followed.

    :param tally: gets the reason for every file that is left out.
    :raises InputError: metadata, boxes or poses are unreadable.
    """
    pictures, root = Path(pictures), picture_root(pictures)
    meta = _metadata(pictures)
    boxes = _boxes(pictures / "boxes.json")
    poses = PoseTable.load(pictures / "poses.npz") if (pictures / "poses.npz").exists() else None
    rows = poses.index() if poses else {}
    columns = _scalar_columns(poses)
    found = []
    for path in _files(root, tally):
        name = path.relative_to(root).as_posix()
        state = path.stat()
        row = rows.get(name)
        measured = (
            {c: v[row].item() for c, v in columns.items() if v[row] == v[row]} if row is not None else {}
        )  # no NaN
        values = {**measured, **meta.get(name, {})}
        joints = poses.joints[row] if poses is not None and row is not None else None
        people = boxes.get(name, (None,))
        found.append(
            Found(name, state.st_size, state.st_mtime_ns, people, values, joints if len(people) == 1 else None)
        )
    return found


def _files(root: Path, tally: Tally) -> list[Path]:
    files = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            relative = path.relative_to(root).as_posix()
            try:
                relative.encode("utf-8")
                fault = name_fault(relative)
            except UnicodeEncodeError:
                fault = "is not valid Unicode"
            if fault:
                tally.drop("unusable name", ascii(relative))
            elif path.is_symlink() and not path.resolve().is_relative_to(root):
                tally.drop("link out of the folder", relative)
            elif not path.is_file():
                tally.drop("not a file", relative)
            else:
                files.append(path)
    return sorted(files)


def _metadata(pictures: Path) -> dict[str, dict[str, Value]]:
    meta: dict[str, dict[str, Value]] = {}
    for split in sorted((pictures / "image_splits").glob("*.json")):
        for name in read_json(split):
            meta.setdefault(str(name), {})["split"] = split.stem
    table = pictures / "metadata.csv"
    if table.exists():
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "path" not in (reader.fieldnames or ()):
                raise InputError(f"{table}: no column 'path' in the first line; add one with the pictures' paths")
            for row in reader:
                values = {key: value for key, value in row.items() if key and key != "path" and value}
                meta.setdefault(row["path"], {}).update(values)
    return meta


def _boxes(path: Path) -> dict[str, tuple[Box | None, ...]]:
    if not path.exists():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object: picture path -> list of [left, top, right, bottom]")
    boxes: dict[str, tuple[Box | None, ...]] = {}
    for name, people in value.items():
        if not isinstance(people, list) or not all(_is_box(p) for p in people):
            raise InputError(f"{path}: {name!r}: expected a list of [left, top, right, bottom] in pixels")
        boxes[name] = tuple((int(p[0]), int(p[1]), int(p[2]), int(p[3])) for p in people) or (None,)
    return boxes


def _is_box(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 4 and all(isinstance(v, (int, float)) for v in value)
    return numbers and 0 <= value[0] < value[2] and 0 <= value[1] < value[3]


def _scalar_columns(poses: PoseTable | None) -> dict[str, np.ndarray]:
    """The columns with one value for each picture: numbers or texts."""
    if poses is None:
        return {}
    return {name: column for name, column in poses.columns.items() if column.ndim == 1 and column.dtype.kind in "iufbU"}
