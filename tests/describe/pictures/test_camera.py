"""A tilt of the whole body is the camera's; a limb that moves is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.bodies.rotations import rotation_matrices
from autocompose.describe.pictures.camera import MAX_TILT, without_tilt
from tests.describe.audit.poses import J, standing


def tilted(joints: np.ndarray, axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    axis_angle = np.radians(degrees) * np.array(axis) / np.linalg.norm(axis)
    return (joints - joints[0]) @ rotation_matrices(axis_angle[None])[0].T


START = standing() - standing()[0]


@given(degrees=st.floats(4, MAX_TILT - 1), axis=st.sampled_from([(1, 0, 0), (0, 0, 1), (-1, 0, 0.5)]))
def test_a_tilt_is_undone(degrees: float, axis: tuple[float, float, float]) -> None:
    level, found = without_tilt(START, tilted(START, axis, degrees))
    assert found == pytest.approx(degrees, abs=0.1) and np.allclose(level, START, atol=2e-3)


def test_an_arm_that_moves_in_a_tilted_picture_stays_moved() -> None:
    moved = standing(left_elbow=(0.25, 0.3, 0), left_wrist=(0.4, 0.9, 0))
    level, found = without_tilt(START, tilted(moved, (1, 0, 0), 15))
    assert found == pytest.approx(15, abs=2)
    assert np.allclose(level, moved - moved[0], atol=0.05)


def test_what_no_tilt_explains_stays() -> None:
    moved = standing(left_wrist=(0.4, 0.9, 0))
    goal = moved - moved[0]
    assert without_tilt(START, goal)[1] == 0 and without_tilt(START, goal)[0] is goal
    lying = tilted(START, (1, 0, 0), 80)
    assert without_tilt(START, lying)[1] == 0
    bent = goal.copy()
    upper = [J[n] for n in J if not any(part in n for part in ("hip", "knee", "ankle", "foot", "pelvis"))]
    bent[upper] = tilted(START, (1, 0, 0), 25)[upper]  # leans: the legs stay
    assert without_tilt(START, bent)[1] < 10
