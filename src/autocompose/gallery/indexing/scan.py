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

import numpy as np

from autocompose.core.errors import InputError, missing_file
from autocompose.core.files import read_json
from autocompose.core.fingerprint import changed_ns
from autocompose.core.log import Tally
from autocompose.core.run_folder import maker
from autocompose.corpus.names import name_fault
from autocompose.corpus.poses import PoseTable
from autocompose.gallery.indexing.people import Person, read_boxes, read_people
from autocompose.gallery.indexing.thumbs import is_thumb
from autocompose.gallery.item import Box, Value

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
UNREAD = frozenset({".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd"})  # but pictures


@dataclass(frozen=True)
class Found:
    """One picture file and what is known about it; fields as in ``Item``.

    :param people: box and pose of each person in it.
    """

    path: str
    size: int
    mtime_ns: int
    people: tuple[Person, ...] = ((None, None),)
    meta: dict[str, Value] = field(default_factory=dict)

    @property
    def boxes(self) -> tuple[Box | None, ...]:
        """One for each person; None = the whole picture."""
        return tuple(box for box, _ in self.people)

    def joints(self, box: Box | None) -> np.ndarray | None:
        """The pose of the person in a box."""
        return dict(self.people)[box]


def picture_root(pictures: Path) -> Path:
    """The folder that item paths are relative to: ``images/`` of a corpus, else the folder itself.

    :raises InputError: not a folder.
    """
    pictures = Path(pictures)
    if not pictures.is_dir():
        raise missing_file(pictures, "picture folder", "name a folder of pictures or a corpus")
    corpus = (pictures / "captions").is_dir() and (pictures / "images").is_dir()
    return (pictures / "images" if corpus else pictures).resolve()


def scan(pictures: Path, tally: Tally, people: Path | None = None) -> list[Found]:
    """All pictures below a folder, sorted by path, but the thumbnails of galleries that lie in it.

    Links that lead out of the folder are not followed, and no links to folders.

    :param people: corpus whose poses tell where people are in these pictures; see ``gallery.people``.
    :param tally: gets the reason for every file that is left out.
    :raises InputError: metadata, boxes or poses are unreadable.
    """
    pictures, root = Path(pictures), picture_root(pictures)
    meta = _metadata(pictures)
    known = {**read_boxes(pictures / "boxes.json"), **(read_people(people, root) if people else {})}
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
        inside = known.get(name) or ((None, joints),)
        if len(inside) == 1 and inside[0][1] is None:  # a picture with one person: its pose is that person's
            inside = ((inside[0][0], joints),)
        found.append(Found(name, state.st_size, changed_ns(state), inside, values))
    return found


def _files(root: Path, tally: Tally) -> list[Path]:
    files, of_gallery = [], maker(root) == "gallery"  # version 0.1 could make one among the pictures
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in [f for f in folders if maker(here / f) == "gallery"]:
            tally.drop("gallery in the folder", _shown((here / name).relative_to(root).as_posix()))
            folders.remove(name)
        for name in [f for f in folders if (here / f).is_symlink()]:
            tally.drop("link to a folder", _shown((here / name).relative_to(root).as_posix()))
        for path in [here / name for name in sorted(names) if not name.startswith(".")]:
            if path.suffix.lower() not in SUFFIXES | UNREAD:
                continue
            relative = path.relative_to(root).as_posix()
            if of_gallery and is_thumb(relative):
                continue
            fault = _fault(path, relative, root)
            if fault:
                tally.drop(fault, _shown(relative))
            else:
                files.append(path)
    return sorted(files)


def _shown(relative: str) -> str:
    return relative if relative.isprintable() and relative == relative.strip() else ascii(relative)


def _fault(path: Path, relative: str, root: Path) -> str:
    """Why a file is left out; "" when it is not."""
    try:
        relative.encode("utf-8")
    except UnicodeEncodeError:
        return "unusable name"
    if name_fault(relative):
        return "unusable name"
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        return "link out of the folder"
    if not path.is_file():
        return "not a file"
    return "format that is not read (convert it to JPEG)" if path.suffix.lower() in UNREAD else ""


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


def _scalar_columns(poses: PoseTable | None) -> dict[str, np.ndarray]:
    """The columns with one value for each picture: numbers or texts."""
    if poses is None:
        return {}
    return {name: column for name, column in poses.columns.items() if column.ndim == 1 and column.dtype.kind in "iufbU"}
