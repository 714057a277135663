"""The claim: one checkable statement that a text makes about a change of pose."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

LIMB_PARTS = (
    "hand", "forearm", "elbow", "upper arm", "arm", "shoulder", "foot", "shin", "knee", "thigh", "leg", "hip",
)  # fmt: skip
CENTRAL_PARTS = ("head", "torso", "pelvis", "body")
PARTS = LIMB_PARTS + CENTRAL_PARTS
SIDES = ("left", "right", "both", "none")

MOVES = ("up", "down", "left", "right", "forward", "backward")
LEANS = ("lean-left", "lean-right", "lean-forward", "lean-backward")
TURNS = ("turn-left", "turn-right", "turn-around")
BENDS = ("bend", "straighten")
DISTANCES = ("closer", "apart")
RELATIONS = ("near", "level", "above", "below", "in-front", "behind", "left-of", "right-of")
STATES = (
    "bent",
    "straight",
    "right-angle",
    "horizontal",
    "vertical",
    "on-floor",
    "near-floor",
    "crossed",
    "shoulder-width",
)
ACTIONS = MOVES + LEANS + TURNS + BENDS + DISTANCES + RELATIONS + STATES

HOW = ("move", "place", "aim", "reach")
"""``move``: the part moves that way; ``place``: it ends up there ("hand up beside the knee"); ``aim``: it points there
("forearm pointing forward", "arm hanging"); ``reach``: stretched towards something, so straighter or further out."""
STATED = RELATIONS + STATES

_OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Claim:
    """What a text says about one part. Left and right are the person's own.

    :param part: one of ``PARTS``; ``hand`` also stands for wrist and fingers, ``foot`` for ankle, heel and toes,
        ``head`` for face, chin and neck, ``torso`` for chest, back and trunk, ``pelvis`` for hips, waist and bottom.
    :param side: ``left``, ``right``, ``both`` (plural, or "each") or ``none`` (central part, or side not said).
    :param action: one of ``ACTIONS``. Moves, leans, turns, bends and distances are changes from A to B;
        relations and states describe B.
    :param other: the part that a distance or relation refers to, ``body`` for the trunk as such; None for
        distances between the two sides ("bring your hands together").
    :param other_side: side of ``other``, ``none`` when not said.
    :param degree: ``slight`` or ``large`` when the text says so.
    :param how: one of ``HOW``: how a direction is meant.
    :param start: it is about the reference, not about the change or the goal.
    """

    part: str
    side: str
    action: str
    other: str | None = None
    other_side: str = "none"
    degree: str | None = None
    how: str = "move"
    start: bool = False

    def swapped(self) -> Claim:
        """The claim of the mirrored text: every left becomes right."""
        action = self.action
        if action != "right-angle":
            action = "-".join(_OTHER_SIDE.get(word, word) for word in action.split("-"))
        return replace(
            self,
            side=_OTHER_SIDE.get(self.side, self.side),
            action=action,
            other_side=_OTHER_SIDE.get(self.other_side, self.other_side),
        )

    @property
    def sided(self) -> bool:
        """Whether left and right matter to the claim."""
        return self.swapped() != self

    def to_json(self) -> dict[str, Any]:
        """Plain values; fields that say nothing are left out."""
        record = {key: value for key, value in asdict(self).items() if value is not None}
        defaults = {"other_side": "none", "how": "move", "start": False}
        return {key: value for key, value in record.items() if key not in defaults or value != defaults[key]}

    def __str__(self) -> str:
        side = "" if self.side == "none" else self.side + " "
        other_side = "" if self.other_side == "none" else self.other_side + " "
        other = f" ({other_side}{self.other})" if self.other else ""
        degree = f", {self.degree}" if self.degree else ""
        start = ", at first" if self.start else ""
        return f"{side}{self.part}: {self.action}{other}{degree}{start}"
