"""An item as the payload of a Qdrant point, and back. Floats travel as base64, a quarter of what JSON numbers take."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from autocompose.gallery.item import Item
from autocompose.gallery.moments.moment import Moment
from autocompose.gallery.pose import Pose
from autocompose.gallery.values import cleaned, text_of

_FIELDS = ("path", "digest", "size", "mtime_ns", "width", "height")


def payload_of(item: Item, fingerprint: str, changed: int) -> dict[str, Any]:
    """The payload of an item, all of it but the vector's length.

    :param changed: when it was written, nanoseconds; what is written later has a larger number.
    """
    joints, more = item.pose.to_bytes() if item.pose else (None, None)
    meta = cleaned(item.meta)
    return {
        **{name: getattr(item, name) for name in _FIELDS},
        "box": list(item.box) if item.box else None,
        "meta": meta,
        "filter": {column: text_of(value) for column, value in meta.items()},
        "joints": _text(joints),
        "estimate": _text(more),
        "searched": item.searched,
        "moment": item.moment.record() if item.moment else None,
        "has_pose": joints is not None,
        "fingerprint": fingerprint,
        "changed": changed,
    }


def item_of(payload: dict[str, Any]) -> Item:
    """The inverse of ``payload_of``."""
    box = payload.get("box")
    plain = [payload[name] for name in _FIELDS]
    place = tuple(box) if box else None
    moment = Moment.of_record(payload.get("moment"))
    return Item(*[*plain, place, cleaned(payload["meta"]), pose_of(payload), payload.get("searched", ""), moment])


def pose_of(payload: dict[str, Any]) -> Pose | None:
    """The pose in a payload."""
    return Pose.from_bytes(_bytes(payload.get("joints")), _bytes(payload.get("estimate")))


def _text(values: bytes | None) -> str | None:
    return None if values is None else base64.b64encode(values).decode()


def _bytes(values: str | list[float] | None) -> bytes | None:
    """Earlier versions wrote lists of numbers."""
    if isinstance(values, list):
        return np.array(values, np.float32).tobytes()
    return None if values is None else base64.b64decode(values)
