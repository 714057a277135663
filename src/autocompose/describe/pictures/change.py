"""How to get from one pose to another that may be wrong: what changed for certain, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autocompose.bodies.pose_frame import centre, remove_yaw, rescale, yaw_of
from autocompose.describe.pictures.camera import without_tilt
from autocompose.describe.rules.changes import Figures
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.statement import Statement
from autocompose.describe.rules.texts import describe

OPTIONS = RuleOptions(noise=0.0, absolute="none", trunk=True, rotation=False, max_tokens=None)


@dataclass(frozen=True)
class Measurement:
    """One pose code that changed.

    :param code: such as ``bend:left_elbow``. :param category: of the change, a key of the word bank.
    :param before, after: the value in the two poses. :param unit: ``m`` or ``deg``.
    :param uncertainty: standard deviation of the difference; 0 = exact.
    """

    code: str
    category: str
    before: float
    after: float
    unit: str
    uncertainty: float

    @classmethod
    def of(cls, numbers: dict[str, Any]) -> Measurement:
        """From what ``Changes.numbers`` gives."""
        uncertainty = numbers.get("uncertainty", 0.0)
        return cls(numbers["code"], numbers["category"], numbers["from"], numbers["to"], numbers["unit"], uncertainty)


@dataclass(frozen=True)
class PoseChange:
    """What changed between two poses.

    :param texts: wordings of how to get from the first pose to the second, left and right the person's own; () where no
        change is larger than what the poses may be wrong by.
    :param statements: what the first text says.
    :param measurements: the numbers behind the statements.
    :param left_out: changes that the uncertainty of the poses may explain.
    :param tilt: degrees by which the whole person tilts; taken for a move of the camera and not stated.
    :param turned: degrees by which the person turned to their own left, as the camera sees it; not stated, since the
        camera may have moved instead.
    :param people: how many people each picture shows.
    :param chosen: which of them are compared, counted from the left, beginning with 1.
    """

    texts: tuple[str, ...]
    statements: tuple[Statement, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    left_out: tuple[Measurement, ...] = ()
    tilt: float = 0.0
    turned: float = 0.0
    people: tuple[int, int] = (1, 1)
    chosen: tuple[int, int] = (1, 1)


def pose_change(start: Figures, goal: Figures, *, wordings: int = 1, seed: int = 0) -> PoseChange:
    """Say how to get from one pose to another, as far as their uncertainty lets one say.

    :param start, goal: one pose each, heading included; without uncertainty they are taken as exact.
    :param wordings: how many texts. :param seed: decides between wordings.
    :raises PoseError: as ``describe``.
    """
    turned = (yaw_of(goal.joints) - yaw_of(start.joints) + 180) % 360 - 180
    first, second = (f._replace(joints=remove_yaw(rescale(centre(f.joints.astype(float))))) for f in (start, goal))
    exact = start.uncertainty is None and goal.uncertainty is None
    level, tilt = (second.joints[0], 0.0) if exact else without_tilt(first.joints[0], second.joints[0])
    description = describe(first, second._replace(joints=level[None]), seed, wordings, OPTIONS, numbers=True)[0]
    return PoseChange(
        texts=tuple(description.texts),
        statements=tuple(description.said[0]) if description.said else (),
        measurements=tuple(map(Measurement.of, description.measured)),
        left_out=tuple(map(Measurement.of, description.doubtful)),
        tilt=round(tilt, 1),
        turned=round(float(turned[0]), 1),
    )
