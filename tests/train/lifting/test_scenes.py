"""Rendered scenes: the same for the same number, and nothing of the benchmark's test part in them."""

import dataclasses

import numpy as np
import pytest

from autocompose.bodies.rendering.appearance import draw_look
from autocompose.core.records import Split
from autocompose.prepare.bodycpr import frozen
from autocompose.prepare.bodycpr.bases import MOTION, TEST_CLIPS, UNSEEN_FAMILIES, VAL_CLIPS, clip_split
from autocompose.train.lifting import scenes as module
from autocompose.train.lifting.scenes import (
    FREE,
    FREE_SHARE,
    GROUP,
    SEED,
    draw_poses,
    scenes,
    seen_families,
    train_frames,
)

GROUPS = 16


@pytest.fixture(scope="module")
def drawn():
    wide = [draw_poses(np.random.default_rng([SEED, group])) for group in range(GROUPS)]
    return wide + [draw_poses(np.random.default_rng([SEED, 1, group]), free=0.0) for group in range(GROUPS)]


def test_no_family_or_clip_of_the_test_part_is_drawn(drawn):
    families, clips = ({getattr(base, key) for base, _ in drawn} for key in ("family", "sequence"))
    assert {MOTION, FREE} < families and len(families) > 4
    assert not families & set(UNSEEN_FAMILIES)
    assert len(clips - {""}) > 1
    assert not clips & {*TEST_CLIPS, *VAL_CLIPS}
    assert all(clip_split(clip) is Split.TRAIN for clip in clips - {""})
    # and there is no other way to them
    assert not set(seen_families()) & set(UNSEEN_FAMILIES)
    assert not set(train_frames()) & {*TEST_CLIPS, *VAL_CLIPS}


def test_no_cluster_of_the_test_part_is_drawn(drawn):
    """A cluster is a body with its clothes and scene, and poses around one base."""
    test = frozen.load()
    assert not set(UNSEEN_FAMILIES).isdisjoint(test.columns["family"].tolist())
    looks = {repr(dataclasses.astuple(look)) for look in test.looks.values()}
    for number in range(2 * GROUPS):
        plain, group = divmod(number, GROUPS)
        rng = np.random.default_rng([SEED, 1, group] if plain else [SEED, group])
        draw_poses(rng, free=0.0 if plain else FREE_SHARE)
        assert repr(dataclasses.astuple(draw_look(rng))) not in looks
    local = test.rotations[:, 1:].reshape(len(test.rotations), -1)
    for _, rotations in drawn:
        for row in rotations.reshape(GROUP, 22, 3)[:, 1:].reshape(GROUP, -1):
            assert np.abs(local - row).max(1).min() > 0.01


@pytest.mark.parametrize("kind", ["wide", "plain"])
def test_a_group_is_the_same_for_the_same_number(kind):
    first, again = (list(scenes(5, kind)) for _ in range(2))
    assert len(first) == GROUP
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.joints, b.joints) and a.picture.tobytes() == b.picture.tobytes()
        assert a.picture.mode == "RGB" and a.joints.shape == (22, 3) and a.coco.shape == (17, 2)


def test_joints_lie_where_the_picture_shows_them(monkeypatch):
    """In pictures that are not cropped, all of the body is inside."""
    monkeypatch.setattr(module, "_cropped", lambda picture, points, rng: (picture, points))
    for scene in scenes(9):
        assert (scene.coco > 0).all() and (scene.coco < scene.picture.width).all()
