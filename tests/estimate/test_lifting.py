"""The lifting network: features, mirror, weights."""

import numpy as np
import pytest
import torch

from autocompose.bodies.skeleton import SMPL22, mirror_joints, turn
from autocompose.core.errors import CheckpointError
from autocompose.estimate.lifting import SHIPPED, Lifter, Seen, turned


def seen(count=5, seed=0):
    rng = torch.Generator().manual_seed(seed)
    shapes = [torch.rand(count, 2, 33, 3, generator=rng) for _ in range(3)]
    return Seen(shapes[0] - 0.5, shapes[1] - 0.5, shapes[2])


def test_a_mirror_twice_changes_nothing():
    one = seen()
    again = one.mirrored().mirrored()
    assert all(torch.equal(getattr(one, key), getattr(again, key)) for key in ("points", "world", "scores"))
    assert torch.allclose(one.mirrored().yaw(), -one.yaw(), atol=1e-6)


def test_the_world_part_of_the_features_does_not_see_turns():
    one = seen()
    other = Seen(one.points, turned(one.world, torch.tensor(0.8)), one.scores)
    assert torch.allclose(one.features(one.yaw())[:, : 6 * 33], other.features(other.yaw())[:, : 6 * 33], atol=1e-5)
    assert torch.allclose(torch.remainder(other.yaw() - one.yaw() - 0.8 + 1, 2 * np.pi), torch.ones(5), atol=1e-5)


def test_turning_is_that_of_the_skeleton():
    points = seen().world[:, 0]
    assert np.allclose(turned(points, torch.tensor(0.5)).numpy(), turn(points.numpy(), np.degrees(0.5)), atol=1e-6)


def test_a_mirrored_person_gets_the_mirrored_pose():
    lifter, one = Lifter.load(), seen()
    with torch.inference_mode():
        joints, heading, expected = lifter(one)
        other, turned_away, doubts = lifter(one.mirrored())
    assert np.allclose(other.numpy(), mirror_joints(joints.numpy()), atol=1e-4)
    assert torch.allclose(turned_away, -heading, atol=1e-4)
    assert np.allclose(doubts.numpy(), mirror_joints(expected.numpy()[..., None] * [0, 1, 1])[..., 1], atol=1e-4)
    assert joints.shape == (5, len(SMPL22), 3) and (expected > 0).all()
    assert (joints[:, 0] == 0).all()


def test_weights(tmp_path):
    assert SHIPPED.stat().st_size < 8e6
    (tmp_path / "text").write_text("no weights")
    for name in ("text", "missing"):
        with pytest.raises(CheckpointError, match=r"runs/lifting\.sh"):
            Lifter.load(tmp_path / name)
    from safetensors.torch import save_file

    save_file({"mean": torch.zeros(3), "members.0.around.weight": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(CheckpointError, match="does not fit"):
        Lifter.load(tmp_path / "other")
