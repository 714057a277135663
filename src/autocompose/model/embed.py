"""Encoding many pictures and texts: decoded ahead in threads, in batches, texts of similar length together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autocompose.core.errors import InputError
from autocompose.core.log import track
from autocompose.core.several import is_one
from autocompose.corpus.pictures.decoding import decode
from autocompose.corpus.pictures.gate import as_rgb
from autocompose.model.encoder import Encoder

Picture = Path | str | Image.Image | np.ndarray | Tensor
"""A file, a decoded picture, its bytes ``(H, W, 3)`` or ``(H, W)``, or what ``Encoder.preprocess`` has made of it."""
CPU_PIXELS = 16 * 224**2  # at a time: RN50 encodes 16 pictures a fifth faster than 64, whose maps leave the cache


@torch.no_grad()
def embed_images(
    encoder: Encoder, images: Sequence[Picture], flips: bool = False, batch_size: int | None = None, trunk: bool = False
) -> tuple[Tensor, ...]:
    """Encode pictures given as files or decoded.

    :param flips: also encode the horizontally flipped *preprocessed* pictures.
    :param batch_size: pictures at a time; None: what suits the device.
    :param trunk: stop before the head (``Encoder.encode_trunk``).
    :return: ``(N, D)`` float32 on the CPU, not normalised; with ``flips`` a second such tensor.
    :raises ImageError: names the first file that cannot be opened.
    """
    if encoder.training:  # asked first, because setting it visits every module
        encoder.eval()
    if batch_size is None:
        batch_size = max(1, min(64, CPU_PIXELS // encoder.image_size**2)) if encoder.device.type == "cpu" else 64
    encode = encoder.encode_trunk if trunk else encoder.encode_image
    parts: list[list[Tensor]] = [[] for _ in range(1 + flips)]
    chunk: list[Tensor] = []
    for number, pixels in enumerate(track(_pixels(encoder, images), "encoding pictures", len(images)), 1):
        chunk.append(pixels)
        if len(chunk) == batch_size or number == len(images):
            batch = torch.stack(chunk).to(encoder.device)
            for flipped, part in enumerate(parts):
                part.append(encode(batch.flip(-1) if flipped else batch).cpu())
            chunk = []
    return tuple(torch.cat(part) if part else torch.empty(0, encoder.dim) for part in parts)


def _pixels(encoder: Encoder, images: Sequence[Picture]) -> Iterator[Tensor]:
    """Preprocessed pictures in order; neighbouring files are decoded ahead in threads."""
    for are_files, run in groupby(images, lambda image: isinstance(image, (str, Path))):
        if are_files:
            yield from decode([Path(str(image)) for image in run], encoder.preprocess)  # type: ignore[arg-type]
        else:
            yield from (_preprocessed(encoder, image) for image in run)


def _preprocessed(encoder: Encoder, image: Picture) -> Tensor:
    if isinstance(image, Image.Image):
        return encoder.preprocess(as_rgb(image))
    size = encoder.image_size
    if isinstance(image, Tensor) and image.shape == (3, size, size) and image.is_floating_point():
        return image.detach().float().cpu()
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] in ((), (3,), (4,)):
        return encoder.preprocess(as_rgb(Image.fromarray(image)))
    shape = tuple(getattr(image, "shape", ()))
    raise InputError(
        f"{type(image).__name__} {shape} of {getattr(image, 'dtype', 'no numbers')}: not a picture; expected a path, "
        f"a PIL image, a uint8 array (H, W, 3), or a tensor (3, {size}, {size}) that `preprocess` made"
    )


def as_pictures(images: Picture | Sequence[Picture]) -> tuple[list[Any], bool]:
    """One picture or many -> a list, and whether it was one."""
    if isinstance(images, (np.ndarray, Tensor)):
        one = images.ndim <= 3 if isinstance(images, Tensor) else images.ndim < 4
        return ([images] if one else list(images)), one
    many: Any = images
    return ([images], True) if is_one(images) else (list(many), False)


@torch.no_grad()
def embed_texts(encoder: Encoder, texts: Sequence[str], batch_size: int = 128) -> Tensor:
    """Encode texts; each batch is trimmed to its longest. Texts that are too long are truncated, with one
    warning.

    :return: ``(T, D)`` float32 on the CPU, not normalised.
    """
    if encoder.training:
        encoder.eval()
    tokens = encoder.tokenize(texts)
    lengths = tokens.argmax(1) + 1  # the end token has the highest number
    order = lengths.argsort(stable=True)  # like lengths share a batch: less padding
    features = torch.empty(len(texts), encoder.dim)
    for rows in track(order.split(batch_size) if len(texts) else (), "encoding texts"):
        batch = tokens[rows, : int(lengths[rows].max())]
        features[rows] = encoder.encode_text(batch.to(encoder.device)).cpu()
    return features
