"""The image side that sees with the estimator."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autocompose.bodies.skeleton import turn
from autocompose.estimate.lifting import JOINT_ORDER
from autocompose.estimate.people_finder import shared_finder
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.model import Model
from autocompose.model.small import SmallSizes, small_encoder
from autocompose.model.small2.pose_net import (
    TRUNK,
    joints_of,
    mirrored,
    trunk_of,
    uncertainty_of,
)

VECTORS = Path(__file__).parents[2] / "estimate/vectors.npz"


def people(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    joints = torch.rand(count, 22, 3, generator=draw) - 0.5
    return joints, torch.rand(count, generator=draw), torch.rand(count, 22, generator=draw)


def test_the_trunk_of_a_mirrored_pose_is_the_mirrored_trunk():
    joints, heading, doubt = people(5)
    other = trunk_of(joints[:, JOINT_ORDER] * torch.tensor([-1.0, 1, 1]), -heading, doubt[:, JOINT_ORDER])
    trunk = trunk_of(joints, heading, doubt)
    assert trunk.shape == (5, TRUNK)
    assert torch.allclose(mirrored(trunk), other, atol=1e-6)
    assert torch.equal(mirrored(mirrored(trunk)), trunk)


def test_joints_and_uncertainty_come_back_from_the_trunk():
    joints, heading, doubt = people(3)
    doubt = doubt + 0.01
    trunk = torch.cat([trunk_of(joints, heading, doubt), torch.zeros(1, TRUNK)])
    scene = turn(joints.numpy(), np.degrees(heading.numpy()))  # with the heading
    assert torch.allclose(joints_of(trunk)[:3], torch.from_numpy(scene), atol=1e-5)
    assert torch.allclose(joints_of(trunk)[3], joints_of(trunk)[:3].mean(0), atol=1e-6)
    assert torch.allclose(uncertainty_of(trunk)[:3, 1:], doubt[:, 1:], atol=1e-6)
    assert torch.equal(uncertainty_of(trunk)[:, 0], torch.zeros(4))
    assert torch.allclose(uncertainty_of(trunk)[3], uncertainty_of(trunk)[:3].mean(0))


def test_an_uncertain_origin_does_not_matter():
    joints, heading, doubt = people(1)
    doubt[:, 0] = torch.nan
    assert torch.isfinite(trunk_of(joints, heading, doubt)).all()


@torch.no_grad()
def test_nobody_has_a_finite_feature():
    encoder = small_encoder(SmallSizes(image_size=256, pose={}), ["a"]).eval()
    black = encoder.preprocess(Image.fromarray(np.zeros((256, 256, 3), np.uint8)))[None]
    trunk = encoder.encode_trunk(black)
    assert not trunk.any()
    feature = encoder.encode_image(black)
    assert torch.isfinite(feature).all() and torch.allclose(feature.norm(dim=1), torch.ones(1))
    assert torch.equal(feature, encoder.encode_head(trunk))


@torch.no_grad()
def test_people_that_the_estimator_has_found_need_no_second_look():
    model = Model(small_encoder(SmallSizes(image_size=256, pose={}), ["a"]).eval(), ElementwiseSum())
    with np.load(VECTORS) as file:
        picture = Image.fromarray(file["crops"][0])
    black = Image.fromarray(np.zeros((256, 256, 3), np.uint8))
    seen = shared_finder().estimator.people([picture, black], windows=False)
    assert [len(people) for people in seen] == [1, 0]
    assert np.allclose(model.encode_people(seen), model.encode_images([picture, black]), atol=1e-4)
