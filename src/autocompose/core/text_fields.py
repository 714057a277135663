"""The text fields of a corpus: who wrote a text, which edit of the pair it describes, and the JSON key that holds it.

A new field is one line of ``TEXT_FIELDS``; reading, checking, export and training pick it up.
"""

from __future__ import annotations

from enum import Enum

from autocompose.core.errors import ConfigError


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
