"""The nouns: split, pair, question. Their texts: ``core.text_fields``.

Images are named by their path below the corpus' ``images/`` folder. Left and right are the person's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from autocompose.core.errors import ConfigError
from autocompose.core.text_fields import TEXT_FIELDS, Edit, Source


class Split(str, Enum):
    """Part of a corpus. ``val`` is our addition to the paper's format."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"

    def __str__(self) -> str:
        return self.value


def split_of(name: Split | str) -> Split:
    """The split of that name.

    :raises ConfigError: there is no such split.
    """
    try:
        return Split(name)
    except ValueError:
        raise ConfigError(f"split {name!r}: expected {', '.join(s.value for s in Split)}") from None


@dataclass(frozen=True)
class Pair:
    """One (reference, target) pair of a corpus with its texts.

    :param img_set: the candidate group of the group recall, in file order; may be empty in train.
    :param texts: corpus key (see ``TEXT_FIELDS``) -> texts in file order. A key may be missing.
    :param extra: other keys of the entry, kept as they are.
    """

    reference: str
    target: str
    img_set: tuple[str, ...] = ()
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def texts_of(self, source: Source, edit: Edit = Edit.PLAIN) -> tuple[str, ...]:
        """The texts of one source and edit, () if there are none."""
        key = TEXT_FIELDS.get((source, edit))
        return self.texts.get(key, ()) if key else ()


@dataclass(frozen=True)
class Question:
    """One test question: reference picture and text in, target picture out.

    :param group: candidate images of the group recall (contains the target, may contain the reference).
    :param pair: index of the pair in its split, so that results can be joined with pose data.
    """

    reference: str
    text: str
    target: str
    group: tuple[str, ...]
    pair: int
