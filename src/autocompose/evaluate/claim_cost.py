"""The cost of a claim that a pose does not fulfil.

A claim is read as the judge reads it (``describe.audit.rules``): for each side that it mentions, alternative
readings with an agreement z in tolerances (1 = just noticeable, negative = the opposite). Each reading gives the
probability that the claim holds, a logistic curve in z whose spread grows with the uncertainty of the joints. The
readings of a side have equal weight (which one is meant is unknown), and a side costs -log of their mean, bounded: a
satisfied claim costs nothing, no change costs something, the opposite direction more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocompose.describe.audit.judge import evaluate_test
from autocompose.describe.audit.rules import Test, tests_of
from autocompose.describe.reading.claims import LIMB_PARTS, RELATIONS, STATES, Claim
from autocompose.evaluate.measured import Measured

# Change in tolerances (5 cm, 8 degrees, 5 degrees of lean) that a degree word means.
LOW = {"slight": 2.5, None: 3.5, "large": 8.0}
LOW_TURN = 3.0  # at most: leans and turns are small changes
HIGH = {"slight": 8.5}
STATED_LOW = 1.0  # a state supports itself at its limit
# Tolerances beyond the limit at which a claim is as likely to hold as not, by the number of claims of the text: a
# single request should be clearly visible; a text with many claims describes a pose and only hints at some of them.
MARGINS = {2: 0.35, 4: -0.9}
SPREAD = 0.9  # tolerances
LOGIT = 1.7  # the logistic curve nearest to the normal one: Camilli 1994, J. Educational and Behavioral Statistics 19
SIDE_WORST = 12.0  # maximum cost of a side


def margin_of(n_claims: int) -> float:
    """See ``MARGINS``; linear between."""
    return float(np.interp(n_claims, list(MARGINS), list(MARGINS.values())))


def readings_of(claim: Claim) -> list[list[Test]]:
    """Alternative readings for each side that has to fulfil the claim; [] when poses cannot decide it.

    The judge's own tolerance for "slightly" is left out: ``LOW`` and ``HIGH`` say what the word means.
    """
    sides = tests_of(claim if claim.action in STATES else replace(claim, degree=None))
    if claim.side == "none" and claim.part in LIMB_PARTS:  # "raise a hand": either
        return [[test for side in sides for test in side]] if sides else []
    return sides


def limits(claim: Claim, test: Test) -> tuple[float, float]:
    """The agreement from which a reading holds, and up to which."""
    if claim.action in RELATIONS + STATES or not test.change:
        return STATED_LOW, np.inf
    low = LOW[claim.degree]
    return min(low, LOW_TURN) if claim.action.startswith(("lean", "turn")) else low, HIGH.get(
        claim.degree or "", np.inf
    )


def claim_cost(
    claim: Claim, sides: Sequence[Sequence[Test]], reference: Measured, gallery: Measured, margin: float
) -> np.ndarray | None:
    """``(N,)`` float32 from 0 (holds) to ``SIDE_WORST`` for each side; None when the poses cannot decide it.

    :param sides: alternative readings for each side, such as ``readings_of``.
    :param reference: one pose. :param margin: see ``margin_of``.
    """
    total = None
    for side in sides:
        logs = [log for test in side if (log := _log_holds(claim, test, reference, gallery, margin)) is not None]
        if logs:
            cost = -np.logaddexp.reduce(logs, axis=0) + np.log(len(logs))
            bounded = (SIDE_WORST * np.tanh(cost / SIDE_WORST)).astype(np.float32)
            total = bounded if total is None else total + bounded
    return total


def _log_holds(claim: Claim, test: Test, reference: Measured, gallery: Measured, margin: float) -> np.ndarray | None:
    """``(N,)`` log of the probability that a reading holds; None when the data lack what it measures."""
    agrees = evaluate_test(test, reference.poses, gallery.poses)[0]
    if np.isnan(agrees).all():
        return None
    agrees = np.nan_to_num(agrees, nan=0.0)  # where a pose cannot decide: as if nothing had changed
    variance = gallery.variance(test.feature) + (reference.variance(test.feature) if test.change else 0)
    spread = np.sqrt(SPREAD**2 + variance / test.tolerance**2)
    low, high = limits(claim, test)
    log = _log_logistic((agrees - low - margin) / spread)
    return log if np.isinf(high) else log + _log_logistic((high - agrees) / spread)


def _log_logistic(z: np.ndarray) -> np.ndarray:
    log: np.ndarray = -np.logaddexp(0, -LOGIT * z)
    return log
