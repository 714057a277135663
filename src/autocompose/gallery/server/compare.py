"""How to get from the reference's pose to a result's, for the page's comparison."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from autocompose.describe.pictures.change import pose_change
from autocompose.describe.rules.changes import Figures
from autocompose.gallery.answer import Reference
from autocompose.gallery.item import Item
from autocompose.gallery.pose import Pose

NO_CHANGE = "No change of pose is larger than what the poses may be wrong by."


def compared(reference: Reference, item: Item, mirror: bool = False) -> dict[str, Any]:
    """What changed between two poses, as a JSON-able value.

    :param mirror: the reference is seen in a mirror.
    :return: ``text`` (what to do, or that there is nothing to tell or why), ``measurements`` and ``left_out``.
    """
    start, goal = reference.pose, item.pose
    if start is None or goal is None:
        why = reference.why if start is None else _why(item)
        return {"text": f"Not compared: {why}.", "measurements": [], "left_out": []}
    change = pose_change(_figures(start.mirrored() if mirror else start), _figures(goal))
    return {
        "text": change.texts[0] if change.texts else NO_CHANGE,
        "measurements": [asdict(one) for one in change.measurements],
        "left_out": [asdict(one) for one in change.left_out],
    }


def _why(item: Item) -> str:
    return "nobody was found in the result" if item.searched else "no pose is known of the result"


def _figures(pose: Pose) -> Figures:
    return Figures(pose.joints[None], uncertainty=pose.doubts[None].astype(float))
