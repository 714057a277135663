"""The feature cache: nothing is encoded twice, and a new head needs no pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from autocompose.model.embed import embed_images
from autocompose.model.encoder import Encoder
from autocompose.model.features import image_features, text_features
from autocompose.model.small import SmallSizes, small_config, small_encoder
from autocompose.model.small2.pose_net import TRUNK, mirrored
from autocompose.model.visual import JointPool
from autocompose.train.loop import LoopSettings

POOL = JointPool(width=8, blocks=(1, 1, 1), tokens=16, hidden=16, joints=5, values=3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0).integers(0, 256, (5, 40, 30, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def encoder(pool):
    return Encoder(small_config(SmallSizes(image_size=64, width=8, layers=(1, 1, 1, 1), pool=pool, dim=16))).eval()


@pytest.mark.parametrize("pool", [None, POOL])
def test_cached_features_are_those_of_the_pictures(pool, paths, tmp_path):
    network = encoder(pool)
    plain, flipped = embed_images(network, paths, flips=True)
    for _ in range(2):  # computed, then read
        found = image_features(network, paths, tmp_path, flips=True)
        assert found.flipped is not None
        torch.testing.assert_close(found.plain, plain, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.flipped, flipped, atol=1e-5, rtol=1e-5)


def test_a_new_head_reads_the_cached_trunk(paths, tmp_path, monkeypatch):
    network = encoder(POOL)
    before = image_features(network, paths, tmp_path, flips=True)
    with torch.no_grad():
        network.visual.head[0].bias.add_(1.0)
    expected = embed_images(network, paths)[0]
    monkeypatch.setattr("autocompose.model.features.embed_images", lambda *_: pytest.fail("encoded again"))
    after = image_features(network, paths, tmp_path, flips=True)
    torch.testing.assert_close(after.plain, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(after.plain, before.plain)


def test_poses_are_estimated_once_for_all_precisions_and_for_mirrored_pictures(paths, tmp_path, monkeypatch):
    network, looks = small_encoder(SmallSizes(image_size=256, pose={}), ["a"]).eval(), []

    def look(_, part, *options):
        looks.append((len(part), torch.is_autocast_enabled("cpu")))
        return (torch.rand(len(part), TRUNK),)

    monkeypatch.setattr("autocompose.model.features.embed_images", look)
    with torch.autocast("cpu", torch.bfloat16):
        first = image_features(network, paths, tmp_path, flips=True, trunk=True)
        assert torch.equal(image_features(network, paths, tmp_path, trunk=True).plain, first.plain)
    second = image_features(network, paths, tmp_path, trunk=True)
    assert torch.equal(second.plain, first.plain) and second.flipped is None
    assert torch.equal(first.flipped, mirrored(first.plain))
    assert looks == [(len(paths), False)]


def test_another_trunk_is_encoded_anew(paths, tmp_path):
    network = encoder(POOL)
    before = image_features(network, paths, tmp_path)
    with torch.no_grad():
        network.visual.attention.weight.mul_(3.0)
    after = image_features(network, paths, tmp_path)
    torch.testing.assert_close(after.plain, embed_images(network, paths)[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(after.plain, before.plain)


@pytest.mark.parametrize("pool", [None, POOL])
def test_every_precision_has_its_own_file(pool, paths, tmp_path):
    network, texts = encoder(pool), ["raise your arm", "lower it a little"]
    with LoopSettings(precision="bf16").autocast(network.device):
        rough, rough_texts = image_features(network, paths, tmp_path).plain, text_features(network, texts, tmp_path)
    with LoopSettings(precision="fp32").autocast(network.device):
        exact, exact_texts = image_features(network, paths, tmp_path).plain, text_features(network, texts, tmp_path)
    for one, other in ((rough, exact), (rough_texts, exact_texts)):
        assert one.dtype == other.dtype == torch.float32
        assert not torch.equal(one, other)
        assert (one - other).norm() < 0.03 * other.norm()
    assert len(list(tmp_path.glob("*.safetensors"))) == 4
