"""The two stages of the paper: fine-tuning CLIP with the element-wise sum, and training the Combiner on frozen CLIP.

Both are the same question, asked of rows of a ``TripletTable``: does reference + text find the target, and does the
prediction + the text of the way back find the reference? They differ in what is trained, thus in what is cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from autocompose.core.config import Config
from autocompose.core.errors import ConfigError
from autocompose.model.encoder import Encoder
from autocompose.model.losses import composed_loss, rank, world
from autocompose.train.features import ImageFeatures
from autocompose.train.loop import Stage
from autocompose.train.sampling import Batch, TripletTable


class ComposeSettings(Config):
    """Settings that both stages share.

    :param cycle_weight: w of loss = (1 - w) * forward + w * way back; used when the text mode has a cycle.
    :param mask_duplicates: a target that shows the picture or pose of one's own target is no negative.
    :param per_group: pairs of one candidate group kept together in a batch; 0 = free shuffle.
    :param chunk: pictures or texts that a training encoder holds in memory at a time; the rest of a large batch is
        computed again in the backward pass, with exact gradients. 0 = all at once.
    """

    cycle_weight: float = 0.5
    mask_duplicates: bool = True
    per_group: int = 0
    seed: int = 0
    chunk: int = Field(0, ge=0)


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

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Rows, drawn by (seed, epoch); of several processes each gets its share of every batch.

        :raises ConfigError: the processes cannot share a batch equally.
        """
        if self.batch_size % world():
            raise ConfigError(f"batch_size {self.batch_size}: not a multiple of the {world()} processes")
        whole = self.table.epoch(self.settings.seed, epoch, self.batch_size, self.settings.per_group)
        return (batch.share(rank(), world()) for batch in whole)

    def text_features(self, rows: Tensor) -> Tensor:
        """Un-normalised features ``(B, D)`` of texts."""
        raise NotImplementedError

    def image_features(self, rows: Tensor, flip: Tensor) -> Tensor:
        """Un-normalised features ``(B, D)`` of pictures, flipped where ``flip``."""
        return self.images.rows(rows, flip)

    def forward(self, batch: Batch) -> Tensor:
        """The forward term, and the cyclic term when the batch has texts of the way back."""
        reference, target, flip = (torch.from_numpy(a) for a in (batch.reference, batch.target, batch.flip))
        cycle = bool((batch.back >= 0).all())
        texts, back = self._encode_texts(batch.text, batch.back if cycle else None)
        pictures = self.image_features(torch.cat([reference, target]), torch.cat([flip, flip])).to(self.device)
        shown = torch.from_numpy(self.table.shows)[torch.cat([reference, target])]
        ids = picture_ids(shown, torch.cat([flip, flip])).to(self.device)
        masked = self.settings.mask_duplicates
        return composed_loss(
            self.composer,
            reference=pictures[: len(batch)],
            target=pictures[len(batch) :],
            text=texts,
            back_text=back,
            reference_ids=ids[: len(batch)] if masked else None,
            target_ids=ids[len(batch) :] if masked else None,
            cycle_weight=self.settings.cycle_weight,
        )

    @property
    def device(self) -> torch.device:
        """Where the loss is computed."""
        return next(self.parameters()).device

    def _encode_texts(self, text: np.ndarray, back: np.ndarray | None) -> tuple[Tensor, Tensor | None]:
        """Features of both text columns; a text that occurs twice in the batch is encoded once."""
        rows, inverse = np.unique(text if back is None else np.concatenate([text, back]), return_inverse=True)
        features = self.text_features(torch.from_numpy(rows)).to(self.device)[torch.from_numpy(inverse)]
        return features[: len(text)], None if back is None else features[len(text) :]


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

    def text_features(self, rows: Tensor) -> Tensor:
        """From the cache."""
        return self.texts[rows]


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

    def text_features(self, rows: Tensor) -> Tensor:
        """Encoded now, trimmed to the longest text of the batch."""
        tokens = self.tokens[rows, : int(self.lengths[rows].max())].to(self.device)
        return in_chunks(self.encoder.encode_text, tokens, self.settings.chunk)

    def train(self, mode: bool = True) -> TextStage:
        """Train the composer only in name; the encoder keeps its eval mode."""
        super().train(mode)
        self.encoder.eval()
        return self


class HeadStage(TextStage):
    """Stage 1 of the small backbone: the text encoder trains, and the head of the image side on cached trunk vectors.

    :param images: trunk vectors (``image_features(..., trunk=True)``) of ``table.images``.
    """

    def image_features(self, rows: Tensor, flip: Tensor) -> Tensor:
        """The head's features of pictures."""
        return self.encoder.encode_head(self.images.rows(rows, flip).to(self.device))
