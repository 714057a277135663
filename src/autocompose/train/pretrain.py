"""Pretraining of the small image encoder on rendered bodies whose 3D poses are known.

Three targets at once: each joint's attention looks at that joint in the picture; the joints are regressed, seen from
the camera and in the person's own frame (yaw removed, pelvis at the origin); and features agree with an embedding of
the pose under a contrastive loss, so that cosine similarity between pictures means likeness of pose, whatever body,
clothes, light and camera.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from autocompose.bodies.skeleton import SMPL22, mirror_joints, mirror_order, turn
from autocompose.core.config import Config
from autocompose.corpus.images import CLIP_MEAN, CLIP_STD
from autocompose.model.encoder import Encoder
from autocompose.model.visual import JointPoolNet
from autocompose.prepare.singles import Singles
from autocompose.train.loop import Metrics, Stage

JOINTS = len(SMPL22)


class PretrainSettings(Config):
    """Weights of the losses, and how pictures are changed.

    :param points, contrast: weight of the picture points and of the contrastive loss against the regression.
    :param scale: logit scale of the contrastive loss.
    :param shift: largest random translation, as a share of the picture's side.
    :param zoom: largest random change of size, as a share.
    :param hidden: units of the heads.
    """

    points: float = Field(1.0, ge=0)
    contrast: float = Field(0.1, ge=0)
    scale: float = Field(20.0, gt=0)
    shift: float = Field(0.06, ge=0)
    zoom: float = Field(0.12, ge=0, lt=1)
    hidden: int = Field(256, ge=16)


def own_frame(joints: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Joints ``(N, 22, 3)`` in metres with the yaw ``(N,)`` removed and the pelvis at the origin, float32."""
    return turn(joints - joints[:, :1], -yaw).astype(np.float32)


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
            self.pose_encoder = nn.Sequential(
                nn.Linear(3 * JOINTS, 512), nn.GELU(), nn.Linear(512, 512), nn.GELU(), nn.Linear(512, encoder.dim)
            )

    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self._own) // self.batch_size

    def batches(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        """Changed pictures ``images`` (B, 3, S, S) and what they show."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self._own))
        for start in range(0, self.steps() * self.batch_size, self.batch_size):
            yield self._batch(np.sort(order[start : start + self.batch_size]), rng)

    def _batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        flip = rng.random(len(rows)) < 0.5
        images, affine = self._change(self.data.pixels[rows], flip, rng)
        sides = flip[:, None, None]
        own, seen = (np.where(sides, mirror_joints(j[rows]), j[rows]) for j in (self._own, self._seen))
        yaw = np.radians(np.where(flip, -1, 1) * self.data.yaw[rows])
        points = np.where(sides, self.data.points[rows][:, mirror_order(SMPL22)], self.data.points[rows])
        points = (points - affine[:, None, :, 2]) / np.stack([affine[:, 0, 0], affine[:, 1, 1]], 1)[:, None]
        arrays = {"own": own.reshape(len(rows), -1), "seen": seen.reshape(len(rows), -1), "points": points}
        arrays["yaw"] = np.stack([np.sin(yaw), np.cos(yaw)], 1)
        return {"images": images, **{key: torch.from_numpy(a.astype(np.float32)) for key, a in arrays.items()}}

    def _change(self, pixels: np.ndarray, flip: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
        """Flip, move, zoom and recolour ``(B, S, S, 3)`` uint8; returns normalised pictures and the affine maps."""
        n, size = pixels.shape[:2]
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        zoom = 1 + rng.uniform(-self.settings.zoom, self.settings.zoom, n)
        affine = np.zeros((n, 2, 3), np.float32)
        affine[:, 0, 0], affine[:, 1, 1] = np.where(flip, -zoom, zoom), zoom
        affine[:, :, 2] = rng.uniform(-2 * self.settings.shift, 2 * self.settings.shift, (n, 2))
        grid = F.affine_grid(torch.from_numpy(affine), [n, 3, size, size], align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        gain = torch.from_numpy(rng.uniform(0.75, 1.25, (n, 3, 1, 1)).astype(np.float32))
        offset = torch.from_numpy(rng.uniform(-0.1, 0.1, (n, 1, 1, 1)).astype(np.float32))
        return normalise(images * gain + offset), affine

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the losses."""
        features, points = self.visual.look(batch["images"])
        features = features.float()
        predicted, own = self.head(features).float(), self.own(batch["own"])
        wanted = torch.cat([own, self.seen(batch["seen"])], 1)
        regression = 2 * F.smooth_l1_loss(predicted[:, :-2], wanted) + F.mse_loss(predicted[:, -2:], batch["yaw"])
        poses = F.normalize(self.pose_encoder(own).float(), dim=1)
        logits = self.settings.scale * F.normalize(features, dim=1) @ poses.T
        rows = torch.arange(len(logits), device=logits.device)
        contrast = (F.cross_entropy(logits, rows) + F.cross_entropy(logits.T, rows)) / 2
        places = F.l1_loss(points.float(), batch["points"])
        return regression + self.settings.points * places + self.settings.contrast * contrast

    @torch.no_grad()
    def validate(self, pixels: np.ndarray, joints: np.ndarray, yaw: np.ndarray) -> Metrics:
        """Mean errors on other pictures: joints in the own frame (mm) and yaw (degrees)."""
        predicted = [
            self.head(self.visual(normalise(torch.tensor(part).permute(0, 3, 1, 2).float() / 255)).float())
            for part in (pixels[start : start + 256] for start in range(0, len(pixels), 256))
        ]
        output = torch.cat(predicted)
        own = self.own.metres(output[:, : 3 * JOINTS]).numpy().reshape(-1, JOINTS, 3)
        turned = np.degrees(torch.atan2(output[:, -2], output[:, -1]).numpy()) - yaw
        return {
            "joint_error_mm": float(1000 * np.linalg.norm(own - own_frame(joints, yaw), axis=-1).mean()),
            "yaw_error_degrees": float(np.abs((turned + 180) % 360 - 180).mean()),
        }


def normalise(images: Tensor) -> Tensor:
    """``(B, 3, H, W)`` in 0..1 -> CLIP's normalisation."""
    mean, spread = torch.tensor(CLIP_MEAN)[:, None, None], torch.tensor(CLIP_STD)[:, None, None]
    return (images - mean) / spread
