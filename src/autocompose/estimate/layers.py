"""Building blocks of the detector and the landmark network; batch norms are already part of the convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """Inverted residual blocks that follow one another; only the first one has the stride.

    :param width: channels behind each block. :param kernel: side of the depthwise convolutions.
    :param expand: channels inside a block, as a multiple of those before it.
    """

    width: int
    kernel: int
    stride: int
    depth: int
    expand: int = 6


class Conv(nn.Module):
    """Convolution and, unless ``active`` is false, a ReLU that ends at 6.

    :param groups: 1, or ``width`` for a depthwise convolution.
    :param skewed: pad right and bottom only, as TensorFlow does at stride 2.
    """

    def __init__(
        self, before: int, width: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, active: bool = True,
        skewed: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.skewed, self.active = skewed, active
        self.conv = nn.Conv2d(before, width, kernel, stride, 0 if skewed else kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.skewed:
            x = F.pad(x, (0, 1, 0, 1))
        x = self.conv(x) if self.conv.kernel_size != (1, 1) else pointwise(x, self.conv)
        return F.relu6(x, inplace=not torch.is_grad_enabled()) if self.active else x


def pointwise(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """``conv`` of kernel 1 as a matrix product over channels, which lie side by side; ``conv2d`` would copy first."""
    return F.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias).permute(0, 3, 1, 2)


class Inverted(nn.Module):
    """Widen, convolve each channel, narrow; added to the input where the shape is kept (MobileNet v2)."""

    def __init__(self, before: int, width: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = before * expand
        self.widen = Conv(before, inner)
        self.spread = Conv(inner, inner, kernel, stride, inner)
        self.narrow = Conv(inner, width, active=False)
        self.adds = stride == 1 and before == width

    def forward(self, x: Tensor) -> Tensor:
        y = self.narrow(self.spread(self.widen(x)))
        return y + x if self.adds else y


class Separable(nn.Sequential):
    """Depthwise and pointwise convolution."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__(Conv(before, before, 3, groups=before), Conv(before, width))


class Residual(nn.Module):
    """A separable convolution added to its input; at stride 2 to the input's maxima, with channels of zeros.

    :param active: a ReLU between the two convolutions.
    """

    def __init__(self, before: int, width: int, stride: int = 1, *, active: bool = True) -> None:
        super().__init__()
        self.stride, self.more = stride, width - before
        self.spread = Conv(before, before, 3, stride, before, active=active, skewed=stride == 2)
        self.mix = Conv(before, width, active=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix(self.spread(x))
        if self.stride == 2:
            x = F.max_pool2d(x, 2)
        if self.more:
            x = F.pad(x, (0, 0, 0, 0, 0, self.more))
        return F.relu6(x + y)


class Trunk(nn.Module):
    """The part that both networks share: a stem, stages of inverted residual blocks and a neck.

    :param stem: channels behind the stem.
    """

    def __init__(self, stem: int, stages: Sequence[Stage]) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, 24, 3, 2), Conv(24, 24, 3, groups=24), Conv(24, stem, active=False))
        self.stages, self.strides = nn.ModuleList(), [stage.stride for stage in stages]
        width = stem
        for stage in stages:
            blocks = []
            for number in range(stage.depth):
                blocks.append(Inverted(width, stage.width, stage.kernel, 1 if number else stage.stride, stage.expand))
                width = stage.width
            self.stages.append(nn.Sequential(*blocks))
        inner = width * stages[-1].expand
        self.neck = nn.Sequential(Conv(width, inner), Conv(inner, inner, 3, groups=inner))

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """The last map of each resolution behind the stem's, from fine to coarse; the neck's is not among them."""
        x = self.stem(x)
        for number, stage in enumerate(self.stages):
            if number and self.strides[number] == 2:
                yield x
            x = stage(x)
        yield x


def enlarged(x: Tensor) -> Tensor:
    """A map at twice the resolution, bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
