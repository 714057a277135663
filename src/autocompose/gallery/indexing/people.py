"""Known positions of people in a folder's pictures, so that each person becomes an item.

Known from ``boxes.json`` beside the pictures, or from the ``poses.npz`` of a corpus, whose rows say it in one of two
ways:

``box`` (N, 4) and ``sequence`` (N,)   the photo of the row, and the person's box in it (written by ``prepare folder``)
``coco2d`` (N, 17, 2)                  COCO keypoints in pixels of the row's picture (written by ``prepare keypoints``)
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import ImageError, InputError, missing_file
from autocompose.core.files import read_json
from autocompose.core.log import Tally
from autocompose.corpus.pictures.folder import PictureFolder
from autocompose.corpus.pictures.gate import image_size
from autocompose.corpus.poses import PoseTable
from autocompose.gallery.crops import MARGIN, Known
from autocompose.gallery.indexing.picture_names import PictureNames
from autocompose.gallery.indexing.sidefiles import SideFile, pose_rows, shown
from autocompose.gallery.item import Box

# keypoints end at wrists, ankles and eyes: share of the longer side from there to fingers, soles and hair
BEYOND = 0.12
ROUNDED = 1.0  # pixels that a box may reach beyond the picture; it is cut there
MAX_COORDINATE = 1e6


def read_boxes(path: Path, names: PictureNames, root: PictureFolder) -> tuple[dict[str, tuple[Known, ...]], SideFile]:
    """``boxes.json``: picture path -> list of [left, top, right, bottom] in pixels of the upright picture.

    A box that cannot be one is left out and counted; a picture without any other is taken as a whole.

    :raises InputError: not of that form.
    """
    side = SideFile(Tally(f"{path.name} boxes"))
    people: dict[str, tuple[Known, ...]] = {}
    for name, boxes in read_json(path, dict).items():
        if not isinstance(boxes, list) or not all(isinstance(b, list) and len(b) == 4 for b in boxes):
            raise InputError(f"{path}: {shown(name)}: expected a list of [left, top, right, bottom] in pixels")
        picture = names.find(name)
        if picture is None:
            side.unmatched(name, names)
            continue
        size = _size(root, picture)
        persons = list(people.get(picture, ()))
        for numbers in boxes:
            box, fault = _box(numbers, size)
            if box is None:
                side.tally.drop(fault, f"{shown(name)} {json.dumps(numbers)[:80]}")
            elif (box, None) not in persons:
                side.tally.keep()
                persons.append((box, None))
            else:
                side.tally.drop("the same box twice", f"{shown(name)} {list(box)}")
        people[picture] = tuple(persons)
    return people, side


def _box(numbers: list[Any], size: tuple[int, int] | None) -> tuple[Box | None, str]:
    """A box, or why it is invalid."""
    if not all(type(v) in (int, float) and abs(v) < MAX_COORDINATE for v in numbers):
        return None, "not four finite numbers"
    left, top, right, bottom = numbers
    if any(0 < v < 1 for v in numbers) and all(0 <= v <= 1 for v in numbers):
        return None, "from 0 to 1, expected pixels"
    if right - left < 1 or bottom - top < 1:
        return None, "thinner than a pixel (expected left, top, right, bottom)"
    width, height = size or (right, bottom)
    if min(left, top) < -ROUNDED or right > width + ROUNDED or bottom > height + ROUNDED:
        return None, "reaches outside the picture"
    box = (int(max(left, 0)), int(max(top, 0)), int(min(right, width)), int(min(bottom, height)))
    return (box, "") if box[0] < box[2] and box[1] < box[3] else (None, "reaches outside the picture")


def read_people(
    corpus: Path, names: PictureNames, root: PictureFolder
) -> tuple[dict[str, tuple[Known, ...]], SideFile]:
    """The people in a corpus' poses, by the path of their picture below ``root``.

    :param corpus: a corpus, or its ``poses.npz``.
    :raises InputError: no such file, no boxes or keypoints in it, or none of its pictures is below ``root``.
    """
    path = corpus / "poses.npz" if Path(corpus).is_dir() else Path(corpus)
    if not path.exists():
        raise missing_file(path, "pose file", "name a corpus that prepare folder has made of these pictures")
    table = PoseTable.load(path)
    said, rectangles = _rectangles(path, table)
    side = SideFile(Tally("people"))
    by_picture: dict[str, list[Known]] = defaultdict(list)
    sizes: dict[str, tuple[int, int] | None] = {}
    for name, rectangle, pose in zip(said, rectangles, pose_rows(path, table), strict=True):
        picture = names.find(name)
        if picture is None:
            side.unmatched(name, names)
            continue
        if picture not in sizes:
            sizes[picture] = _size(root, picture)
        size = sizes[picture]
        box = _within(rectangle, size) if size and np.isfinite(rectangle).all() else None
        if not size or box is None:
            side.tally.drop("box outside the picture" if size else "unreadable picture", shown(name))
        elif box in [known for known, _ in by_picture[picture]]:
            side.tally.drop("the same box twice", shown(name))
        else:
            side.tally.keep()
            by_picture[picture].append((box, pose))
    if not any(by_picture.values()):
        other = "was it made from other pictures?"
        raise InputError(f"{path}: none of its people is in a picture below {root.address}; {other}")
    return {name: tuple(people) for name, people in by_picture.items() if people}, side


def _rectangles(path: Path, table: PoseTable) -> tuple[list[str], np.ndarray]:
    """The picture of each row, and the person's rectangle in it (N, 4) with its margin."""
    columns = table.columns
    if "box" in columns and "sequence" in columns:
        names, boxes, margin = columns["sequence"], columns["box"].astype(float), MARGIN
    elif "coco2d" in columns:
        points = columns["coco2d"]
        names, boxes, margin = np.array(table.names), np.concatenate([points.min(1), points.max(1)], 1), BEYOND
    else:
        raise InputError(f"{path}: has no positions of people; make it with prepare folder, or run prepare keypoints")
    more = margin * np.max(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True)
    return [str(name) for name in names], boxes + np.concatenate([-more, -more, more, more], 1)


def _size(root: PictureFolder, name: str) -> tuple[int, int] | None:
    """Width and height of the upright picture, from its header; None when there is no readable picture."""
    try:
        return image_size(root.content(name))
    except (ImageError, OSError):
        return None


def _within(rectangle: np.ndarray, size: tuple[int, int]) -> Box | None:
    """Cut to the picture; None when nothing is left."""
    left, top = (max(0, round(float(v))) for v in rectangle[:2])
    right, bottom = (min(limit, round(float(v))) for v, limit in zip(rectangle[2:], size, strict=True))
    return (left, top, right, bottom) if left < right and top < bottom else None
