"""What counts as the same picture in a batch, and whose negatives it is."""

import dataclasses

import numpy as np
import torch

from autocompose.core.records import Pair
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.features import ImageFeatures
from autocompose.train.compose_stages import CombinerStage, ComposeSettings
from autocompose.train.sampling import Batch, TextMode, TripletTable
from tests.fixtures.corpora import make_poses

NAMES = ["a.png", "b.png", "c.png", "d.png"]


def table(poses=None):
    pairs = tuple(Pair(a, b, (), {"auto": (f"from {a} to {b}",)}) for a in NAMES for b in NAMES if a != b)
    return TripletTable(pairs, TextMode(texts=1), poses)


def poses_with_a_twin():
    """b.png shows the pose of a.png; d.png the same pose from elsewhere."""
    poses = make_poses(["c000/a", "c000/b", "c000/c", "c000/d"])
    joints, yaw = poses.joints.copy(), poses.yaw.copy()
    joints[1], yaw[1] = joints[0], yaw[0]
    joints[3], yaw[3] = joints[0], yaw[0] + 90
    return dataclasses.replace(poses, names=tuple(NAMES), joints=joints, yaw=yaw)


def test_pictures_show_themselves_and_twins_show_one_pose():
    assert table().shows.tolist() == [0, 1, 2, 3]
    known = table(poses_with_a_twin())
    a, b, c, d = (known.shows[known.images.index(name)] for name in NAMES)
    assert a == b
    assert len({a, c, d}) == 3


def stage(settings=ComposeSettings(), poses=None):
    """Cached features, an element-wise sum and a weight that is not used; batches of three."""
    generator = torch.Generator().manual_seed(0)
    images = ImageFeatures(torch.randn(4, 8, generator=generator))
    texts = torch.randn(12, 8, generator=generator)
    made = CombinerStage(table(poses), images, texts, ElementwiseSum(), settings, 3)
    made.anchor = torch.nn.Parameter(torch.zeros(1))
    return made


def loss(settings, target, poses=None):
    made = stage(settings, poses)
    rows = [made.table.images.index(name) for name in target]
    reference = np.array([made.table.images.index("c.png")] * 3)
    batch = Batch(reference, np.array(rows), np.zeros(3, bool), np.array([0, 1, 2]), np.full(3, -1))
    return float(made(made.load(batch)))


def test_only_true_duplicates_are_no_negatives():
    masked, plain = ComposeSettings(), ComposeSettings(mask_duplicates=False)
    assert loss(masked, ["a.png", "b.png", "d.png"]) == loss(plain, ["a.png", "b.png", "d.png"])  # same reference stays
    assert loss(masked, ["a.png", "a.png", "d.png"]) < loss(plain, ["a.png", "a.png", "d.png"])
    twins = poses_with_a_twin()
    assert loss(masked, ["a.png", "b.png", "d.png"], twins) < loss(plain, ["a.png", "b.png", "d.png"], twins)
