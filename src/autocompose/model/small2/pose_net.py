"""The image side of small-v2: the package's own pose estimator, and a small network that embeds the pose.

The estimator (``estimate``) is frozen and not part of a model's weights. Its output for a picture, the *trunk*, is the
input of the trained head: joints in the person's own frame, the certainty of each, and the heading.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from autocompose.bodies.skeleton import SMPL22, turn
from autocompose.core.config import Config
from autocompose.core.files import file_hash
from autocompose.corpus.pictures.transforms import CLIP_MEAN, CLIP_STD
from autocompose.estimate import weights
from autocompose.estimate.estimator import Person
from autocompose.estimate.lifting import JOINT_ORDER, SHIPPED, Seen
from autocompose.estimate.people_finder import shared_finder
from autocompose.model.visual import UnitLength

JOINTS = len(SMPL22)
TRUNK = 4 * JOINTS + 3  # joints, how sure each is, sine and cosine of the heading, whether somebody was found
JOINT_SCALE, SURE = 0.3, 0.1  # metres that become 1, and the uncertainty that becomes 0
SEEN = slice(4 * JOINTS, None)


class PoseSizes(Config):
    """Sizes of the head.

    :param hidden: units of each of its layers.
    """

    hidden: int = Field(512, ge=16)


class PoseNet(nn.Module):
    """``(B, 3, S, S)`` preprocessed pictures of one person each -> ``(B, D)`` features of length 1.

    A picture without a detected person has a trunk of zeros, and thus one learned feature.
    """

    def __init__(self, sizes: PoseSizes, image_size: int, dim: int) -> None:
        super().__init__()
        self.image_size, self.sizes, self.output_dim, self.trunk_dim = image_size, sizes, dim, TRUNK
        self.head = nn.Sequential(
            nn.Linear(TRUNK, sizes.hidden), nn.GELU(), nn.Linear(sizes.hidden, sizes.hidden), nn.GELU(),
            nn.Linear(sizes.hidden, dim), UnitLength(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Features ``(B, D)``."""
        return self.head(self.trunk(images))

    @torch.no_grad()
    def trunk(self, images: Tensor) -> Tensor:
        """The output of the estimator: ``(B, TRUNK)``."""
        estimator = shared_finder().estimator
        rows = torch.zeros(len(images), TRUNK)
        for row, pixels in zip(rows, images, strict=True):
            people = estimator.views(_picture(pixels), windows=False)
            if people:
                row[:] = trunk_of(*estimator.lifter(Seen.of(people[:1])))[0]
        return rows.to(images.device)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Does nothing: the network is small."""


def trunk_of(joints: Tensor, heading: Tensor, uncertainty: Tensor) -> Tensor:
    """The trunks of detected people, ``(N, TRUNK)``.

    :param joints: ``(N, 22, 3)`` metres, own frame. :param heading: ``(N,)`` radians.
    :param uncertainty: ``(N, 22)`` metres.
    """
    sure = (uncertainty[:, 1:].clamp(min=1e-3) / SURE).log()  # of all but the pelvis, which is the origin
    turn = torch.stack([heading.sin(), heading.cos(), torch.ones_like(heading)], 1)
    return torch.cat([(joints / JOINT_SCALE).flatten(1), torch.zeros_like(sure[:, :1]), sure, turn], 1)


def trunk_of_people(people: Sequence[Sequence[Person]]) -> Tensor:
    """The trunks ``(N, TRUNK)`` of N pictures, from the person that the estimator sees in each; zeros of nobody."""
    rows = torch.zeros(len(people), TRUNK)
    there = {row: seen[0] for row, seen in enumerate(people) if seen}
    if there:
        columns = [[p.joints for p in there.values()], np.radians([p.heading for p in there.values()])]
        columns.append([p.uncertainty for p in there.values()])
        rows[list(there)] = trunk_of(*(torch.from_numpy(np.asarray(column, np.float32)) for column in columns))
    return rows


def joints_of(trunk: Tensor) -> Tensor:
    """Joints ``(N, 22, 3)`` in metres, scene frame; where nobody was found, the mean of all others."""
    trunk = trunk.detach().cpu()
    own = trunk[:, : 3 * JOINTS].view(-1, JOINTS, 3) * JOINT_SCALE
    heading = np.degrees(np.arctan2(*trunk[:, SEEN].numpy().T[:2]))
    joints, there = torch.from_numpy(turn(own.numpy(), heading)), trunk[:, -1] > 0
    return torch.where(there[:, None, None], joints, joints[there].mean(0)) if there.any() else joints


def uncertainty_of(trunk: Tensor) -> Tensor:
    """Uncertainty of the joints ``(N, 22)`` in metres, 0 of the pelvis; where nobody was found, the mean of others."""
    uncertainty = SURE * trunk[:, 3 * JOINTS : 4 * JOINTS].exp()
    uncertainty[:, 0] = 0
    there = trunk[:, -1] > 0
    return torch.where(there[:, None], uncertainty, uncertainty[there].mean(0)) if there.any() else uncertainty


def mirrored(trunk: Tensor) -> Tensor:
    """The trunks ``(N, TRUNK)`` of the mirrored pictures: the estimator gives a mirrored picture the mirrored pose."""
    joints = trunk[:, : 3 * JOINTS].view(-1, JOINTS, 3)[:, JOINT_ORDER] * torch.tensor([-1.0, 1.0, 1.0]).to(trunk)
    seen = trunk[:, SEEN] * torch.tensor([-1.0, 1.0, 1.0]).to(trunk)
    return torch.cat([joints.flatten(1), trunk[:, 3 * JOINTS : 4 * JOINTS][:, JOINT_ORDER], seen], 1)


def _picture(pixels: Tensor) -> Image.Image:
    """A preprocessed picture ``(3, S, S)`` as it was before CLIP's normalisation."""
    mean, std = (np.array(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    plain = pixels.float().cpu().numpy() * std + mean
    return Image.fromarray(np.clip(plain.transpose(1, 2, 0) * 255 + 0.5, 0, 255).astype(np.uint8))


@lru_cache(maxsize=1)
def eyes() -> str:
    """Fingerprint of the shipped estimator; equal ones give equal trunks."""
    return f"{file_hash(weights.SHIPPED)} {file_hash(SHIPPED)}"
