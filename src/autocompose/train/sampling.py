"""Sampling of training texts and batches (dataset format of the paper, rules of section 1.4).

A training item is a row number, never a picture or a string: reference, target, flip, text, text of the way back.
(seed, epoch) determines an epoch completely, so that a run continues exactly where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field, model_validator

from autocompose.core.config import Config
from autocompose.core.errors import ConfigError, CorpusError
from autocompose.core.log import Tally
from autocompose.core.records import Pair
from autocompose.core.text_fields import TEXT_FIELDS, Edit, Source
from autocompose.corpus.poses import PoseTable


class TextMode(Config):
    """The text source of a training run.

    :param source: who wrote the texts; exactly one source is active.
    :param mirror: also draw texts of the mirrored pair, and flip both pictures with them.
    :param reverse: also draw texts of the swapped pair, and swap the pictures with them.
    :param texts: draw among the first ``texts`` wordings of a field.
    :param cycle: also sample the text of the way back; needs ``reverse``.
    """

    source: Source = Source.RULES
    mirror: bool = False
    reverse: bool = False
    texts: int = Field(3, ge=1)
    cycle: bool = False

    @model_validator(mode="after")
    def _check(self) -> TextMode:
        if self.cycle and not self.reverse:
            raise ValueError("the cyclic loss needs reverse texts: set reverse = true")
        if self.source is Source.HUMAN and (self.mirror or self.reverse):
            raise ValueError("human texts exist only for the plain pair: mirror and reverse must be false")
        return self

    @classmethod
    def from_name(cls, name: str, cycle: bool = False) -> TextMode:
        """Parse the paper's mode string, such as ``mllm-mirror-reverse_3``, its words in any order.

        :raises ConfigError: not such a string.
        """
        words, _, number = name.rpartition("_")
        parts = words.split("-")
        known = "mllm" in parts and set(parts) <= {"mllm", "mirror", "reverse"} and len(set(parts)) == len(parts)
        if not known or not number.isdecimal() or not 1 <= int(number) <= 5:
            raise ConfigError(f"mllm mode {name!r}: expected mllm[-mirror][-reverse]_k with k from 1 to 5")
        values = {"mirror": "mirror" in parts, "reverse": "reverse" in parts, "texts": int(number), "cycle": cycle}
        return cls.parse({"source": Source.MLLM, **values}, f"mllm mode {name!r}")

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits that items are drawn from, each with equal chance."""
        return tuple(e for e in Edit if (self.mirror or not e.mirrors) and (self.reverse or not e.reverses))


@dataclass(frozen=True)
class Batch:
    """Rows of one training batch, each ``(B,)`` int64; flip is bool.

    ``reference`` and ``target`` are rows of ``TripletTable.images``; ``text`` and ``back`` are rows of
    ``TripletTable.texts`` (``back`` is -1 without the cycle).
    """

    reference: np.ndarray
    target: np.ndarray
    flip: np.ndarray
    text: np.ndarray
    back: np.ndarray

    def __len__(self) -> int:
        return len(self.reference)

    def share(self, rank: int, world: int) -> Batch:
        """The rows of one of ``world`` processes."""
        size = len(self) // world
        mine = slice(rank * size, (rank + 1) * size)
        return Batch(self.reference[mine], self.target[mine], self.flip[mine], self.text[mine], self.back[mine])


class TripletTable:
    """All training items of a split as index arrays.

    ``shows`` gives equal numbers to equal ``images``: the same picture or, where poses are known, the same pose.

    :param pairs: the split's pairs; those lacking a text that ``mode`` needs are dropped and counted in ``tally``.
    :param poses: 3D poses behind the pictures, if known.
    :raises CorpusError: no pair is left.
    """

    def __init__(self, pairs: tuple[Pair, ...], mode: TextMode, poses: PoseTable | None = None) -> None:
        self.mode = mode
        self.tally = Tally("training pairs")
        kept = [p for p in pairs if self._usable(p)]
        if not kept:
            raise CorpusError(
                f"no pair has all texts of {mode.source.value} {[e.value for e in mode.edits]}; {self.tally.line()}"
            )
        images, texts = _Numbers(), _Numbers()
        self.reference = np.array([images(p.reference) for p in kept])
        self.target = np.array([images(p.target) for p in kept])
        groups = _Numbers()
        self.group = np.array([groups(str(sorted(p.img_set)) if p.img_set else str(i)) for i, p in enumerate(kept)])
        max_texts = max(len(p.texts_of(mode.source, edit)) for p in kept for edit in mode.edits)
        self._text = np.full((len(kept), len(mode.edits), min(mode.texts, max_texts)), -1)
        self._count = np.zeros((len(kept), len(mode.edits)), int)
        for row, pair in enumerate(kept):
            for column, edit in enumerate(mode.edits):
                numbers = [texts(t) for t in pair.texts_of(mode.source, edit)[: mode.texts]]
                self._text[row, column, : len(numbers)] = numbers
                self._count[row, column] = len(numbers)
        self.images: list[str] = images.values
        self.texts: list[str] = texts.values
        self.shows = _shown(self.images, poses)

    def _usable(self, pair: Pair) -> bool:
        lacking = [e for e in self.mode.edits if not pair.texts_of(self.mode.source, e)]
        if lacking:
            fields = ", ".join(TEXT_FIELDS[self.mode.source, e] for e in lacking)
            self.tally.drop(f"no text in {fields}", f"{pair.reference} -> {pair.target}")
            return False
        self.tally.keep()
        return True

    def __len__(self) -> int:
        return len(self.reference)

    def require_batch(self, batch_size: int) -> None:
        """Check that there is at least one batch.

        :raises ConfigError: there are fewer pairs.
        """
        if len(self) < batch_size:
            raise ConfigError(
                f"batch_size {batch_size}: only {len(self)} training pairs; choose a batch of {len(self)} or fewer"
            )

    def epoch(self, seed: int, epoch: int, batch_size: int, per_group: int = 0) -> Iterator[Batch]:
        """The batches of one epoch; the last incomplete one is dropped.

        :param per_group: 0 shuffles pairs freely; n > 0 keeps n pairs of one candidate group together, so that the
            hardest negatives (same scene, other edit) share a batch.
        :raises ConfigError: fewer pairs than one batch.
        """
        self.require_batch(batch_size)
        rng = np.random.default_rng([seed, epoch])
        order = self._grouped_order(rng, per_group) if per_group else rng.permutation(len(self))
        edits = rng.integers(len(self.mode.edits), size=len(self))
        draw, draw_back = rng.random(len(self)), rng.random(len(self))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            yield self._batch(rows, edits[rows], draw[rows], draw_back[rows])

    def drawn(self, seed: int, epochs: int, batch_size: int, per_group: int = 0) -> np.ndarray:
        """Rows of ``texts`` that the epochs 0 to ``epochs - 1`` draw, in order; a short run does not use all texts.

        :raises ConfigError: fewer pairs than one batch.
        """
        used = np.zeros(len(self.texts) + 1, bool)  # the last: -1, no text of the way back
        for epoch in range(epochs):
            for batch in self.epoch(seed, epoch, batch_size, per_group):
                used[batch.text] = used[batch.back] = True
        return np.flatnonzero(used[:-1])

    def _grouped_order(self, rng: np.random.Generator, per_group: int) -> np.ndarray:
        shuffled = rng.permutation(len(self))
        by_group = shuffled[np.argsort(self.group[shuffled], kind="stable")]
        bounds = np.flatnonzero(np.diff(self.group[by_group])) + 1
        chunks = [c for g in np.split(by_group, bounds) for c in np.split(g, range(per_group, len(g), per_group))]
        return np.concatenate([chunks[i] for i in rng.permutation(len(chunks))])

    def _batch(self, rows: np.ndarray, edits: np.ndarray, draw: np.ndarray, draw_back: np.ndarray) -> Batch:
        kinds = self.mode.edits
        reverses = np.array([e.reverses for e in kinds])[edits]
        reference = np.where(reverses, self.target[rows], self.reference[rows])
        target = np.where(reverses, self.reference[rows], self.target[rows])
        back = np.full(len(rows), -1)
        if self.mode.cycle:
            back_edits = np.array([kinds.index(e.back) for e in kinds])[edits]
            back = self._pick(rows, back_edits, draw_back)
        return Batch(
            reference, target, np.array([e.mirrors for e in kinds])[edits], self._pick(rows, edits, draw), back
        )

    def _pick(self, rows: np.ndarray, edits: np.ndarray, draw: np.ndarray) -> np.ndarray:
        return self._text[rows, edits, (draw * self._count[rows, edits]).astype(int)]


def _shown(images: list[str], poses: PoseTable | None) -> np.ndarray:
    """Equal numbers for pictures of the same pose (joints equal to a millimetre, yaw to a degree)."""
    index = poses.index() if poses is not None else {}
    numbers = _Numbers()

    def key(name: str) -> str:
        if poses is None or name not in index:
            return name
        joints, yaw = poses.joints[index[name]], float(poses.yaw[index[name]])
        return f"{np.rint(1000 * joints).astype(int).tobytes().hex()} {round(yaw)}"

    return np.array([numbers(key(name)) for name in images])


class _Numbers:
    """Gives each new value the next number."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._index: dict[str, int] = {}

    def __call__(self, value: str) -> int:
        if value not in self._index:
            self._index[value] = len(self.values)
            self.values.append(value)
        return self._index[value]
