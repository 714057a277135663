"""The score of a whole text: the probability that a careful reader would accept it.

A logistic model of two counts, fitted to 120 texts of a real multimodal LLM that were drawn at random and read in full
against pictures and joints (``tests/describe/labelled_texts.jsonl``; ``benchmarks/audit_labels.py`` fits it
again and cross-validates it over cubes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from autocompose.describe.audit.judge import Judgement, Verdict

INTERCEPT, PER_WRONG, PER_UNSUPPORTED = 2.21, -2.91, -0.83
MAX_WRONG = 2  # more wrong claims say nothing new
MIN_AGREEMENT = 0.5
"""Default of ``describe export --min-agreement``."""


def score(wrong: int, unsupported: int) -> float:
    """Probability that a text is right, 0..1.

    :param wrong: its claims that are contradicted, or true only with left and right swapped.
    :param unsupported: its other checkable claims that the joints do not support.
    """
    return 1 / (1 + math.exp(-(INTERCEPT + PER_WRONG * min(wrong, MAX_WRONG) + PER_UNSUPPORTED * unsupported)))


def counts(judged: Sequence[Judgement]) -> tuple[int, int]:
    """``wrong`` and ``unsupported`` of ``score``."""
    wrong = sum(j.verdict is Verdict.CONTRADICTED or j.swap for j in judged)
    return wrong, sum(j.verdict is Verdict.UNSUPPORTED and not j.swap for j in judged)
