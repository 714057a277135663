"""The four preprocessing transforms of the paper; pictures are opened by ``corpus.gate``."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from autocompose.corpus.pictures.colour import to_rgb
from autocompose.corpus.pictures.gate import bare as bare
from autocompose.corpus.pictures.gate import open_image as open_image

if TYPE_CHECKING:
    import torch

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
LONGEST = 8  # long side / short side: what lies further out is not seen, or would be too small to see


class Transform(str, Enum):
    """How a picture becomes a square.

    ``clip``: resize the short side, centre crop; ``square`` is the paper's other name for it. ``squarepad``: pad to a
    square with black. ``targetpad``: pad until the ratio of the sides is at most ``target_ratio``, then as ``clip``.
    ``stretch``: both sides to the same length; ours.
    """

    CLIP = "clip"
    SQUARE = "square"
    SQUAREPAD = "squarepad"
    TARGETPAD = "targetpad"
    STRETCH = "stretch"

    def __str__(self) -> str:
        return self.value

    @property
    def geometry(self) -> Transform:
        """The transform that gives the same pixels, one for each: what features and decoded pictures depend on."""
        return Transform.CLIP if self is Transform.SQUARE else self


def pad_to_ratio(image: Image.Image, ratio: float) -> Image.Image:
    """Pad with black, centred, until long side / short side <= ``ratio`` (1 = square)."""
    width, height = image.size
    long_side = max(width, height)
    if long_side / min(width, height) <= ratio:
        return image
    scaled = long_side / ratio
    left, top = int(max(scaled - width, 0) / 2), int(max(scaled - height, 0) / 2)
    return ImageOps.expand(image, (left, top, left, top), 0)


def square_crop(kind: Transform, size: int, target_ratio: float = 1.25) -> Callable[[Image.Image], Image.Image]:
    """The geometric part of ``preprocess``: RGB picture -> RGB picture of ``size`` x ``size`` pixels."""
    from torchvision.transforms import v2

    shape = [size, size] if kind is Transform.STRETCH else size
    resize = v2.Resize(shape, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
    steps = v2.Compose([resize, v2.CenterCrop(size)])
    ratio = {Transform.SQUAREPAD: 1.0, Transform.TARGETPAD: target_ratio}.get(kind)

    def apply(image: Image.Image) -> Image.Image:
        image = to_rgb(image)
        if max(image.size) > LONGEST * min(image.size) and kind is not Transform.SQUARE:
            image = _bounded_strip(image, size, crop=ratio is None)
        return steps(pad_to_ratio(image, ratio) if ratio else image)

    return apply


def _bounded_strip(image: Image.Image, size: int, crop: bool) -> Image.Image:
    """A very long picture, so that its short side is not enlarged, nor padded, to many times its pixels.

    :param crop: only the middle will be seen; else all of it.
    """
    width, height = image.size
    if crop:
        x, y = (min(side, LONGEST * min(image.size)) for side in image.size)
        left, top = (width - x) // 2, (height - y) // 2
        return image.crop((left, top, left + x, top + y))
    small = image.copy()
    small.thumbnail((LONGEST * size, LONGEST * size), Image.Resampling.BICUBIC)
    return small


def preprocess(kind: Transform, size: int, target_ratio: float = 1.25) -> Callable[[Image.Image], torch.Tensor]:
    """The function picture -> ``(3, size, size)`` float32, normalised with CLIP's mean and deviation.

    :param size: input size of the image encoder in pixels.
    :param target_ratio: only for ``targetpad``; at least 1.
    """
    crop = square_crop(kind, size, target_ratio)
    return lambda image: to_tensor(crop(image))


def to_tensor(image: Image.Image) -> torch.Tensor:
    """RGB picture -> ``(3, H, W)`` float32 with CLIP's normalisation."""
    import torch
    from torchvision.transforms.v2 import functional

    return functional.normalize(
        functional.to_dtype(functional.pil_to_tensor(image), torch.float32, scale=True), CLIP_MEAN, CLIP_STD
    )
