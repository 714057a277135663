"""Where the people are in a folder's pictures, so that each person becomes an item of its own.

Known from ``boxes.json`` beside the pictures, or from the ``poses.npz`` of a corpus, whose rows say it in one of two
ways:

``box`` (N, 4) and ``sequence`` (N,)   the photo of the row, and the person's box in it (written by ``prepare folder``)
``coco2d`` (N, 17, 2)                  COCO keypoints in pixels of the row's picture (written by ``prepare keypoints``)
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import ImageError, InputError, missing_file
from autocompose.core.files import read_json
from autocompose.corpus.gate import image_size
from autocompose.corpus.poses import PoseTable
from autocompose.gallery.item import Box

Person = tuple[Box | None, np.ndarray | None]  # where (None = the whole picture), and the pose (22, 3) if known
MARGIN = 0.08  # around a found person, share of the box's longer side; as ``prepare folder`` cuts
# keypoints end at wrists, ankles and eyes: share of the longer side from there to fingers, soles and hair
BEYOND = 0.12


def read_boxes(path: Path) -> dict[str, tuple[Person, ...]]:
    """``boxes.json``: picture path -> list of [left, top, right, bottom] in pixels; {} when there is no such file.

    :raises InputError: not of that form.
    """
    if not path.exists():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object: picture path -> list of [left, top, right, bottom]")
    people: dict[str, tuple[Person, ...]] = {}
    for name, boxes in value.items():
        if not isinstance(boxes, list) or not all(_is_box(b) for b in boxes):
            raise InputError(f"{path}: {name!r}: expected a list of [left, top, right, bottom] in pixels")
        people[name] = tuple(((int(b[0]), int(b[1]), int(b[2]), int(b[3])), None) for b in boxes)
    return people


def _is_box(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 4 and all(isinstance(v, (int, float)) for v in value)
    return numbers and 0 <= value[0] < value[2] and 0 <= value[1] < value[3]


def read_people(corpus: Path, root: Path) -> dict[str, tuple[Person, ...]]:
    """The people that a corpus' poses tell of, by the path of their picture below ``root``.

    :param corpus: a corpus, or its ``poses.npz``.
    :raises InputError: no such file, no boxes or keypoints in it, or none of its pictures is below ``root``.
    """
    path = corpus / "poses.npz" if Path(corpus).is_dir() else Path(corpus)
    if not path.exists():
        raise missing_file(path, "pose file", "name a corpus that prepare folder has made of these pictures")
    table = PoseTable.load(path)
    names, rectangles = _rectangles(path, table)
    found: dict[str, list[Person]] = defaultdict(list)
    sizes: dict[str, tuple[int, int] | None] = {}
    for name, rectangle, joints in zip(names, rectangles, table.joints, strict=True):
        if name not in sizes:
            sizes[name] = _size(root / name)
        size = sizes[name]
        box = _within(rectangle, size) if size else None
        if box and box not in [known for known, _ in found[name]]:
            found[name].append((box, joints))
    if not any(found.values()):
        raise InputError(f"{path}: none of its people is in a picture below {root}; was it made of other pictures?")
    return {name: tuple(people) for name, people in found.items() if people}


def _rectangles(path: Path, table: PoseTable) -> tuple[list[str], np.ndarray]:
    """The picture of each row, and the person's rectangle in it (N, 4) with its margin."""
    columns = table.columns
    if "box" in columns and "sequence" in columns:
        names, boxes, margin = columns["sequence"], columns["box"].astype(float), MARGIN
    elif "coco2d" in columns:
        points = columns["coco2d"]
        names, boxes, margin = np.array(table.names), np.concatenate([points.min(1), points.max(1)], 1), BEYOND
    else:
        raise InputError(
            f"{path}: says nothing about where people are; make it with prepare folder, or add prepare keypoints"
        )
    more = margin * np.max(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True)
    return [str(name) for name in names], boxes + np.concatenate([-more, -more, more, more], 1)


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height of the upright picture, from its header; None when there is no readable picture."""
    try:
        return image_size(path)
    except ImageError:
        return None


def _within(rectangle: np.ndarray, size: tuple[int, int]) -> Box | None:
    """Cut to the picture; None when nothing is left."""
    left, top = (max(0, round(float(v))) for v in rectangle[:2])
    right, bottom = (min(most, round(float(v))) for v, most in zip(rectangle[2:], size, strict=True))
    return (left, top, right, bottom) if left < right and top < bottom else None
