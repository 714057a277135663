"""Weights of a fusion, fitted to questions whose answer is known.

The model is a conditional logit (McFadden 1974): the target is chosen from the gallery with a probability in proportion
to exp(c cosine + s symbolic). Its likelihood is concave in both weights. Nothing needs to be standardised first: a
constant added to all scores of a query cancels, and the unit of each score is what its weight is fitted for. Scaling
each query's scores to unit variance instead would make a question's weights depend on what else is in its gallery.
"""

from __future__ import annotations

import numpy as np

from autocompose.core.errors import InputError
from autocompose.evaluate.fusion import Weights

STEPS = 100
ENOUGH = 1e-9  # change of the mean log-likelihood
SMALLEST = 1e-6  # weight of a score that does not help


def fit(cosines: np.ndarray, symbolic: np.ndarray, targets: np.ndarray, references: np.ndarray) -> Weights:
    """The weights under which the targets are most likely; that of the symbolic score is 1, as its unit is fixed.

    :param cosines, symbolic: ``(Q, N)`` scores of every gallery item for every question; -inf: cannot be scored, is
        not chosen.
    :param targets, references: ``(Q,)`` gallery rows; the reference is never chosen.
    :raises InputError: no questions, a target that cannot be scored, or a symbolic score that says nothing.
    """
    rows = np.arange(len(cosines))
    x = np.stack([cosines, symbolic], -1).astype(float)
    x[rows, references] = -np.inf
    possible = np.isfinite(x).all(-1)
    if not len(x) or not possible[rows, targets].all():
        raise InputError("fusion: expected questions whose targets have both scores")
    scale = np.array([x[possible][:, i].std() or 1.0 for i in range(2)])
    x = np.where(possible[..., None], x / scale, 0)
    weights = _newton(x, possible, targets) / scale
    if weights[1] <= SMALLEST:
        raise InputError("fusion: the symbolic score does not help with these questions; use the model alone")
    return Weights(cosine=float(weights[0] / weights[1]), symbolic=1.0)


def _newton(x: np.ndarray, possible: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``(2,)`` weights from 0: steps of Newton, halved until they help."""
    weights, best = np.ones(2), -np.inf
    rows, step = np.arange(len(x)), np.zeros(2)
    for _ in range(STEPS):
        tried = np.maximum(weights + step, 0)
        value = _likelihood(x, possible, targets, tried)[0]
        if value < best:
            step /= 2
            if np.abs(step).max() < ENOUGH:
                break
            continue
        done = value - best < ENOUGH
        weights, best = tried, value
        if done:
            break
        chance = _likelihood(x, possible, targets, weights)[1]
        mean = (chance[..., None] * x).sum(1)
        slope = (x[rows, targets] - mean).mean(0)
        apart = x - mean[:, None]
        curve = np.einsum("qn,qni,qnj->ij", chance, apart, apart) / len(x)
        free = (weights > 0) | (slope > 0)
        step = np.zeros(2)
        step[free] = np.linalg.solve(curve[np.ix_(free, free)] + 1e-9 * np.eye(int(free.sum())), slope[free])
    return weights


def _likelihood(
    x: np.ndarray, possible: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """Mean log-likelihood of the targets, and ``(Q, N)`` probabilities."""
    logits = np.where(possible, x @ weights, -np.inf)
    logits -= logits.max(1, keepdims=True)
    total = np.exp(logits).sum(1)
    value = float((logits[np.arange(len(x)), targets] - np.log(total)).mean())
    return value, np.exp(logits) / total[:, None]
