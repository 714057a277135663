"""The nouns: split, text field, pair, query, triplet.

Images are named by their path below the corpus' ``images/`` folder. Left and right are the person's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Split(str, Enum):
    """Part of a corpus. ``val`` is our addition to the paper's format."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"

    def __str__(self) -> str:
        return self.value


class Source(str, Enum):
    """Who wrote a transition description."""

    HUMAN = "human"
    RULES = "rules"
    MLLM = "mllm"


class Edit(str, Enum):
    """How a pair is changed before a text applies to it: pictures swapped, flipped, or both."""

    PLAIN = "plain"
    REVERSE = "reverse"
    MIRROR = "mirror"
    MIRROR_REVERSE = "mirror-reverse"

    @property
    def mirrors(self) -> bool:
        """Both pictures are flipped horizontally."""
        return self in (Edit.MIRROR, Edit.MIRROR_REVERSE)

    @property
    def reverses(self) -> bool:
        """Reference and target change places."""
        return self in (Edit.REVERSE, Edit.MIRROR_REVERSE)

    @property
    def back(self) -> Edit:
        """The edit whose text leads from the target back to the reference (the cyclic term's text)."""
        return {
            Edit.PLAIN: Edit.REVERSE,
            Edit.REVERSE: Edit.PLAIN,
            Edit.MIRROR: Edit.MIRROR_REVERSE,
            Edit.MIRROR_REVERSE: Edit.MIRROR,
        }[self]


# The corpus key of each (source, edit); dataset_formats, section 1.2. `auto-mirror*` are our additions.
TEXT_FIELDS: dict[tuple[Source, Edit], str] = {
    (Source.HUMAN, Edit.PLAIN): "sents",
    (Source.RULES, Edit.PLAIN): "auto",
    (Source.RULES, Edit.REVERSE): "auto-reverse",
    (Source.RULES, Edit.MIRROR): "auto-mirror",
    (Source.RULES, Edit.MIRROR_REVERSE): "auto-mirror-reverse",
    (Source.MLLM, Edit.PLAIN): "mllm",
    (Source.MLLM, Edit.REVERSE): "reverse",
    (Source.MLLM, Edit.MIRROR): "mirror",
    (Source.MLLM, Edit.MIRROR_REVERSE): "mirror-reverse",
}

PARTIAL_KEYS = frozenset(key for (source, _), key in TEXT_FIELDS.items() if source is Source.MLLM)
"""Corpus keys whose texts may cover a part of the pairs."""


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
class Query:
    """One test question: reference picture and text in, target picture out.

    :param group: candidate images of the group recall (contains the target, may contain the reference).
    :param pair: index of the pair in its split, so that results can be joined with pose data.
    """

    reference: str
    text: str
    target: str
    group: tuple[str, ...]
    pair: int


@dataclass(frozen=True)
class Triplet:
    """One training item after sampling (dataset_formats, section 1.4).

    :param flip: both pictures are mirrored horizontally.
    :param back_text: the text that leads from the target back to the reference, or None without the cycle.
    """

    reference: str
    text: str
    target: str
    flip: bool = False
    back_text: str | None = None
