"""Stage 1 with a training image encoder: pictures are decoded once and encoded in every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autocompose.corpus.pictures.transforms import CLIP_MEAN, CLIP_STD
from autocompose.model.encoder import Encoder
from autocompose.model.features import ImageFeatures
from autocompose.train.compose_stages import ComposeSettings, TextStage, in_chunks
from autocompose.train.prefetch import sent
from autocompose.train.sampling import TripletTable

NOTHING = ImageFeatures(torch.empty(0))


class PictureStage(TextStage):
    """Stage 1 with ``--encoder both`` or ``image``.

    :param pixels: ``(N, S, S, 3)`` uint8, the decoded pictures of ``table.images``.
    :param texts: cached text features ``(T, D)`` where only the image encoder trains; None encodes them anew.
    """

    def __init__(
        self,
        table: TripletTable,
        pixels: np.ndarray,
        texts: Tensor | None,
        encoder: Encoder,
        composer: nn.Module,
        settings: ComposeSettings,
        batch_size: int,
    ):
        super().__init__(table, NOTHING, encoder, composer, settings, batch_size)
        self.pixels, self.texts = pixels, texts

    def load_texts(self, rows: Tensor) -> Any:
        """From the cache, or tokens."""
        return super().load_texts(rows) if self.texts is None else sent(self.texts[rows], self.device)

    def encode_texts(self, loaded: Any) -> Tensor:
        """Encoded now unless they are cached."""
        return super().encode_texts(loaded) if self.texts is None else loaded

    def load_images(self, rows: Tensor, flip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bytes ``(U, S, S, 3)`` of the different pictures, which are flipped, and where among them each picture is.

        Bytes are sent to the device, a quarter of the size of floats.
        """
        ids, places = torch.unique(rows * 2 + flip, return_inverse=True)
        pixels = torch.from_numpy(np.ascontiguousarray(self.pixels[(ids // 2).numpy()]))
        return sent(pixels, self.device), sent(ids % 2 == 1, self.device), sent(places, self.device)

    def encode_images(self, loaded: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Encoded now; a repeated picture is encoded once."""
        pixels, flipped, places = loaded
        pictures = normalised(pixels)
        pictures = torch.where(flipped[:, None, None, None], pictures.flip(-1), pictures)
        # F.embedding, not [...]: the gradient of indexing adds up in an order that depends on the threads
        return F.embedding(places, in_chunks(self.encoder.encode_image, pictures, self.settings.chunk))


def normalised(pixels: Tensor) -> Tensor:
    """``(B, S, S, 3)`` uint8 -> ``(B, 3, S, S)`` float32 with CLIP's normalisation, channels last."""
    return normalise(pixels.permute(0, 3, 1, 2).float().div_(255)).contiguous(memory_format=torch.channels_last)


def normalise(images: Tensor) -> Tensor:
    """``(B, 3, H, W)`` in 0..1 -> CLIP's normalisation."""
    mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    return (images - mean) / std
