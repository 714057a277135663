"""Composition on poses: reference + text must retrieve the target from the whole batch, siblings included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from autocompose.core.config import Config
from autocompose.describe.side_words import swap_sides
from autocompose.model.encoder import Encoder, shown
from autocompose.model.small2.pose_net import mirrored
from autocompose.train.loop import Stage
from autocompose.train.poses.cubes import Cubes
from autocompose.train.poses.doubts import Doubts


class PoseSettings(Config):
    """
    :param cubes: per batch; all eight pictures of each are candidates. :param pairs: per cube.
    :param sources: names of ``cubes.SOURCES`` and ``cubes.DRAWN`` with the probability of each.
    :param words_alone: share of texts presented without their claims to an encoder that reads claims.
    :param logit_scale: factor on the cosines. :param cycle_weight: of the way back.
    :param error_from, error_to: range of the factor on the estimator's errors, drawn for each cube.
    :param viewed: share of cubes shown as the estimator sees pictures of them, instead of poses with errors of others.
    :param nobody: share of pictures without a detected person.
    :param mirror: show every second cube in a mirror. :param reverse: train on the way back of each pair too.
    """

    cubes: int = Field(48, ge=2)
    pairs: int = Field(3, ge=1)
    sources: dict[str, float]
    words_alone: float = Field(0.05, ge=0, le=1)
    logit_scale: float = Field(30.0, gt=0)
    cycle_weight: float = Field(0.25, ge=0, le=1)
    error_from: float = Field(0.4, ge=0)
    error_to: float = Field(1.0, ge=0)
    viewed: float = Field(0.0, ge=0, le=1)
    nobody: float = Field(0.005, ge=0, lt=1)
    mirror: bool = True
    reverse: bool = True
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Question:
    """B pictures, U texts and Q questions, each with its way back.

    :param trunks: ``(B, TRUNK)``. :param tokens: ``(U, L)``.
    :param reference, target, text, back: ``(Q,)`` rows of these.
    """

    trunks: Tensor
    tokens: Tensor
    reference: Tensor
    target: Tensor
    text: Tensor
    back: Tensor


class PoseStage(Stage):
    """Trains head, text encoder and composer together."""

    def __init__(
        self,
        cubes: Cubes,
        doubts: Doubts,
        encoder: Encoder,
        composer: nn.Module,
        settings: PoseSettings,
        views: Tensor | None = None,
    ):
        """``views``: the trunks of pictures of the cubes, see ``views.seen_trunks``; needed when some are viewed."""
        super().__init__()
        self.views = views
        self.cubes, self.doubts, self.settings = cubes, doubts, settings
        self.encoder, self.composer = encoder.train_only("head"), composer
        self.alike = doubts.alike(cubes.joints, np.random.default_rng([settings.seed, 5]))
        self._tokens: dict[str, Tensor] = {}

    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self.cubes.joints) // self.settings.cubes

    def batches(self, epoch: int) -> Iterator[Question]:
        """Batches, drawn by (seed, epoch)."""
        rng, size = np.random.default_rng([self.settings.seed, epoch]), self.settings.cubes
        order = rng.permutation(len(self.cubes.joints))
        for start in range(0, self.steps() * size, size):
            yield self.load(order[start : start + size], rng)

    def load(self, rows: np.ndarray, rng: np.random.Generator) -> Question:
        """The pictures of some cubes, and questions about them."""
        flip = rng.random(len(rows)) < (0.5 if self.settings.mirror else 0)
        texts: dict[str, int] = {}
        questions = [
            (8 * place + a, 8 * place + b, texts.setdefault(there, len(texts)), texts.setdefault(back, len(texts)))
            for place, row in enumerate(rows)
            for a, b, there, back in self._pairs(int(row), bool(flip[place]), rng)
        ]
        both = 2 if self.settings.reverse else 1
        ways = np.array([way for a, b, t, u in questions for way in ((a, b, t, u), (b, a, u, t))[:both]])
        tokens = nn.utils.rnn.pad_sequence(self._tokenised(list(texts)), batch_first=True)
        return Question(self._trunks(rows, flip, rng), tokens, *torch.from_numpy(ways.T.copy()))

    def _pairs(self, row: int, flip: bool, rng: np.random.Generator) -> Iterator[tuple[int, int, str, str]]:
        pairs, shares = self.cubes.pairs[row], self.settings.sources
        for k in rng.permutation(len(pairs))[: self.settings.pairs]:
            names = [name for name in shares if name in pairs[k]]
            if not names:
                continue
            weights = np.array([shares[name] for name in names])
            words, claims, back_words, back_claims = pairs[k][names[rng.choice(len(names), p=weights / weights.sum())]]
            a, b = pairs[k]["poses"]
            yield a, b, self._shown(words, claims, flip, rng), self._shown(back_words, back_claims, flip, rng)

    def _shown(self, words: str, claims: str, flip: bool, rng: np.random.Generator) -> str:
        alone = bool(words) and rng.random() < self.settings.words_alone
        text = shown(words, "" if alone else claims, self.encoder.config.reads)
        return _swapped(text) if flip else text

    def _tokenised(self, texts: list[str]) -> list[Tensor]:
        missing = [text for text in texts if text not in self._tokens]
        for text, row in zip(missing, self.encoder.tokens_of(missing), strict=True):
            self._tokens[text] = row[: int(row.argmax()) + 1]  # no token is greater than the last
        return [self._tokens[text] for text in texts]

    def _trunks(self, rows: np.ndarray, flip: np.ndarray, rng: np.random.Generator) -> Tensor:
        settings = self.settings
        choice = rng.integers(self.alike.shape[1], size=len(rows))
        errors = self.alike[rows, choice].reshape(-1)
        size = np.repeat(rng.uniform(settings.error_from, settings.error_to, len(rows)), 8)
        joints, yaw = self.cubes.joints[rows].reshape(-1, 22, 3), self.cubes.yaw[rows].reshape(-1)
        trunks = self.doubts.trunks(joints, yaw, errors, size)
        if self.views is not None and settings.viewed:
            viewed = torch.from_numpy(np.repeat(rng.random(len(rows)) < settings.viewed, 8))[:, None]
            own = (8 * rows[:, None] + np.arange(8)).reshape(-1)
            trunks = torch.where(viewed, self.views[torch.from_numpy(own)], trunks)
        trunks = torch.where(torch.from_numpy(np.repeat(flip, 8))[:, None], mirrored(trunks), trunks)
        return trunks * torch.from_numpy(rng.random(len(trunks)) >= settings.nobody)[:, None]

    def forward(self, batch: Question) -> Tensor:
        """The way there among all pictures but the reference, and the way back among all."""
        settings = self.settings
        pictures = self.encoder.encode_head(batch.trunks)
        texts = self.encoder.encode_text(batch.tokens)
        composed = self.composer(F.embedding(batch.reference, pictures), F.embedding(batch.text, texts))
        columns = F.normalize(pictures, dim=-1).T
        logits = settings.logit_scale * composed @ columns
        own = F.one_hot(batch.reference, len(pictures)).bool()
        there = F.cross_entropy(logits.masked_fill(own, float("-inf")), batch.target)
        back = self.composer(composed, F.embedding(batch.back, texts))
        again = F.cross_entropy(settings.logit_scale * back @ columns, batch.reference)
        return (1 - settings.cycle_weight) * there + settings.cycle_weight * again


@lru_cache(maxsize=2**18)
def _swapped(text: str) -> str:
    return swap_sides(text)
