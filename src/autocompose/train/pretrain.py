"""Pretraining of the small image encoder on rendered bodies whose 3D poses are known.

Two targets at once: regress the joints (what the picture shows), and agree with an embedding of the pose under a
contrastive loss (so that cosine similarity between pictures means likeness of pose, whatever body, clothes, light and
camera). Joints are those of the person's own frame: yaw removed, pelvis at the origin.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autocompose.bodies.skeleton import SMPL22, mirror_joints, turn
from autocompose.core.config import Config
from autocompose.corpus.images import CLIP_MEAN, CLIP_STD
from autocompose.corpus.poses import PoseTable
from autocompose.model.encoder import Encoder
from autocompose.train.loop import Metrics, Stage

JOINTS = len(SMPL22)


class PretrainSettings(Config):
    """Weights and sizes of the pretraining losses.

    :param contrast: weight of the contrastive loss against the joint regression.
    :param temperature: logit scale of the contrastive loss.
    :param shift: largest random translation, as a share of the picture's side.
    :param zoom: largest random change of size, as a share.
    """

    contrast: float = 0.1
    temperature: float = 20.0
    shift: float = 0.06
    zoom: float = 0.1
    hidden: int = 512


def own_frame(poses: PoseTable) -> np.ndarray:
    """Joints ``(N, 22, 3)`` float32 metres with yaw removed and the pelvis at the origin."""
    joints = poses.joints - poses.joints[:, :1]
    return turn(joints, -poses.yaw).astype(np.float32)


class Pretrain(Stage):
    """Trains ``encoder.visual`` on decoded pictures and their poses.

    :param pixels: ``(N, S, S, 3)`` uint8, squared to the encoder's input size.
    :param poses: the N poses.
    """

    def __init__(
        self,
        encoder: Encoder,
        pixels: np.ndarray,
        poses: PoseTable,
        settings: PretrainSettings,
        batch_size: int,
        seed: int,
    ):
        super().__init__()
        self.visual = encoder.visual
        self.head = nn.Sequential(
            nn.ReLU(), nn.Linear(encoder.dim, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, JOINTS * 3 + 2)
        )
        self.pose_encoder = nn.Sequential(
            nn.Linear(JOINTS * 3, settings.hidden), nn.GELU(), nn.Linear(settings.hidden, settings.hidden), nn.GELU(),
            nn.Linear(settings.hidden, encoder.dim),
        )  # fmt: skip
        self.settings, self.batch_size, self.seed = settings, batch_size, seed
        self._pixels, self._joints = pixels, own_frame(poses)
        self._mirrored = mirror_joints(self._joints)
        self._yaw = poses.yaw.astype(np.float32)
        self.register_buffer("mean", torch.from_numpy(self._joints.mean(0)).flatten(), persistent=False)
        self.register_buffer("scale", torch.from_numpy(self._joints.std(0) + 0.02).flatten(), persistent=False)

    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self._joints) // self.batch_size

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Augmented pictures ``(B, 3, S, S)``, joints ``(B, 66)`` and yaw as (sin, cos) ``(B, 2)``."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self._joints))
        for start in range(0, self.steps() * self.batch_size, self.batch_size):
            rows = np.sort(order[start : start + self.batch_size])  # sorted: the memory map is read forwards
            flip = rng.random(len(rows)) < 0.5
            pixels = torch.from_numpy(np.ascontiguousarray(self._pixels[rows]))
            joints = np.where(flip[:, None, None], self._mirrored[rows], self._joints[rows]).reshape(len(rows), -1)
            yaw = np.radians(np.where(flip, -self._yaw[rows], self._yaw[rows]))
            yield (
                self._augment(pixels, flip, rng),
                torch.from_numpy(joints),
                torch.from_numpy(np.stack([np.sin(yaw), np.cos(yaw)], 1)),
            )

    def _augment(self, pixels: Tensor, flip: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Flip, move, zoom and recolour ``(B, S, S, 3)`` uint8 pictures; returns normalised ``(B, 3, S, S)``."""
        size, n = pixels.shape[1], len(pixels)
        images = pixels.permute(0, 3, 1, 2).float() / 255
        zoom = 1 + rng.uniform(-self.settings.zoom, self.settings.zoom, n)
        theta = np.zeros((n, 2, 3), np.float32)
        theta[:, 0, 0], theta[:, 1, 1] = np.where(flip, -zoom, zoom), zoom
        theta[:, :, 2] = rng.uniform(-2 * self.settings.shift, 2 * self.settings.shift, (n, 2))
        grid = F.affine_grid(torch.from_numpy(theta), [n, 3, size, size], align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (n, 3, 1, 1)).astype(np.float32))
        offset = torch.from_numpy(rng.uniform(-0.08, 0.08, (n, 1, 1, 1)).astype(np.float32))
        return normalise(images * gain + offset)

    def forward(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Weighted sum of the two losses."""
        images, joints, yaw = batch
        features = self.visual(images.contiguous(memory_format=torch.channels_last)).float()
        target = (joints - self.mean) / self.scale
        predicted = self.head(features).float()
        regression = F.smooth_l1_loss(predicted[:, :-2], target) + 0.5 * F.mse_loss(predicted[:, -2:], yaw)
        poses = F.normalize(self.pose_encoder(target).float(), dim=1)
        logits = self.settings.temperature * F.normalize(features, dim=1) @ poses.T
        rows = torch.arange(len(logits))
        contrast = (F.cross_entropy(logits, rows) + F.cross_entropy(logits.T, rows)) / 2
        return regression + self.settings.contrast * contrast

    @torch.no_grad()
    def validate(self, pixels: np.ndarray, poses: PoseTable) -> Metrics:
        """Mean joint error in mm (own frame, pelvis-aligned) on held-out pictures, and yaw error in degrees."""
        truth, predicted, yaw = own_frame(poses), [], []
        for start in range(0, len(pixels), 256):
            images = (
                torch.from_numpy(np.ascontiguousarray(pixels[start : start + 256])).permute(0, 3, 1, 2).float() / 255
            )
            output = self.head(self.visual(normalise(images)).float())
            predicted.append(output[:, :-2] * self.scale + self.mean)
            yaw.append(torch.atan2(output[:, -2], output[:, -1]))
        error = torch.cat(predicted).numpy().reshape(-1, JOINTS, 3) - truth
        turn_error = np.degrees(torch.cat(yaw).numpy()) - poses.yaw
        return {
            "joint_error_mm": float(1000 * np.linalg.norm(error, axis=-1).mean()),
            "yaw_error_degrees": float(np.abs((turn_error + 180) % 360 - 180).mean()),
        }


def normalise(images: Tensor) -> Tensor:
    """``(B, 3, H, W)`` in 0..1 -> CLIP's normalisation."""
    mean, std = torch.tensor(CLIP_MEAN)[:, None, None], torch.tensor(CLIP_STD)[:, None, None]
    return (images - mean) / std
