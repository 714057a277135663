"""The skeleton seen from its side."""

from __future__ import annotations

import numpy as np
import pytest

from autocompose.bodies.skeleton import SMPL22, turn
from autocompose.describe.mllm.asking.side_views import COLOURS, side_view
from tests.describe.audit.poses import standing


def column(joints: np.ndarray, side: str) -> float:
    """The rightmost column of a side's colour, in picture widths."""
    image = np.asarray(side_view(joints, 200)).astype(int)
    found = np.argwhere((image == COLOURS[side]).all(2))
    return float(found[:, 1].max()) / 200


@pytest.mark.parametrize("yaw", [0.0, 80.0, 180.0])
def test_forward_is_to_the_right_however_the_person_stands(yaw: float) -> None:
    joints = standing()
    joints[SMPL22.index("left_elbow")] = joints[SMPL22.index("left_shoulder")] + [0, 0, 0.3]
    joints[SMPL22.index("left_wrist")] = joints[SMPL22.index("left_shoulder")] + [0, 0, 0.55]
    assert column(turn(joints, yaw), "left") > column(turn(joints, yaw), "right") + 0.1
