"""A gallery item: one searchable person, either a picture or a box in a picture, or in a frame of a video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from autocompose.core.errors import InputError
from autocompose.gallery.moments.moment import Moment
from autocompose.gallery.pose import Pose
from autocompose.gallery.values import Value

Box = tuple[int, int, int, int]
ID_BITS = 60
KEY_DIGITS = ID_BITS // 4


class NotThereError(InputError):
    """An item or upload that does not exist (any more)."""


@dataclass(frozen=True)
class Item:
    """A picture, or the part of a picture that shows one person.

    :param path: below the gallery's picture folder, forward slashes.
    :param digest: SHA-256 of the file.
    :param size: of the file in bytes; ``mtime_ns`` its time of change.
    :param width: of the upright picture in pixels, like ``height``.
    :param box: left, top, right, bottom in pixels of the upright picture; None = the whole picture.
    :param meta: columns to filter by.
    :param pose: of the person; None = unknown.
    :param searched: fingerprint of what has looked for people in the picture; "" = nothing has.
    :param moment: of a video: when this is; None = a picture. The other fields are then about that frame.
    """

    path: str
    digest: str
    size: int
    mtime_ns: int
    width: int
    height: int
    box: Box | None = None
    meta: Mapping[str, Value] = field(default_factory=dict)
    pose: Pose | None = None
    searched: str = ""
    moment: Moment | None = None

    @property
    def joints(self) -> np.ndarray | None:
        """``(22, 3)`` of the pose, None = unknown."""
        return self.pose.joints if self.pose else None

    @property
    def label(self) -> str:
        """Its path, and the time of a moment."""
        return f"{self.path} {self.moment.clock}" if self.moment else self.path

    @property
    def about_pose(self) -> str:
        """Description of where the pose comes from, or why there is none."""
        if self.pose:
            return f"pose {self.pose.kind}"
        return "nobody was found in it" if self.searched else "no pose"

    @cached_property
    def id(self) -> int:
        """60 bits of a hash of path, content and box (and frame): a changed picture is another item, others keep
        their URLs."""
        named = [self.path, self.digest, self.box]
        text = json.dumps([*named, self.moment.frame, self.moment.person] if self.moment else named)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - ID_BITS)

    @cached_property
    def content(self) -> str:
        """SHA-256 that names what is seen: the file's, or of a video's and the number of the frame."""
        if self.moment is None:
            return self.digest
        return frame_digest(self.digest, self.moment.frame)

    @property
    def key(self) -> str:
        """The id as the 15 hexadecimal digits that URLs and JSON use."""
        return id_to_key(self.id)

    def record(self) -> dict[str, Any]:
        """The item as the JSON interfaces return it."""
        return {
            "id": self.key,
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "box": list(self.box) if self.box else None,
            "meta": dict(self.meta),
            "pose": self.pose.kind if self.pose else "none",
            "uncertainty": self.pose.mean_uncertainty if self.pose else None,
            "moment": self.moment.record() if self.moment else None,
        }

    def details(self) -> dict[str, Any]:
        """The same with the pose's values."""
        return {**self.record(), **(self.pose.record() if self.pose else {})}


def frame_digest(digest: str, frame: int) -> str:
    """SHA-256 that stands for one frame of the video with this SHA-256."""
    return hashlib.sha256(f"{digest} {frame}".encode()).hexdigest()


def id_to_key(number: int) -> str:
    """60-bit number -> 15 hexadecimal digits."""
    return f"{number:015x}"


def is_key(name: str) -> bool:
    """Whether a name is an item's key (a file may be called so, too)."""
    return len(name) == KEY_DIGITS and not set(name) - set("0123456789abcdef")


def key_to_id(key: str) -> int:
    """The inverse of ``id_to_key``.

    :raises InputError: not 15 hexadecimal digits.
    """
    if not is_key(key):
        raise InputError(f"{key!r} is not an item id (15 hexadecimal digits); take one from a search result")
    return int(key, 16)
