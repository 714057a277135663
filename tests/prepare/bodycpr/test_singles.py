"""Single bodies: groups of one person in nearly one pose, sound, the same for any number of processes."""

import numpy as np
import pytest

from autocompose.bodies.kinematics import forward
from autocompose.bodies.sampling import self_contact as selfhit
from autocompose.bodies.sampling.sampler import DEEPEST
from autocompose.core.errors import ConfigError
from autocompose.prepare.bodycpr import singles
from autocompose.prepare.bodycpr.clusters import YAW_JITTER
from autocompose.prepare.bodycpr.singles import ALIKE, joined, prepare_singles


@pytest.fixture(scope="module")
def drawn():
    return singles._draw_poses(120, 0, np.random.default_rng(1))


def test_no_body_passes_through_itself(drawn):
    rotations, _ = drawn
    assert rotations.shape == (120, 22, 3)
    assert (selfhit.depth(forward(rotations)[0]) <= DEEPEST).all()


def test_poses_of_a_group_are_likelier_than_others(drawn):
    rotations, group = drawn
    sizes = np.bincount(group)
    assert sizes.max() == ALIKE and (sizes > 0).all() and (np.diff(group) >= 0).all()
    joints = forward(rotations)[0]
    joints = joints - joints[:, :1]
    apart = np.linalg.norm(joints[:, None] - joints[None], axis=-1).mean(-1)
    same = (group[:, None] == group) & ~np.eye(len(group), dtype=bool)
    assert apart[same].mean() < 0.6 * apart[group[:, None] != group].mean()
    assert np.median(apart[same]) > 0.02  # and yet they differ


def test_a_group_looks_one_way(drawn):
    _, group = drawn
    yaw = singles._draw_yaw(group, np.random.default_rng(2))
    assert (np.abs(yaw) <= 180).all()
    for number in range(group[-1] + 1):
        turn = np.radians(yaw[group == number] - yaw[group == number][0])
        assert (np.abs(np.degrees(np.arctan2(np.sin(turn), np.cos(turn)))) <= 2 * YAW_JITTER + 1e-3).all()


@pytest.mark.slow
def test_parts_that_are_there_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(singles, "PART", 12)
    found = prepare_singles(tmp_path / "one", 20, 32, seed=3, workers=1)
    assert found.pixels.shape == (20, 32, 32, 3) and found.points.shape == (20, 22, 2)
    assert (np.abs(found.points) < 1).all()  # joints lie in the picture
    again = prepare_singles(tmp_path / "one", 20, 32, seed=3, workers=1)
    for one, two in zip(found, again, strict=True):
        assert np.array_equal(one, two)
    with pytest.raises(ConfigError, match="other settings"):
        prepare_singles(tmp_path / "one", 20, 32, seed=4)


def test_joined_groups_stay_apart():
    def some(group):
        n = len(group)
        zeros = np.zeros
        return singles.Singles(zeros((n, 4, 4, 3)), zeros((n, 22, 3)), zeros(n), zeros((n, 22, 2)), np.array(group))

    both = joined(some([0, 0, 1]), some([0, 5]))
    assert both.group.tolist() == [0, 0, 1, 2, 7]
