"""From landmarks to the 22 joints of SMPL, with what may be wrong about each."""

from __future__ import annotations

import numpy as np

from autocompose.bodies.convert import to_smpl22
from autocompose.bodies.pose_frame import centre, remove_yaw, yaw_of
from autocompose.estimate.marking import Views


class Lifter:
    """Stand-in until the network is trained: the skeleton's conversion by proportions."""

    @classmethod
    def load(cls) -> Lifter:
        return cls()

    def lift(self, views: Views) -> tuple[np.ndarray, float, np.ndarray]:
        """
        :return: joints ``(22, 3)`` metres in the person's own frame, heading in degrees, uncertainty ``(22,)`` metres.
        """
        world = (views.plain.world + views.mirror.world)[None] / 2
        joints = centre(to_smpl22(world, "mediapipe33", "-y", check_sides=False).joints[:, :22])
        return remove_yaw(joints)[0], float(yaw_of(joints)[0]), np.full(22, 0.12)
