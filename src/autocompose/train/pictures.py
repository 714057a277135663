"""Stage 1 with a training image encoder: pictures are decoded once and encoded in every step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from autocompose.corpus.images import CLIP_MEAN, CLIP_STD
from autocompose.model.encoder import Encoder
from autocompose.train.features import ImageFeatures
from autocompose.train.sampling import TripletTable
from autocompose.train.stages import ComposeSettings, TextStage, in_chunks

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

    def text_features(self, rows: Tensor) -> Tensor:
        """From the cache, or encoded now."""
        return super().text_features(rows) if self.texts is None else self.texts[rows]

    def image_features(self, rows: Tensor, flip: Tensor) -> Tensor:
        """Encoded now; a picture that occurs twice in the batch is encoded once."""
        ids, inverse = torch.unique(rows * 2 + flip, return_inverse=True)
        pictures = to_pixels(self.pixels[(ids // 2).numpy()], self.device)
        flipped = (ids % 2 == 1).to(self.device)[:, None, None, None]
        pictures = torch.where(flipped, pictures.flip(-1), pictures)
        return in_chunks(self.encoder.encode_image, pictures, self.settings.chunk)[inverse.to(self.device)]


def to_pixels(pixels: np.ndarray, device: torch.device) -> Tensor:
    """``(B, S, S, 3)`` uint8 -> ``(B, 3, S, S)`` float32 with CLIP's normalisation, channels last.

    The bytes travel to the device, a quarter of what floats would weigh.
    """
    values = torch.from_numpy(np.ascontiguousarray(pixels))
    if device.type == "cuda":
        values = values.pin_memory()
    values = values.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    return ((values - mean) / std).contiguous(memory_format=torch.channels_last)
