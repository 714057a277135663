"""Measure two models on the same queries, and say whether one is better.

python examples/evaluate_and_compare.py CORPUS small runs/combiner
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import autocompose
from autocompose import Evaluation
from autocompose.evaluate.metrics import compare

SHOWN = {"recall_at1": "R@1", "recall_at10": "R@10", "group_recall_at1": "group R@1", "group_recall_at3": "group R@3"}
COLOURS = ("#8aa79a", "#2f6f4f")


def draw(evaluations: dict[str, Evaluation], out: Path) -> None:
    """Bars with 95 % intervals."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for place, (name, evaluation) in enumerate(evaluations.items()):
        summary = evaluation.summary()
        values = np.array([summary[metric] for metric in SHOWN])
        intervals = np.array([summary["ci95"][metric] for metric in SHOWN]).T
        x = np.arange(len(SHOWN)) + 0.4 * place - 0.2
        bars = axes.bar(x, values, 0.36, label=name, yerr=np.abs(intervals - values), capsize=3, color=COLOURS[place])
        axes.bar_label(bars, [f"{value:.1f}" for value in values], padding=3)
    axes.set_xticks(range(len(SHOWN)), list(SHOWN.values()))
    axes.set(ylim=(0, 112), yticks=range(0, 101, 20), ylabel="% of queries")
    axes.set_title(f"{len(evaluation.queries):,} queries, 95 % intervals", loc="left", fontsize=11)
    axes.legend(frameon=False, loc="upper center", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("models", nargs=2, help="run folders; small is the model of the package")
    parser.add_argument("--texts", default="rules", help="texts of the queries: human, rules, mllm")
    parser.add_argument("--out", type=Path, default=Path("."))
    args = parser.parse_args()

    evaluations = {name: autocompose.evaluate_model(name, args.corpus, "test", args.texts) for name in args.models}
    first, second = evaluations.values()
    for metric, difference in compare(first.ranks, second.ranks, first.clusters).items():
        low, high = difference.ci95
        print(f"{metric:18}{difference.value:+7.2f} points  [{low:+.2f}, {high:+.2f}]  p = {difference.p_value:.3f}")
    draw(
        {Path(name).name: evaluation for name, evaluation in evaluations.items()}, args.out / "evaluate_and_compare.png"
    )


if __name__ == "__main__":
    main()
