"""Uncertainty along and across the line of sight."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autocompose.bodies.line_of_sight import ALONG, EVERY_DIRECTION, MEAN_DISTANCE, deviations, variance_share


@given(st.floats(0, 2), st.floats(0, 2 * np.pi), st.floats(-1, 1))
def test_the_variance_in_a_direction_is_that_of_the_axes_together(uncertainty: float, angle: float, z: float) -> None:
    direction = np.array([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z])
    plain = (np.square(deviations(np.array(uncertainty))) * np.square(direction)).sum()
    assert np.isclose(variance_share(z**2) * (uncertainty / MEAN_DISTANCE) ** 2, plain)


def test_depth_is_the_most_uncertain_and_the_mean_over_all_directions_is_stated() -> None:
    x, y, z = deviations(np.array([0.1]))[0]
    assert z > x == y and np.isclose(z, 0.1 / MEAN_DISTANCE * ALONG)
    directions = np.random.default_rng(0).normal(size=(20_000, 3))
    cosines = directions[:, 2] / np.linalg.norm(directions, axis=1)
    assert np.isclose(variance_share(cosines**2).mean(), variance_share(EVERY_DIRECTION), rtol=0.02)
