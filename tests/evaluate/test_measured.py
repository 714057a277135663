"""How uncertain joints make what is measured of a pose."""

import numpy as np
import pytest

from autocompose.bodies.skeleton import turn
from autocompose.describe.audit.measure import Poses
from autocompose.evaluate.measured import Measured
from tests.describe.audit.poses import standing

SIDEWAYS, FORWARD, UP = (("coordinate", axis, "hand", "left") for axis in "xzy")
DOUBTS = np.full((1, 22), 0.1)


def seen_from(yaw: float) -> Measured:
    """Somebody who turned by so many degrees to their own left."""
    return Measured(Poses(turn(standing()[None], yaw)), DOUBTS)


def test_depth_is_less_certain_than_what_the_picture_shows() -> None:
    facing, aside = seen_from(0), seen_from(90)
    assert facing.variance(FORWARD) > 4 * facing.variance(SIDEWAYS)
    assert aside.variance(SIDEWAYS) > 4 * aside.variance(FORWARD)
    for measured in (facing, aside, seen_from(37)):
        assert np.isclose(measured.variance(UP), facing.variance(SIDEWAYS), rtol=1e-3)
        both = measured.variance(FORWARD) + measured.variance(SIDEWAYS)
        assert np.isclose(both, facing.variance(FORWARD) + facing.variance(SIDEWAYS), rtol=1e-3)


@pytest.mark.parametrize("feature", [("bend", "elbow", "left"), ("distance", "hand", "left", "head", "none")])
def test_what_has_no_direction_is_as_certain_from_everywhere(feature: tuple[str, ...]) -> None:
    assert np.isclose(seen_from(0).variance(feature), seen_from(90).variance(feature), rtol=1e-3)
    assert seen_from(0).variance(feature) > 0


def test_a_row_is_as_certain_as_in_its_table() -> None:
    table = Measured(Poses(np.concatenate([turn(standing()[None], yaw) for yaw in (0, 50)])), np.tile(DOUBTS, (2, 1)))
    assert np.isclose(table.row(1).variance(FORWARD), table.variance(FORWARD)[1])
    assert np.isclose(table.row(1).variance(FORWARD), seen_from(50).variance(FORWARD), rtol=1e-6)


def test_known_poses_are_certain() -> None:
    assert Measured(Poses(standing()[None])).variance(FORWARD).tolist() == [0]
