"""The nouns of the journal's results: a described variant with its wordings, and a reviewer's verdict on one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autocompose.core.text_fields import Edit
from autocompose.describe.mllm.asks import Item

Variant = tuple[str, str, Edit]
"""Reference, target, edit."""


@dataclass(frozen=True)
class Wording:
    """One text of a described variant.

    :param flags: ``long`` (over 77 CLIP tokens), ``crossed`` (limbs cross in a question about sides of the picture).
    :param audit: counts of ``geometry.Audit``; empty without poses.
    """

    text: str
    flags: tuple[str, ...] = ()
    audit: tuple[int, ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Wording:
        """From the journal's JSON."""
        return cls(record["text"], tuple(record["flags"]), tuple(record.get("audit", ())))

    def record(self) -> dict[str, Any]:
        """As the journal's JSON."""
        audit = {"audit": list(self.audit)} if self.audit else {}
        return {"text": self.text, "flags": list(self.flags), **audit}


@dataclass(frozen=True)
class Described:
    """The outcome for a pair under one edit.

    :param state: ``done`` or ``failed``.
    :param inputs: hash of the pictures and poses behind it.
    :param kind: why it failed, or its imperfection.
    :param parts: (part, phrase) of Stage I.
    :param repaired: answers that had to be repaired.
    """

    item: Item
    state: str
    inputs: str = ""
    kind: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    wordings: tuple[Wording, ...] = ()
    repaired: int = 0

    @property
    def variant(self) -> Variant:
        """Reference, target, edit."""
        return self.item.reference, self.item.target, self.item.edit


@dataclass(frozen=True)
class Review:
    """A reviewer's verdict on one wording.

    :param number: of the wording within its variant.
    :param verdict: ``accept``, ``edit`` or ``reject``.
    :param text: the corrected wording, for ``edit``.
    :param at: seconds since 1970.
    """

    variant: Variant
    number: int
    reviewer: str
    verdict: str
    text: str = ""
    at: float = field(default=0.0, compare=False)
