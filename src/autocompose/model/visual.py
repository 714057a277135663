"""The image side of our small backbone: CLIP's residual blocks, with attention pooling by joints.

CLIP's ModifiedResNet pools its last map with one attention query over 7 x 7 places; a CPU-sized network on small
pictures has too few places left for that. Ours has a cheaper stem, shrinks the map less, lets the places look at each
other, and pools with one query per body joint: each query's attention map gives a place and a few values. Features are
made from all of them, so that supervision and inspection of single joints are possible.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import Bottleneck
from pydantic import Field
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from autocompose.core.config import Config


class JointPool(Config):
    """Sizes of the network.

    :param width: channels behind the stem; the three stages have 4, 8 and 16 times as many.
    :param blocks, strides: residual blocks of each stage, and by how much its first one shrinks the map.
    :param tokens: channels of a place when places look at each other; ``layers`` rounds of that.
    :param joints: attention queries; ``values``: numbers read for each beside its place.
    :param hidden: units between the pool and the features.
    """

    width: int = Field(24, ge=8, multiple_of=4)
    blocks: tuple[int, int, int] = (1, 2, 3)
    strides: tuple[int, int, int] = (1, 2, 2)
    tokens: int = Field(128, ge=16)
    layers: int = Field(1, ge=0)
    joints: int = Field(22, ge=1)
    values: int = Field(8, ge=1)
    hidden: int = Field(512, ge=16)


class JointPoolNet(nn.Module):
    """``(B, 3, S, S)`` preprocessed pictures -> ``(B, D)`` features of length 1.

    Length 1, because in the cycle a prediction, which has length 1, takes the place of a picture's features: then both
    texts of the cycle have the same weight against their picture.

    Other sizes than ``image_size`` work too (a multiple of 4 times all strides): training starts with small pictures.
    """

    places: Tensor

    def __init__(self, sizes: JointPool, image_size: int, dim: int) -> None:
        super().__init__()
        self.image_size, self.sizes, self.output_dim = image_size, sizes, dim
        self.stem = _stem(sizes.width)
        stages, channels, side = [], sizes.width, image_size // 4
        for stage, (count, stride) in enumerate(zip(sizes.blocks, sizes.strides, strict=True)):
            planes = sizes.width * 2**stage
            for block in range(count):
                stages.append(Bottleneck(channels, planes, stride if block == 0 else 1))
                channels = planes * Bottleneck.expansion
            side //= stride
        self.stages = nn.Sequential(*stages)
        self.to_tokens = nn.Conv2d(channels, sizes.tokens, 1)
        self.place = nn.Parameter(0.02 * torch.randn(1, side * side, sizes.tokens))
        self.context = nn.ModuleList(
            nn.TransformerEncoderLayer(
                sizes.tokens, 4, 2 * sizes.tokens, 0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(sizes.layers)
        )
        self.attention = nn.Linear(sizes.tokens, sizes.joints)
        self.value = nn.Linear(sizes.tokens, sizes.joints * sizes.values)
        pooled = sizes.joints * (2 + sizes.values) + sizes.tokens
        self.trunk_dim = pooled
        self.head = nn.Sequential(
            nn.Linear(pooled, sizes.hidden), nn.GELU(), nn.Linear(sizes.hidden, sizes.hidden), nn.GELU(),
            nn.Linear(sizes.hidden, dim), UnitLength(),
        )  # fmt: skip
        self.side = side
        self.register_buffer("places", _places(side), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Features ``(B, D)``."""
        return self.look(images)[0]

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(B, D)``, and where each joint's query looks ``(B, J, 2)``: x right, y down, -1..1."""
        pooled, points = self._pool(images)
        return self.head(pooled), points

    def trunk(self, images: Tensor) -> Tensor:
        """Input of the head: ``(B, trunk_dim)``."""
        return self._pool(images)[0]

    def _pool(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.to_tokens(self.stages(self.stem(images.contiguous(memory_format=torch.channels_last))))
        place, places = self._grid(maps.shape[-1])
        tokens = maps.flatten(2).transpose(1, 2) + place  # (B, places, C)
        with sdpa_kernel(SDPBackend.MATH):  # few places: the blocked kernel costs a tenth of the training step
            for layer in self.context:
                tokens = layer(tokens)
        attention = self.attention(tokens).float().softmax(1)  # (B, places, J)
        points = torch.einsum("bpj,pc->bjc", attention, places)
        values = self.value(tokens).float().unflatten(-1, (self.sizes.joints, self.sizes.values))
        read = torch.einsum("bpj,bpjv->bjv", attention, values)
        return torch.cat([points.flatten(1), read.flatten(1), tokens.float().mean(1)], 1), points

    def _grid(self, side: int) -> tuple[Tensor, Tensor]:
        """Embeddings ``(1, P, C)`` and positions ``(P, 2)`` of a map's places, interpolated for another size."""
        if side == self.side:
            return self.place, self.places
        grid = self.place.transpose(1, 2).unflatten(2, (self.side, self.side))
        smooth = F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False)
        return smooth.flatten(2).transpose(1, 2), _places(side).to(self.places)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Does nothing: the network is small."""


class UnitLength(nn.Module):
    """``(..., D)`` -> the same directions with length 1, float32."""

    def forward(self, features: Tensor) -> Tensor:
        """Divide by the length."""
        return F.normalize(features.float(), dim=-1)


def _places(side: int) -> Tensor:
    """Centres ``(side * side, 2)`` of a map's places: x right, y down, -1..1."""
    steps = (torch.arange(side) + 0.5) / side * 2 - 1
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([columns, rows], -1).reshape(-1, 2)


def _stem(width: int) -> nn.Sequential:
    """Two strided convolutions: a quarter of the picture's side."""
    steps: list[nn.Module] = []
    for inputs in (3, width):
        steps += [nn.Conv2d(inputs, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*steps)
