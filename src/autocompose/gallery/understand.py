"""How the program understands a query text: parts, sides and directions, or a warning if there are none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from autocompose.gallery.request import Sides

if TYPE_CHECKING:
    from autocompose.describe.reading.claims import Claim
    from autocompose.gallery.pose import Pose

SUGGESTIONS = (
    "Raise your left arm.",
    "Lower your right hand to your hip.",
    "Bend both knees more.",
    "Straighten your right leg.",
    "Lean your torso forward.",
    "Turn your head to the left.",
    "Bring your hands closer together.",
    "Spread your feet wider apart.",
    "Lift your left knee.",
    "Stretch both arms out to the sides.",
    "Bring your right elbow closer to your body.",
    "Move your left foot backward.",
)
LEFT_HIP, RIGHT_HIP, LEFT_SHOULDER, RIGHT_SHOULDER = 1, 2, 16, 17  # in SMPL-22
_ARROWS = {
    "up": "↑", "down": "↓", "left": "←", "right": "→", "forward": "↗", "backward": "↙", "bend": "∠", "straighten": "│",
    "closer": "→←", "apart": "←→", "turn-left": "↺", "turn-right": "↻", "turn-around": "⟳", "lean-left": "⟵",
    "lean-right": "⟶", "lean-forward": "↗", "lean-backward": "↙",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One understood statement, ready to show.

    :param who: side and part, such as ``left arm``.
    :param what: the change or state in words, such as ``up`` or ``near right knee``.
    """

    who: str
    what: str
    side: str
    arrow: str = ""


@dataclass(frozen=True)
class Reading:
    """All statements of a text; ``warning`` says so when there are none.

    :param claims: what the statements show, as poses are scored by it.
    """

    parts: tuple[Part, ...] = ()
    warning: str | None = None
    claims: tuple[Claim, ...] = ()

    def record(self) -> dict[str, Any]:
        """As a JSON-able value."""
        return {"parts": [asdict(part) for part in self.parts], "warning": self.warning}


@lru_cache(1024)  # ranking, answer and page ask about the same text
def understand(text: str) -> Reading:
    """Read a text with the audit's parser. An empty text reads as nothing, without a warning."""
    if not text.strip():
        return Reading()
    from autocompose.describe.reading.parse import parse

    claims = tuple(parse(text))
    if claims:
        return Reading(tuple(map(_part, claims)), claims=claims)
    return Reading(
        (),
        "No body part or direction was recognised in this text. Name a part, a side and a change: raise the left arm.",
    )


def _part(claim: Claim) -> Part:
    plural = {"foot": "feet"}.get(claim.part, f"{claim.part}s") if claim.side == "both" else claim.part
    who = plural if claim.side == "none" else f"{claim.side} {plural}"
    what = claim.action.replace("-", " ")
    if claim.other:
        other = claim.other if claim.other_side == "none" else f"{claim.other_side} {claim.other}"
        what += f" {'to' if claim.action == 'closer' else 'from' if claim.action == 'apart' else ''} {other}"
    if claim.degree:
        what += f", {claim.degree}"
    return Part(who, " ".join(what.split()), claim.side, _ARROWS.get(claim.action, "·"))


def own_sides(text: str, sides: Sides, pose: Pose | None, mirror: bool, notes: list[str]) -> str:
    """The text with the person's own sides, mirrored on request. A person facing us has their left on our right.

    :param pose: of the reference; without one the person is assumed to face the camera, and ``notes`` says so.
    """
    swap = mirror
    if sides is Sides.SEEN and text:
        if pose is None:
            notes.append("The reference's pose is unknown, so the person is assumed to face the camera.")
        swap ^= pose is None or _faces_camera(pose)
    if not swap or not text:
        return text
    from autocompose.describe.side_words import swap_sides

    return swap_sides(text)


def _faces_camera(pose: Pose) -> bool:
    x = pose.joints[:, 0]
    return bool(x[LEFT_HIP] + x[LEFT_SHOULDER] > x[RIGHT_HIP] + x[RIGHT_SHOULDER])
