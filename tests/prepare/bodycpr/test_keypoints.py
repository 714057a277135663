from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autocompose.bodies.rendering.appearance import draw_look, draw_shot
from autocompose.bodies.rendering.body import Body
from autocompose.bodies.rendering.render import project, render
from autocompose.bodies.skeleton import COCO17
from autocompose.core.errors import InputError
from autocompose.prepare.bodycpr.keypoints import add_keypoints


def test_projected_keypoints_lie_on_the_drawn_body() -> None:
    """What other clothes and skin change in the picture is the body; every keypoint lies on it, sides the right way."""
    size, body, rng = 96, Body(), np.random.default_rng(0)
    look, shot = draw_look(rng), draw_shot(rng)
    posed = body.pose(np.zeros((1, 22, 3)), look.phenotype).on_floor()
    points = project(posed.coco17[0], posed.vertices[0], shot, size)
    left, right = points[COCO17.index("left_wrist")], points[COCO17.index("right_wrist")]
    assert left[0] > size / 2 > right[0]  # arms out, facing the camera
    other = replace(look, outfit=draw_look(np.random.default_rng(5)).outfit)
    first, second = (render(body, posed.vertices[0], each, shot, size).astype(int) for each in (look, other))
    drawn = np.argwhere(np.abs(first - second).sum(2) > 8)[:, ::-1] + 0.5
    distances = np.abs(points[:, None] - drawn).max(2).min(1)
    assert len(drawn) < size**2 / 2 and distances.max() < 2.5


def test_other_corpora_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="prepare bodycpr"):
        add_keypoints(tmp_path)
