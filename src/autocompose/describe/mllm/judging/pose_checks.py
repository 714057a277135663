"""Checks with known 3D poses: hints for the grounded mode, and the audit of finished texts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autocompose.bodies.skeleton import mirror_joints
from autocompose.corpus.poses import PoseTable
from autocompose.describe.audit import Poses, Verdict, judge_pair
from autocompose.describe.audit.corpus import poses_of
from autocompose.describe.audit.score import score
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.judging.own_sides import COLOUR_WORDS
from autocompose.describe.mllm.judging.unclear_depth import unclear_in_depth
from autocompose.describe.reading import parse

CHANGES = {
    "bend": ("more bent", "straighter"),
    "gap": ("closer to", "farther from"),
    "side": ("more to the right", "more to the left"),
    "height": ("lower", "higher"),
    "depth": ("farther back", "farther forward"),
}
"""Words for (negative, positive) levels of the pair codes."""
MAX_HINTS = 10
FAMILY_OF_POINT = {"elbow": "arm", "hand": "arm", "knee": "leg", "foot": "leg"}


class Audit(NamedTuple):
    """The audit of one text, as counts of claims.

    :param checked: claims that the joints can decide.
    :param supported: of these, claims that hold.
    :param contradicted: the joints do the opposite.
    :param swapped: not supported, but true with left and right swapped.
    :param wrong: contradicted or swapped.
    """

    checked: int = 0
    supported: int = 0
    contradicted: int = 0
    swapped: int = 0
    wrong: int = 0

    @property
    def agreement(self) -> float:
        """Probability that the text is correct, 0..1 (``audit.score``); 1 when nothing could be checked."""
        doubtful = self.checked - self.supported - self.wrong
        return score(self.wrong, doubtful) if self.checked else 1.0


def joints_of(poses: PoseTable, item: Item, rows: dict[str, int]) -> tuple[Poses, Poses] | None:
    """Reference and target pose of an item under its edit; None when a pose is unknown.

    Turns of the whole body cannot be checked: the yaw of a pose is relative to its own picture's camera.
    """
    names = (item.target, item.reference) if item.edit.reverses else (item.reference, item.target)
    pose_rows = [rows[name] for name in names if name in rows]
    if len(pose_rows) < 2 or not np.isfinite(poses.joints[pose_rows]).all():
        return None
    start, goal = (poses_of(poses, np.array([row]), item.edit, turns=False) for row in pose_rows)
    return start, goal


def audit(text: str, poses: tuple[Poses, Poses]) -> Audit:
    """Read the claims of a text and judge them on a pair of poses."""
    judged = judge_pair(parse(text), *poses)
    checked = [j for j in judged if j.verdict is not Verdict.UNCHECKABLE]
    against = [j.verdict is Verdict.CONTRADICTED for j in checked]
    return Audit(
        checked=len(checked),
        supported=sum(j.verdict is Verdict.SUPPORTED for j in checked),
        contradicted=sum(against),
        swapped=sum(j.swap for j in checked),
        wrong=sum(no or j.swap for no, j in zip(against, checked, strict=True)),
    )


def moved_limbs(poses: tuple[Poses, Poses]) -> frozenset[tuple[str, str]]:
    """(side, arm or leg) of the limbs that moved, according to the pair codes."""
    from autocompose.describe.rules.codes.pair_codes import PAIR_CODES, pair_codes

    levels = pair_codes(poses[0].joints.astype(np.float32), poses[1].joints.astype(np.float32))[0]
    moved = set()
    for code, level in zip(PAIR_CODES, levels, strict=True):
        side, _, point = code.subject.partition("_")
        if level and code.kind != "gap" and point in FAMILY_OF_POINT:
            moved.add((side, FAMILY_OF_POINT[point]))
    return frozenset(moved)


def _joints(poses: PoseTable, item: Item, rows: dict[str, int]) -> np.ndarray | None:
    """``(2, 22, 3)`` joints of an item under its edit, as the camera sees them; None when a pose is unknown."""
    names = (item.target, item.reference) if item.edit.reverses else (item.reference, item.target)
    pose_rows = [rows[name] for name in names if name in rows]
    if len(pose_rows) < 2 or not np.isfinite(poses.joints[pose_rows]).all():
        return None
    return mirror_joints(poses.joints[pose_rows]) if item.edit.mirrors else poses.joints[pose_rows]


def moved(poses: PoseTable, item: Item, rows: dict[str, int]) -> bool:
    """Whether the poses are known and some pair code reports a movement."""
    from autocompose.describe.rules.codes.pair_codes import pair_codes

    joints = _joints(poses, item, rows)
    return joints is not None and bool(pair_codes(joints[:1], joints[1:]).any())


def hints(
    poses: PoseTable, item: Item, rows: dict[str, int], frame: Frame, depth_only: bool = False
) -> tuple[str, ...]:
    """The largest measured changes of a pair in the words of a frame, at most ``MAX_HINTS``; () when unknown.

    Directions that are sides are left out in the colour frame, where left and right have no meaning for the model.

    :param depth_only: only of limbs whose depth the pictures do not show.
    """
    from autocompose.describe.rules.codes.pair_codes import PAIR_CODES, pair_codes

    joints = _joints(poses, item, rows)
    if joints is None:
        return ()
    levels = pair_codes(joints[:1], joints[1:])[0]
    unclear = unclear_in_depth(joints) if depth_only else frozenset()
    lines: list[str] = []
    for row in np.argsort(-np.abs(levels), kind="stable"):
        code, level = PAIR_CODES[row], int(levels[row])
        if level == 0 or len(lines) == MAX_HINTS:
            break
        if code.kind == "side" and frame is Frame.COLOUR:
            continue
        if depth_only and (code.kind not in ("depth", "gap") or code.subject not in unclear):
            continue
        where = ""
        if code.kind == "gap":
            where = " the body" if code.points[-1] == "torso" else " the other"
        subject = code.subject.replace("_", " ")
        if frame is Frame.COLOUR:
            for colour, side in COLOUR_WORDS.items():
                subject = subject.replace(side, colour)
        much = "much " if abs(level) >= 2 else ""
        lines.append(f"{subject}: {much}{CHANGES[code.kind][level > 0]}{where}")
    return tuple(lines)
