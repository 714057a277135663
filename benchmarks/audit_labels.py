"""Fits the agreement score of whole texts to labelled ones, and cross-validates it over cubes.

python benchmarks/audit_labels.py [tests/describe/labelled_texts.jsonl]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from audit_mllm import Pictures

from autocompose.describe.audit import judge_pair
from autocompose.describe.audit.score import MAX_WRONG, counts
from autocompose.describe.reading import parse

LABELS = Path(__file__).parent.parent / "tests/describe/labelled_texts.jsonl"


def fit(x: np.ndarray, y: np.ndarray, ridge: float = 1.0) -> np.ndarray:
    """Weights of a logistic model, the intercept first and without penalty."""
    m = np.c_[np.ones(len(x)), x]
    weights, penalty = np.zeros(m.shape[1]), ridge * np.eye(m.shape[1])
    penalty[0, 0] = 1e-6
    for _ in range(100):
        p = 1 / (1 + np.exp(-m @ weights))
        hessian = (m * (p * (1 - p))[:, None]).T @ m + penalty
        weights -= np.linalg.solve(hessian, m.T @ (p - y) + penalty @ weights)
    return weights


def predict(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Probabilities."""
    return np.asarray(1 / (1 + np.exp(-np.c_[np.ones(len(x)), x] @ weights)))


def main() -> None:
    """Print weights, quality and what each bound loses and lets through."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else LABELS
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    pictures, rows = Pictures(), []
    for r in records:
        judged = judge_pair(parse(r["text"]), pictures.poses([r["reference"]]), pictures.poses([r["target"]]))
        wrong, unsupported = counts(judged)
        rows.append((min(wrong, MAX_WRONG), unsupported))
    x, right = np.array(rows, float), np.array([r["right"] for r in records])
    cubes = np.array([int(r["reference"][:5]) for r in records])
    found = np.empty(len(x))
    for cube in np.unique(cubes):
        held = cubes == cube
        found[held] = predict(fit(x[~held], right[~held].astype(float)), x[held])
    flagged = x[:, 0] > 0
    print(f"{len(x)} texts, {(~right).sum()} wrong: {(flagged & ~right).sum()} of them flagged; "
          f"{(flagged & right).sum()} of {right.sum()} right texts flagged")  # fmt: skip
    print("weights", fit(x, right.astype(float)).round(2))
    better = (found[right][:, None] > found[~right]) + 0.5 * (found[right][:, None] == found[~right])
    print(f"cross-validated: AUC {better.mean():.2f}, Brier {((found - right) ** 2).mean():.3f} "
          f"(always the mean: {right.var():.3f})")  # fmt: skip
    for bound in (0.3, 0.5, 0.7, 0.8, 0.85, 0.9):
        kept = found >= bound
        print(f"at least {bound}: {kept.sum()} kept, loses {(right & ~kept).sum()} of {right.sum()} right, "
              f"lets {(~right & kept).sum()} of {(~right).sum()} wrong through")  # fmt: skip


if __name__ == "__main__":
    main()
