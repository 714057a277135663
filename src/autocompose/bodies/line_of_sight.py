"""How the uncertainty of an estimated joint divides among directions: a picture shows depth worst.

An estimator states one number for a joint, the expected distance from the true place. Along the line of sight, the z
axis of the scene frame, estimates are off by more than that suggests, across it by less. Measured on the first half of
the validation part of BodyCPR's preset ``full``, in shares of the deviation that would be equal in all directions: 1.42
along and 0.78 across (root mean square), 1.27 and 0.65 (68 % of the errors lie within).
"""

from __future__ import annotations

import numpy as np

MEAN_DISTANCE = 2 * np.sqrt(2 / np.pi)  # of a normal deviate in space, in its standard deviation along each axis
ALONG, ACROSS = 1.4, 0.6
EVERY_DIRECTION = 1 / 3  # the mean of squared cosines


def deviations(uncertainty: np.ndarray) -> np.ndarray:
    """Standard deviations of joints along x, y and z of the scene frame, ``(..., 3)`` metres.

    :param uncertainty: ``(...)`` metres, expected distances of the joints from the true ones.
    """
    return (uncertainty / MEAN_DISTANCE)[..., None] * np.array([ACROSS, ACROSS, ALONG])


def variance_share(cosine_squared: np.ndarray | float) -> np.ndarray:
    """The variance in a direction, as a share of ``(uncertainty / MEAN_DISTANCE)^2``.

    :param cosine_squared: of the angle between that direction and the line of sight.
    """
    return np.asarray(ACROSS**2 + (ALONG**2 - ACROSS**2) * np.asarray(cosine_squared))
