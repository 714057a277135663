"""BlazePose's person detector: a picture of 224 x 224 -> scores, boxes and key points at 2,254 anchors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autocompose.estimate.layers import Conv, Residual, Stage, Trunk, enlarged, pointwise

SIDE = 224  # pixels
STAGES = (
    Stage(24, 3, 2, 1, 4), Stage(24, 3, 1, 1), Stage(40, 5, 2, 2), Stage(80, 3, 2, 3), Stage(112, 5, 1, 3),
    Stage(192, 5, 2, 4),
)  # fmt: skip
GRIDS = ((28, 2), (14, 2), (7, 6))  # cells per side, anchors per cell
VALUES = 12  # per anchor: centre, width and height of the box, four points
EARLY, CELL = 3, 8  # stages before the finest map that the heads see, and the pixels of one of its cells


class Detector(nn.Module):
    """A pyramid of three maps, each with a head of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(16, STAGES)
        self.side_fine, self.side_middle = Side(40, 96), Side(112, 192)
        self.down_middle, self.down_fine = Conv(1152, 192), Conv(192, 96)
        self.mix_middle = nn.Sequential(*[Residual(192, 192, active=False) for _ in range(2)])
        self.mix_fine = nn.Sequential(*[Residual(96, 96, active=False) for _ in range(2)])
        self.heads = nn.ModuleList(Head(width, count) for width, (_, count) in zip((24, 48, 288), GRIDS, strict=True))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """
        :param pictures: ``(B, 3, 224, 224)``, -1 to 1.
        :return: logits ``(B, 2254)`` and boxes ``(B, 2254, 6, 2)`` relative to the anchors, in pixels: centre, size,
            then four key points (middle of the hips, a point of the circle around the whole body, and both for the
            upper body).
        """
        return self.late(self.early(pictures))

    def early(self, pictures: Tensor) -> Tensor:
        """The finest map ``(B, 40, H / 8, W / 8)`` of pictures ``(B, 3, H, W)``, -1 to 1, with sides of any length.

        Windows that overlap can share it; at their edges it knows what lies beyond.
        """
        x = self.trunk.stem(pictures)
        for stage in list(self.trunk.stages)[:EARLY]:
            x = stage(x)
        return x

    def late(self, fine: Tensor) -> tuple[Tensor, Tensor]:
        """What ``forward`` returns, from the maps ``(B, 40, 28, 28)`` of windows of 224 x 224 pixels."""
        third, fourth, last = list(self.trunk.stages)[EARLY:]
        middle = fourth(third(fine))
        coarse = self.trunk.neck(last(middle))
        middle = self.mix_middle(self.side_middle(middle) + _widened(self.down_middle, coarse))
        fine = self.mix_fine(self.side_fine(fine) + _widened(self.down_fine, middle))
        scores, boxes = zip(
            *[head(_unfolded(x)) for head, x in zip(self.heads, (fine, middle, coarse), strict=True)], strict=True
        )
        return torch.cat(scores, 1), torch.cat(boxes, 1)


class Side(nn.Sequential):
    """From the trunk into the pyramid."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__(Conv(before, before, 3, groups=before, active=False), Conv(before, width))


class Head(nn.Module):
    """Scores and boxes of one map with ``count`` anchors in each cell."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.score = nn.Sequential(Conv(width, width, 3, 2, width, active=False), Conv(width, count, active=False))
        self.box = nn.Sequential(
            Conv(width, width, 3, 2, width, active=False), Conv(width, count * VALUES, active=False)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        score, box = (head(x).permute(0, 2, 3, 1) for head in (self.score, self.box))
        return score.reshape(len(x), -1), box.reshape(len(x), -1, VALUES // 2, 2)


def _widened(conv: Conv, x: Tensor) -> Tensor:
    """``conv`` of the enlarged map; a pointwise convolution may as well come first, where it costs a quarter."""
    return F.relu6(enlarged(pointwise(x, conv.conv)))


def _unfolded(x: Tensor) -> Tensor:
    """``(B, 4 C, H, W)`` -> ``(B, C, 2 H, 2 W)`` in TensorFlow's order of channels (``pixel_shuffle`` has another)."""
    batch, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2, channels // 4).transpose(2, 3)
    return x.reshape(batch, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)


def anchors() -> Tensor:
    """Centres of the anchors as shares of the picture's sides, ``(2254, 2)``; their size is that of the picture."""
    centres = []
    for cells, count in GRIDS:
        steps = (torch.arange(cells) + 0.5) / cells
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        centres.append(torch.stack([x, y], -1).reshape(-1, 1, 2).expand(-1, count, 2).reshape(-1, 2))
    return torch.cat(centres)
