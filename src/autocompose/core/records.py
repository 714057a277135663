"""The nouns: split, text field, pair, question.

Images are named by their path below the corpus' ``images/`` folder. Left and right are the person's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from autocompose.core.errors import ConfigError


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


class Source(str, Enum):
    """Who wrote a transition description. The corpus format's words are understood too: ``sents``, ``auto``."""

    HUMAN = "human"
    RULES = "rules"
    MLLM = "mllm"

    @classmethod
    def _missing_(cls, value: object) -> Source | None:
        return {"sents": cls.HUMAN, "auto": cls.RULES}.get(str(value))


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


def text_field(name: str) -> str:
    """The corpus key that a name of texts stands for: SOURCE[-EDIT], such as ``human``, ``rules``, ``mllm-reverse``.

    A corpus key stands for itself.

    >>> text_field("human"), text_field("rules-mirror"), text_field("mllm-reverse"), text_field("auto")
    ('sents', 'auto-mirror', 'reverse', 'auto')

    :raises ConfigError: no such texts.
    """
    names = {
        f"{source.value}{'' if edit is Edit.PLAIN else f'-{edit.value}'}": key
        for (source, edit), key in TEXT_FIELDS.items()
    }
    names |= {key: key for key in TEXT_FIELDS.values()}
    if name not in names:
        known = ", ".join(dict.fromkeys(names))
        raise ConfigError(f"texts {name!r}: expected one of {known}")
    return names[name]


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
