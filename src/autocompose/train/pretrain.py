"""Pretraining of the small image encoder on rendered bodies whose 3D poses are known.

Three targets at once: each joint's attention looks at that joint in the picture; the joints are regressed, seen from
the camera and in the person's own frame (yaw removed, pelvis at the origin); and features agree with an embedding of
the pose under a contrastive loss, so that cosine similarity between pictures means likeness of pose, whatever body,
clothes, light and camera. That embedding is linear in the joints: then the same change of pose is nearly the same step
everywhere, which is what a text can say (an embedding by a network told pictures apart as well, but composed worse).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from autocompose.bodies.pose_frame import own_frame
from autocompose.bodies.skeleton import SMPL22, mirror_joints, mirror_order
from autocompose.core.config import Config
from autocompose.core.distributed import rank, require_shares, world
from autocompose.model.encoder import Encoder
from autocompose.model.losses import contrastive_loss
from autocompose.model.visual import JointPoolNet
from autocompose.prepare.bodycpr.singles import Singles
from autocompose.train.loop import Metrics, Stage
from autocompose.train.picture_stage import normalise

JOINTS = len(SMPL22)


class PretrainSettings(Config):
    """Weights of the losses, and the augmentation of pictures.

    :param points, relative, contrast: weights against the regression: of the picture points; of the joints relative to
        the mean of the picture's group, where features that a cube shares do not help; of the contrastive loss.
    :param together_from: epoch (from 0) from which groups share batches, and ``late_contrast`` replaces ``contrast``.
    :param scale: logit scale of the contrastive loss.
    :param shift, zoom: maximum random translation and zoom, as shares of the picture's side.
    :param tilt: maximum random rotation of the picture in degrees; the body leans with it.
    :param hidden: units of the heads.
    :param small: side in pixels of the pictures of the first epochs, a multiple of 16; ``small_until``: epoch (from 0)
        from which they have the encoder's own size. 64 instead of 96 costs 0.55 of the time.
    """

    points: float = Field(1.0, ge=0)
    relative: float = Field(1.0, ge=0)
    contrast: float = Field(0.1, ge=0)
    late_contrast: float = Field(1.0, ge=0)
    together_from: int = Field(6, ge=0)
    scale: float = Field(20.0, gt=0)
    shift: float = Field(0.06, ge=0)
    zoom: float = Field(0.12, ge=0, lt=1)
    tilt: float = Field(15.0, ge=0, lt=90)
    hidden: int = Field(256, ge=16)
    small: int = Field(64, ge=32, multiple_of=16)
    small_until: int = Field(0, ge=0)


class _Targets(nn.Module):
    """Standardised joints, so that a wrist counts no more than a hip."""

    mean: Tensor
    spread: Tensor

    def __init__(self, joints: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(joints.mean(0)).flatten())
        self.register_buffer("spread", torch.from_numpy(joints.std(0) + 0.02).flatten())

    def forward(self, joints: Tensor) -> Tensor:
        return (joints - self.mean) / self.spread

    def metres(self, values: Tensor) -> Tensor:
        return values * self.spread + self.mean


class Pretrain(Stage):
    """Trains the image side of ``encoder`` (a ``JointPoolNet``) on single bodies."""

    def __init__(self, encoder: Encoder, data: Singles, settings: PretrainSettings, batch_size: int, seed: int) -> None:
        super().__init__()
        visual = encoder.visual
        assert isinstance(visual, JointPoolNet), "pretraining needs the image side of model.visual"
        self.visual = visual
        self.settings, self.batch_size, self.seed, self.data = settings, batch_size, seed, data
        seen = data.joints - data.joints[:, :1]
        self._seen, self._own = seen.astype(np.float32), own_frame(data.joints, data.yaw)
        self.seen, self.own = _Targets(self._seen), _Targets(self._own)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Sequential(
                nn.Linear(encoder.dim, settings.hidden), nn.GELU(), nn.Linear(settings.hidden, 2 * 3 * JOINTS + 2)
            )
            self.pose_encoder = nn.Linear(3 * JOINTS, encoder.dim, bias=False)

    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self._own) // self.batch_size

    def batches(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        """Augmented pictures ``images`` (B, 3, S, S) and their poses; each process gets its share.

        :raises ConfigError: the processes cannot share a batch equally.
        """
        require_shares(self.batch_size)
        rng, share = np.random.default_rng([self.seed, epoch]), self.batch_size // world()
        contrast = self.settings.late_contrast if self._late(epoch) else self.settings.contrast
        side = self.settings.small if epoch < self.settings.small_until else self.visual.image_size
        order = _keep_together(self.data.group, rng) if self._late(epoch) else rng.permutation(len(self._own))
        rng = np.random.default_rng([self.seed, epoch, rank()])
        for start in range(rank() * share, self.steps() * self.batch_size, self.batch_size):
            batch = self._batch(np.sort(order[start : start + share]), side, rng)
            yield {**batch, "contrast": torch.tensor(contrast)}

    def _late(self, epoch: int) -> bool:
        """Whether batches hold whole groups: late epochs learn their differences, early ones bodies."""
        return epoch >= self.settings.together_from

    def _batch(self, rows: np.ndarray, side: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Flip, tilt, move, zoom, scale and recolour pictures, and transform their poses accordingly."""
        n, flip = len(rows), rng.random(len(rows)) < 0.5
        tilt = np.radians(rng.uniform(-self.settings.tilt, self.settings.tilt, n))
        zoom = 1 + rng.uniform(-self.settings.zoom, self.settings.zoom, n)
        shift = rng.uniform(-2 * self.settings.shift, 2 * self.settings.shift, (n, 2))
        turn_in = _planar(tilt) * zoom[:, None, None]  # a place of the new picture -> the place of the old one
        turn_in[flip, :, 0] *= -1
        affine = np.concatenate([turn_in, shift[:, :, None]], 2).astype(np.float32)
        images = self._change(self.data.pixels[rows], affine, side, rng)
        points = np.einsum("nij,nkj->nki", np.linalg.inv(turn_in), self.data.points[rows] - shift[:, None])
        seen = self._seen[rows].copy()
        seen[..., :2] = np.einsum("nij,nkj->nki", _planar(tilt), seen[..., :2])
        seen[flip], points[flip] = mirror_joints(seen[flip]), points[flip][:, mirror_order(SMPL22)]
        yaw = np.where(flip, -1, 1) * self.data.yaw[rows]
        arrays = {"own": own_frame(seen, yaw).reshape(n, -1), "seen": seen.reshape(n, -1), "points": points}
        arrays["yaw"] = np.stack([np.sin(np.radians(yaw)), np.cos(np.radians(yaw))], 1)
        group = torch.from_numpy(np.unique(self.data.group[rows], return_inverse=True)[1])
        batch = {key: torch.from_numpy(a.astype(np.float32)) for key, a in arrays.items()}
        return {"images": images, "group": group, **batch}

    @staticmethod
    def _change(pixels: np.ndarray, affine: np.ndarray, side: int, rng: np.random.Generator) -> Tensor:
        """``(B, S, S, 3)`` uint8 seen through affine maps ``(B, 2, 3)`` in other colours, ``side`` wide; normalised."""
        n = len(pixels)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        grid = F.affine_grid(torch.from_numpy(affine), [n, 3, side, side], align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        gain = torch.from_numpy(rng.uniform(0.75, 1.25, (n, 3, 1, 1)).astype(np.float32))
        offset = torch.from_numpy(rng.uniform(-0.1, 0.1, (n, 1, 1, 1)).astype(np.float32))
        return normalise(images * gain + offset)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the losses."""
        features, points = self.visual.look(batch["images"])
        features = features.float()
        predicted, own = self._predicted(features), self.own(batch["own"])
        wanted = torch.cat([own, self.seen(batch["seen"])], 1)
        regression = 2 * F.smooth_l1_loss(predicted[:, :-2], wanted) + F.mse_loss(predicted[:, -2:], batch["yaw"])
        apart, wanted_apart = (_centred(values[:, : own.shape[1]], batch["group"]) for values in (predicted, own))
        regression = regression + self.settings.relative * F.smooth_l1_loss(apart, wanted_apart)
        poses, scale = F.normalize(self.pose_encoder(own).float(), dim=1), self.settings.scale
        contrast = contrastive_loss(features, poses, logit_scale=scale) + contrastive_loss(
            poses, features, logit_scale=scale
        )
        places = F.l1_loss(points.float(), batch["points"])
        return regression + self.settings.points * places + batch["contrast"] / 2 * contrast

    def _predicted(self, features: Tensor) -> Tensor:
        """The prediction of features ``(B, D)`` of length 1: both kinds of joints and the yaw, ``(B, 2 * 66 + 2)``."""
        return self.head(features * features.shape[1] ** 0.5).float()

    @torch.no_grad()
    def validate(self, pixels: np.ndarray, joints: np.ndarray, yaw: np.ndarray, group: np.ndarray) -> Metrics:
        """Mean errors on held-out pictures, and how often the features identify a pose within its group.

        :return: joints in the own frame (mm), yaw (degrees), and the share (percent) of pictures that are nearest to
            the embedding of their own true pose among the pictures of their group.
        """
        parts = [pixels[start : start + 256] for start in range(0, len(pixels), 256)]
        features = torch.cat(
            [self.visual(normalise(torch.tensor(part).permute(0, 3, 1, 2).float() / 255)).float() for part in parts]
        )
        output = self._predicted(features)
        own = self.own.metres(output[:, : 3 * JOINTS]).numpy().reshape(-1, JOINTS, 3)
        truth = own_frame(joints, yaw)
        turned = np.degrees(torch.atan2(output[:, -2], output[:, -1]).numpy()) - yaw
        poses = self.pose_encoder(self.own(torch.from_numpy(truth).flatten(1)))
        alike = (F.normalize(poses, dim=1) @ features.T).numpy()
        alike[group[:, None] != group] = -np.inf
        return {
            "joint_error_mm": float(1000 * np.linalg.norm(own - truth, axis=-1).mean()),
            "yaw_error_degrees": float(np.abs((turned + 180) % 360 - 180).mean()),
            "pose_recall_at1": 100 * float((alike.argmax(1) == np.arange(len(alike))).mean()),
        }


def _centred(values: Tensor, group: Tensor) -> Tensor:
    """``(B, K)`` minus the mean over the rows of the same group."""
    count = int(group.max()) + 1
    sums = torch.zeros(count, values.shape[1], dtype=values.dtype).index_add(0, group, values)
    return values - (sums / torch.bincount(group, minlength=count)[:, None])[group]


def _keep_together(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of rows in which the rows of a group follow each other."""
    groups, place = np.unique(group, return_inverse=True)
    return np.lexsort((rng.random(len(group)), rng.permutation(len(groups))[place]))


def _planar(angles: np.ndarray) -> np.ndarray:
    """Rotations of the plane ``(N, 2, 2)``."""
    return np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], -1).reshape(-1, 2, 2)
