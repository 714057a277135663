"""The two stages of the paper: fine-tuning CLIP with the element-wise sum, and training the Combiner on frozen CLIP.

Both optimise the same objective on rows of a ``TripletTable``: reference + text retrieves the target, and prediction +
text of the way back retrieves the reference. They differ in which weights train, and therefore in what is cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from autocompose.core.config import Config
from autocompose.core.distributed import rank, require_shares, world
from autocompose.model.encoder import Encoder
from autocompose.model.features import ImageFeatures
from autocompose.model.losses import LOGIT_SCALE, cycle, cyclic_loss
from autocompose.train.loop import Stage
from autocompose.train.prefetch import ahead, sent
from autocompose.train.sampling import Batch, TripletTable


class ComposeSettings(Config):
    """Settings that both stages share.

    :param cycle_weight: w of loss = (1 - w) * forward + w * way back; used when the text mode has a cycle.
    :param mask_duplicates: a target with the same picture or pose as the pair's own target is not a negative.
    :param logit_scale: factor on the cosines in the loss. The method's 100 suits CLIP's features.
    :param per_group: pairs of one candidate group kept together in a batch; 0 = free shuffle.
    :param chunk: pictures or texts that a training encoder holds in memory at a time; the rest of a large batch is
        computed again in the backward pass, with exact gradients. 0 = all at once.
    """

    cycle_weight: float = Field(0.5, ge=0, le=1)
    mask_duplicates: bool = True
    logit_scale: float = Field(LOGIT_SCALE, gt=0)
    per_group: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    chunk: int = Field(0, ge=0)


@dataclass(frozen=True)
class Inputs:
    """A batch of B triplets, looked up and on its way to the device.

    :param pictures: of the B references, then of the B targets, as ``load_images`` gives them; ``ids``: what they show.
    :param texts: the different texts, as ``load_texts`` gives them.
    :param places: index into ``texts`` of each triplet's text and, with a cycle, of its way back.
    """

    size: int
    pictures: Any
    ids: Tensor
    texts: Any
    places: Tensor


class ComposeStage(Stage):
    """Loss of composed retrieval over a batch of rows.

    :param table: the training items.
    :param images: cached features of ``table.images``.
    :param composer: (image features, text features) -> normalised prediction.
    """

    def __init__(
        self,
        table: TripletTable,
        images: ImageFeatures,
        composer: nn.Module,
        settings: ComposeSettings,
        batch_size: int,
    ):
        super().__init__()
        self.table, self.images, self.composer = table, images, composer
        self.settings, self.batch_size = settings, batch_size

    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self.table) // self.batch_size

    def batches(self, epoch: int) -> Iterator[Inputs]:
        """Batches, drawn by (seed, epoch); of several processes each gets its share of every batch.

        For a GPU they are prepared ahead in another thread.

        :raises ConfigError: the processes cannot share a batch equally.
        """
        require_shares(self.batch_size)
        whole = self.table.epoch(self.settings.seed, epoch, self.batch_size, self.settings.per_group)
        inputs = (self.load(batch.share(rank(), world())) for batch in whole)
        return ahead(inputs) if self.device.type == "cuda" else inputs

    def load(self, batch: Batch) -> Inputs:
        """Look up the pictures and texts of a batch; a repeated text is looked up once."""
        pictures = torch.from_numpy(np.concatenate([batch.reference, batch.target]))
        flip = torch.from_numpy(np.concatenate([batch.flip, batch.flip]))
        cycle = bool((batch.back >= 0).all())
        texts, places = np.unique(
            np.concatenate([batch.text, batch.back]) if cycle else batch.text, return_inverse=True
        )
        return Inputs(
            size=len(batch),
            pictures=self.load_images(pictures, flip),
            ids=sent(picture_ids(torch.from_numpy(self.table.shows)[pictures], flip), self.device),
            texts=self.load_texts(torch.from_numpy(texts)),
            places=sent(torch.from_numpy(places), self.device),
        )

    def load_images(self, rows: Tensor, flip: Tensor) -> Any:
        """The input of ``encode_images`` for these pictures, flipped where ``flip``: here their cached features."""
        return sent(self.images.rows(rows, flip), self.device)

    def encode_images(self, loaded: Any) -> Tensor:
        """Un-normalised features ``(B, D)``."""
        return loaded

    def load_texts(self, rows: Tensor) -> Any:
        """The input of ``encode_texts`` for these texts."""
        raise NotImplementedError

    def encode_texts(self, loaded: Any) -> Tensor:
        """Un-normalised features ``(B, D)``."""
        return loaded

    def forward(self, batch: Inputs) -> Tensor:
        """The loss of the batch; the way back counts when the batch has texts for it."""
        texts = F.embedding(batch.places, self.encode_texts(batch.texts)).split(batch.size)
        reference, target = self.encode_images(batch.pictures).split(batch.size)
        ids = batch.ids.split(batch.size) if self.settings.mask_duplicates else (None, None)
        hops = cycle(texts, reference, target, (ids[0], ids[1]), self.settings.cycle_weight)
        return cyclic_loss(self.composer, reference, hops, self.settings.logit_scale)

    @property
    def device(self) -> torch.device:
        """Where the loss is computed."""
        return next(self.parameters()).device


def picture_ids(shown: Tensor, flip: Tensor) -> Tensor:
    """One number per (what is shown, flipped or not)."""
    return shown * 2 + flip


def in_chunks(encode: Callable[[Tensor], Tensor], values: Tensor, size: int) -> Tensor:
    """``encode(values)``, ``size`` rows at a time; activations are not kept but computed again for the gradient."""
    if size == 0 or len(values) <= size:
        return encode(values)
    return torch.cat([checkpoint(encode, part, use_reentrant=False) for part in values.split(size)])


class CombinerStage(ComposeStage):
    """Stage 2: frozen encoders, everything cached; only the composer trains."""

    def __init__(
        self,
        table: TripletTable,
        images: ImageFeatures,
        texts: Tensor,
        composer: nn.Module,
        settings: ComposeSettings,
        batch_size: int,
    ):
        super().__init__(table, images, composer, settings, batch_size)
        self.texts = texts

    def load_texts(self, rows: Tensor) -> Tensor:
        """From the cache."""
        return sent(self.texts[rows], self.device)


class TextStage(ComposeStage):
    """Stage 1 with ``--encoder text``: the image side is cached, the text encoder trains.

    The encoder stays in eval mode, as the paper's does: no dropout.
    """

    def __init__(
        self,
        table: TripletTable,
        images: ImageFeatures,
        encoder: Encoder,
        composer: nn.Module,
        settings: ComposeSettings,
        batch_size: int,
    ):
        super().__init__(table, images, composer, settings, batch_size)
        self.encoder = encoder
        self.tokens = encoder.tokenize(table.texts)
        self.lengths = self.tokens.argmax(1) + 1  # the end token has the highest number

    def load_texts(self, rows: Tensor) -> Tensor:
        """Tokens, trimmed to the longest text."""
        return sent(self.tokens[rows, : int(self.lengths[rows].max())], self.device)

    def encode_texts(self, loaded: Tensor) -> Tensor:
        """Encoded now."""
        return in_chunks(self.encoder.encode_text, loaded, self.settings.chunk)

    def train(self, mode: bool = True) -> TextStage:
        """Switch the composer to training mode; the encoder stays in eval mode."""
        super().train(mode)
        self.encoder.eval()
        return self


class HeadStage(TextStage):
    """Stage 1 of the small backbone: the text encoder trains, and the head of the image side on cached trunk vectors.

    :param images: trunk vectors (``image_features(..., trunk=True)``) of ``table.images``.
    """

    def encode_images(self, loaded: Tensor) -> Tensor:
        """The head's features of pictures."""
        return self.encoder.encode_head(loaded)
