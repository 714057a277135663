"""Encoding many pictures and texts: decoded ahead in threads, in batches, texts of like length together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from autocompose.core.log import track
from autocompose.corpus.pictures.pixels import decode
from autocompose.model.encoder import Encoder

Picture = Path | str | Image.Image
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
    if any(isinstance(image, Image.Image) for image in images):
        for image in images:
            files = [] if isinstance(image, Image.Image) else [Path(image)]
            yield from decode(files, encoder.preprocess) if files else iter([encoder.preprocess(image)])  # type: ignore[arg-type]
    else:
        yield from decode([Path(image) for image in images], encoder.preprocess)  # type: ignore[arg-type]


@torch.no_grad()
def embed_texts(encoder: Encoder, texts: Sequence[str], batch_size: int = 128) -> Tensor:
    """Encode texts; each batch is trimmed to its longest. Texts that are too long are cut, and counted aloud once.

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
