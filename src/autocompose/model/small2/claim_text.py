"""The claims of a text as a short text: the alternative input of a text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from autocompose.describe.reading.claims import Claim
from autocompose.describe.reading.parse import parse


@lru_cache(maxsize=2**16)
def claim_text(text: str) -> str:
    """The claims of a text in few words, "" where the parser understands nothing.

    >>> claim_text("Nudge your right foot a little to your left, then bring your left hand close to your hip.")
    'right foot left slight place. left hand near hip'
    """
    return written(parse(text))


def written(claims: Sequence[Claim]) -> str:
    """Claims in few words, which CLIP's tokenizer leaves whole."""
    return ". ".join(map(_words, claims))


def _words(claim: Claim) -> str:
    words = [
        "" if claim.side == "none" else claim.side,
        claim.part,
        claim.action.replace("-", " "),
        "" if claim.other is None or claim.other_side == "none" else claim.other_side,
        claim.other or "",
        claim.degree or "",
        "" if claim.how == "move" else claim.how,
        "before" if claim.start else "",
    ]
    return " ".join(word for word in words if word)
