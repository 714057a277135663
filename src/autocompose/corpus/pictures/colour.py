"""Any kind of pixels -> RGB: the one place that decides what a picture looks like to people and models."""

from __future__ import annotations

import numpy as np
from PIL import Image

BACKGROUND = (128, 128, 128)  # behind transparent pixels; both dark and light cut-outs stand out from it
DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits that cameras and scanners use of a deeper type
_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture as viewers show it: transparency on neutral grey, deep greys scaled to 8 bits.

    :param image: any mode of Pillow; of an animation, the frame that it is at.
    :raises Exception: whatever Pillow raises for a mode that it cannot convert.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F" or image.mode.startswith("I"):
        return scaled(np.asarray(image))
    if image.mode in _ALPHA or "transparency" in image.info:
        return _on_background(image)
    return _from_lab(image) if image.mode == "LAB" else image.convert("RGB")


def _on_background(image: Image.Image) -> Image.Image:
    pixels = image.convert("LA") if image.mode == "La" else image
    pixels = pixels if pixels.mode == "RGBA" else pixels.convert("RGBA")
    result = Image.new("RGB", image.size, BACKGROUND)
    result.paste(pixels, mask=pixels)
    return result


def scaled(values: np.ndarray) -> Image.Image:
    """Grey values (H, W) of any number type as an RGB picture.

    Unsigned values are divided by the range of the smallest usual depth that holds them all, so that the 12 bits of a
    camera in a 16-bit file are not black. Floats are taken as 0 to 1 or 0 to 255; all others are stretched from their
    least to their greatest value. NaN and infinite values become black.
    """
    may_be_fractions = values.dtype.kind == "f"
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0, copy=False)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    floating = high <= 1 or (may_be_fractions and bool(np.any(values % 1)))
    if low < 0 or high >= 2.0 ** DEPTHS[-1] or (floating and high > 255):
        low, high = float(values.min()), float(values.max())
    elif floating:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    else:
        low, high = 0.0, float(next(2**bits - 1 for bits in DEPTHS if high <= 2**bits - 1))
    values -= low
    values *= 255 / max(high - low, 1e-30)
    return Image.fromarray(np.round(values).astype(np.uint8)).convert("RGB")


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    assert converted is not None  # only None when it works in place
    return converted
