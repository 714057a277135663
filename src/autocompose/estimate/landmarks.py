"""BlazePose's landmark network: a crop of 256 x 256 around one person -> 33 landmarks in the picture and in metres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from autocompose.estimate.layers import Residual, Separable, Stage, Trunk, enlarged, pointwise

SIDE = 256  # pixels
POINTS, AUXILIARY = 33, 6  # landmarks, and auxiliary points that place the next crop


@dataclass(frozen=True)
class Shape:
    """The sizes in which the variants differ.

    :param stem: channels behind the stem. :param pyramid: channels of the map that heatmaps are read from.
    :param head: channels of the head. :param depths: its plain blocks at 4 x 4 and at 2 x 2.
    :param descent: (channels, plain blocks) on the way from the pyramid back down to the head.
    """

    stem: int
    stages: tuple[Stage, ...]
    pyramid: int
    head: int
    depths: tuple[int, int]
    descent: tuple[tuple[int, int], ...] = ()


SHAPES: dict[str, Shape] = {
    "lite": Shape(
        8,
        (Stage(16, 3, 2, 1, 4), Stage(16, 3, 1, 1), Stage(24, 5, 2, 2), Stage(40, 3, 2, 3), Stage(56, 5, 1, 3),
         Stage(96, 5, 2, 4)), 32, 192, (2, 3),
    ),
    "full": Shape(
        16,
        (Stage(24, 3, 2, 1, 4), Stage(24, 3, 1, 1), Stage(32, 5, 2, 2), Stage(64, 3, 2, 3), Stage(88, 5, 1, 3),
         Stage(144, 5, 2, 4)), 48, 288, (4, 5),
    ),
    "heavy": Shape(
        24,
        (Stage(32, 3, 2, 1, 4), Stage(32, 3, 1, 1, 4), Stage(32, 3, 1, 2), Stage(56, 5, 2, 4), Stage(112, 3, 2, 6),
         Stage(160, 5, 1, 6), Stage(272, 5, 2, 8)), 48, 288, (7, 7), ((96, 6), (192, 7), (288, 7)),
    ),
}  # fmt: skip


class Output(NamedTuple):
    """The network's output for B crops.

    :ivar points: ``(B, 39, 5)`` x, y, z in pixels of the crop (z about the hips), logits of visibility and presence.
    :ivar world: ``(B, 39, 3)`` metres, hips in the origin, axes of the crop: x right, y down, z away from the camera.
    :ivar presence: ``(B,)`` logit of a person in the crop.
    :ivar heatmaps: ``(B, 39, 64, 64)`` logits.
    """

    points: Tensor
    world: Tensor
    presence: Tensor
    heatmaps: Tensor


class LandmarkNet(nn.Module):
    """The network of one variant, without its segmentation mask."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.trunk = Trunk(shape.stem, shape.stages)
        inner = shape.stages[-1].width * shape.stages[-1].expand
        self.pyramid = Pyramid(shape, inner)
        self.heatmap = nn.Conv2d(shape.pyramid, POINTS + AUXILIARY, 1)
        self.descent = Descent(shape) if shape.descent else None
        self.head = Head(inner, shape.head, shape.depths)

    def forward(self, crops: Tensor) -> Output:
        """
        :param crops: ``(B, 3, 256, 256)``, 0 to 1.
        """
        maps = list(self.trunk.maps(crops))
        neck = self.trunk.neck(maps[-1])
        fused = self.pyramid([*maps[:-1], neck])
        more = self.descent(fused, maps[1:-1]) if self.descent is not None else None
        points, world, presence = self.head(neck, more)
        return Output(points, world, presence, pointwise(fused, self.heatmap))


class Pyramid(nn.Module):
    """Maps of all resolutions added up at the finest, 64 x 64."""

    def __init__(self, shape: Shape, inner: int) -> None:
        super().__init__()
        widths = [*_widths(shape), inner]
        self.sides = nn.ModuleList(Separable(width, shape.pyramid) for width in widths)

    def forward(self, maps: list[Tensor]) -> Tensor:
        total = self.sides[-1](maps[-1])
        for side, x in zip(list(self.sides)[-2::-1], maps[-2::-1], strict=True):
            total = enlarged(total) + side(x)
        return total


class Descent(nn.Module):
    """From 64 x 64 down to 8 x 8, joined by the trunk's maps on the way (``heavy``)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, sides, steps = shape.pyramid, [], []
        for (wide, depth), before in zip(shape.descent, [*_widths(shape)[1:], 0], strict=True):
            steps.append(nn.Sequential(Residual(width, wide, 2), *[Residual(wide, wide) for _ in range(depth)]))
            if before:
                sides.append(Separable(before, wide))
            width = wide
        self.steps, self.sides = nn.ModuleList(steps), nn.ModuleList(sides)

    def forward(self, x: Tensor, maps: list[Tensor]) -> Tensor:
        for step, side, y in zip(self.steps, self.sides, maps, strict=False):
            x = step(x) + side(y)
        return self.steps[-1](x)


class Head(nn.Module):
    """From 8 x 8 to single values."""

    def __init__(self, inner: int, width: int, depths: tuple[int, int]) -> None:
        super().__init__()
        self.enter = Separable(inner, width)
        blocks = []
        for depth in depths:
            blocks += [Residual(width, width, 2), *[Residual(width, width) for _ in range(depth)]]
        self.blocks = nn.Sequential(*blocks)
        count = POINTS + AUXILIARY
        self.points, self.world, self.presence = (nn.Conv2d(width, n, 2) for n in (5 * count, 3 * count, 1))

    def forward(self, x: Tensor, more: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        x = self.enter(x)
        x = self.blocks(x if more is None else x + more)
        points, world = self.points(x).flatten(1), self.world(x).flatten(1)
        count = POINTS + AUXILIARY
        return points.view(-1, count, 5), world.view(-1, count, 3), self.presence(x).flatten()


def _widths(shape: Shape) -> list[int]:
    """Channels of the trunk's maps that go into the pyramid, but the last."""
    stages = shape.stages
    return [stages[i - 1].width for i in range(1, len(stages)) if stages[i].stride == 2]
