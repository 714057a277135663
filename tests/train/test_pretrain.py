import numpy as np
import pytest
import torch

from autocompose.bodies.pose_frame import own_frame
from autocompose.bodies.skeleton import SMPL22, mirror_joints, mirror_order, turn
from autocompose.model.encoder import Encoder
from autocompose.model.small import SmallSizes, small_config
from autocompose.model.visual import JointPool
from autocompose.prepare.bodycpr.singles import Singles
from autocompose.train.loop import LoopSettings, run
from autocompose.train.pretrain import Pretrain, PretrainSettings

POOL = JointPool(width=8, blocks=(1, 1, 1), strides=(1, 2, 1), tokens=32, hidden=64, values=2)
SIZES = SmallSizes(image_size=32, pool=POOL, dim=32, text_width=16, text_layers=1, text_heads=2)


def singles(n=24, size=32):
    """A bright square per joint triple stands for a picture; joints follow from the square's place."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((n, size, size, 3), np.uint8)
    corner = rng.integers(2, size - 8, (n, 2))
    for i, (x, y) in enumerate(corner):
        pixels[i, y : y + 6, x : x + 6] = 255
    centre = (corner + 3) / size * 2 - 1
    points = np.repeat(centre[:, None], len(SMPL22), 1).astype(np.float32)
    joints = np.concatenate([centre, 0 * centre[:, :1]], 1)[:, None] * np.arange(22)[:, None]
    joints += rng.normal(0, 0.02, (n, 22, 3))
    return Singles(pixels, joints.astype(np.float32), np.zeros(n, np.float32), points, np.arange(n))


def stage(settings=None, data=None):
    settings = settings or PretrainSettings(shift=0, zoom=0, tilt=0)
    return Pretrain(Encoder(small_config(SIZES), seed=1), data or singles(), settings, batch_size=8, seed=0)


def test_own_frame_removes_yaw_and_place():
    rng = np.random.default_rng(1)
    joints = rng.normal(size=(5, 22, 3)).astype(np.float32)
    base = own_frame(joints, np.zeros(5, np.float32))
    yaw = rng.uniform(-180, 180, 5).astype(np.float32)
    assert np.allclose(own_frame(turn(joints, yaw) + 3, yaw), base, atol=1e-4)


def test_batches_depend_on_the_epoch_alone():
    one, two = stage(), stage()
    for a, b in zip(one.batches(3), two.batches(3), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)
    first, other = next(one.batches(3)), next(one.batches(4))
    assert not torch.equal(first["own"], other["own"])


@pytest.mark.parametrize("epoch", [0, 9])
def test_processes_share_each_batch(monkeypatch, epoch):
    """Whatever is flipped and moved, the pictures of a batch are the same ones, and each process has its own."""
    data = singles()._replace(yaw=np.linspace(1, 90, 24).astype(np.float32), group=np.arange(24) // 4)
    shown = [batch["yaw"][:, 1].tolist() for batch in stage(data=data).batches(epoch)]
    shares = []
    for number in (0, 1):
        monkeypatch.setattr("autocompose.train.pretrain.rank", lambda n=number: n)
        monkeypatch.setattr("autocompose.train.pretrain.world", lambda: 2)
        shares.append([batch["yaw"][:, 1].tolist() for batch in stage(data=data).batches(epoch)])
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(batch) for batch in shown]
    assert all(len(a) == len(b) == 4 for a, b in zip(*shares, strict=True))


def test_a_flipped_picture_has_flipped_joints_points_and_yaw():
    data = singles()._replace(yaw=np.linspace(-90, 90, 24).astype(np.float32))
    trainer = stage(data=data)
    rows = np.arange(8)

    class Always:
        """Random numbers that flip every picture and change nothing else."""

        def random(self, n):
            return np.zeros(n)

        def uniform(self, low, high, size):
            return np.full(size, (low + high) / 2)

    batch = trainer._batch(rows, trainer.visual.image_size, Always())
    plain = torch.from_numpy(data.pixels[rows]).permute(0, 3, 1, 2).float()
    flipped = batch["images"] - batch["images"].amin((2, 3), keepdim=True)
    assert torch.allclose(flipped / flipped.amax((1, 2, 3), keepdim=True), plain.flip(-1) / 255, atol=0.1)
    own = own_frame(data.joints, data.yaw)[rows]
    assert np.allclose(batch["own"].numpy().reshape(8, 22, 3), mirror_joints(own), atol=1e-6)
    points = data.points[rows][:, mirror_order(SMPL22)] * [-1, 1]
    assert np.allclose(batch["points"].numpy(), points, atol=1e-6)
    assert np.allclose(np.degrees(np.arctan2(*batch["yaw"].numpy().T)), -data.yaw[rows], atol=1e-3)


@pytest.mark.slow
def test_it_learns_where_things_are(tmp_path):
    torch.manual_seed(0)
    data = singles(64)
    trainer = stage(PretrainSettings(shift=0.02, zoom=0.02, tilt=3), data)
    settings = LoopSettings(epochs=30, batch_size=8, learning_rate=3e-3, select="-joint_error_mm", validate_every=30)
    before = trainer.eval().validate(data.pixels, data.joints, data.yaw, data.group)["joint_error_mm"]
    after = run(
        trainer,
        settings,
        tmp_path,
        lambda: trainer.validate(data.pixels, data.joints, data.yaw, data.group),
        "pretrain",
    )
    assert after["joint_error_mm"] < 0.4 * before


def test_tilted_and_flipped_bodies_are_seen_where_their_joints_are():
    """With points that are the joints' own places, changed points and changed joints must still agree."""
    rng = np.random.default_rng(3)
    joints = rng.normal(0, 0.3, (24, 22, 3)).astype(np.float32)
    joints -= joints[:, :1]
    data = singles()._replace(joints=joints, points=joints[..., :2] * np.float32([1, -1]))
    batch = next(stage(PretrainSettings(shift=0, zoom=0, tilt=40), data).batches(0))
    seen = batch["seen"].numpy().reshape(-1, 22, 3)
    assert np.allclose(batch["points"].numpy(), seen[..., :2] * [1, -1], atol=1e-5)
    lengths = np.sort(np.linalg.norm(data.joints, axis=-1).sum(1))
    changed = np.linalg.norm(seen, axis=-1).sum(1)
    assert np.abs(changed[:, None] - lengths).min(1).max() < 1e-3  # rigid: nothing is stretched


def test_pictures_of_a_group_share_a_batch():
    data = singles(64)._replace(group=np.arange(64) // 4)
    trainer = stage(PretrainSettings(shift=0, zoom=0, tilt=0), data)
    from autocompose.train.pretrain import _keep_together

    order = _keep_together(data.group, np.random.default_rng(0))
    assert sorted(order) == list(range(64))
    assert all(len(set(data.group[part])) == 1 for part in order.reshape(-1, 4))
    assert (order != _keep_together(data.group, np.random.default_rng(1))).any()
    assert trainer.steps() == 8


def test_early_epochs_see_smaller_pictures_of_the_same_things():
    encoder, data = Encoder(small_config(SIZES.model_copy(update={"image_size": 64})), seed=1), singles(16, 64)
    growing = Pretrain(encoder, data, PretrainSettings(small=32, small_until=1), batch_size=8, seed=0)
    constant = Pretrain(encoder, data, PretrainSettings(), batch_size=8, seed=0)
    first, whole = next(growing.batches(0)), next(constant.batches(0))
    assert first["images"].shape[-2:] == (32, 32) and whole["images"].shape[-2:] == (64, 64)
    assert all(torch.equal(first[key], whole[key]) for key in ("own", "seen", "points", "yaw", "group"))
    shrunk = torch.nn.functional.interpolate(whole["images"], size=(32, 32), mode="area")
    assert (first["images"] - shrunk).abs().mean() < 0.25 * shrunk.std()
    assert next(growing.batches(1))["images"].shape[-2:] == (64, 64)
    assert torch.isfinite(growing(first)) and torch.isfinite(growing(whole))
