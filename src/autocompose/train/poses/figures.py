"""Figures of models that differ in their seed: learned, symbolic and fused, means over the seeds, gains paired.

    python -m autocompose.train.poses.figures LIFTING OUT PART MODEL ... [--weight 32 | --fit] [--files 115]

PART: see ``train.poses.parts``. The symbolic scores, which have no seed, are kept in OUT. Writes OUT/PART.json and
prints it as lines of a table. ``--fit`` first chooses the weight of the fusion for the first model, and writes it into
the cards of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from autocompose.core.files import value_hash, write_json, write_npz
from autocompose.core.log import say
from autocompose.describe.audit.measure import Poses
from autocompose.evaluate.fusion import Weights, fuse
from autocompose.evaluate.metrics import QueryRows, bootstrap_means, rank_scores
from autocompose.evaluate.ranking import normalise
from autocompose.evaluate.symbolic import rank_all
from autocompose.model.checkpoint import load_model
from autocompose.model.embed import embed_texts
from autocompose.model.model import Model
from autocompose.train.fusion.fit import Scored, joint_fit, store
from autocompose.train.poses.parts import Part, PartName

METRICS = ("group_recall_at1", "recall_at10")
NOBODY = -99.0  # the score of a picture in which nobody was found


def main() -> None:
    """Measure, write, print."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lifting", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("part", choices=get_args(PartName))
    parser.add_argument("models", type=Path, nargs="+")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--weight", type=float, help="of the cosine; default: what each model's card states")
    chosen.add_argument("--fit", action="store_true", help="choose the weight on this part")
    parser.add_argument("--files", type=int, help="of the part, its first; default: all")
    options = parser.parse_args()
    part, cache = Part.read(options.lifting, options.part, options.files), options.out / options.part
    models = [load_model(path) for path in options.models]
    weights = [Weights(options.weight) if options.weight else Weights.of(model.card) for model in models]
    if options.fit:
        fitted = joint_fit([scored(models[0], part, key, cache) for key in part.questions])
        about = {"fitted_on": f"{options.part}, estimated poses", "keys": ",".join(part.questions)}
        for path in options.models:
            store(path, fitted.record() | about)
        weights = [fitted] * len(models)
    report = {key: bank_report(part, key, models, weights, cache) for key in part.questions}
    write_json(options.out / f"{options.part}.json", {"models": list(map(str, options.models)), "figures": report})
    for key, rows in report.items():
        for name, row in rows.items():
            say(f"{options.part}, {key}, {name}: " + "; ".join(map(_words, METRICS, row)))


def bank_report(
    part: Part, key: str, models: Sequence[Model], weights: Sequence[Weights], cache: Path
) -> dict[str, list[dict[str, Any]]]:
    """Engine or gain -> for each of ``METRICS``: mean over the seeds, its interval, the values of the seeds."""
    several = [scored(model, part, key, cache) for model in models]
    rows, symbolic, cosines = several[0].rows, several[0].symbolic, [one.cosines for one in several]
    learned = np.stack([hits(c, rows) for c in cosines])
    fused = np.stack([hits(fuse(c, symbolic, w), rows) for c, w in zip(cosines, weights, strict=True)])
    fixed = np.repeat(hits(symbolic, rows)[None], len(models), 0)
    body = part.body[rows.reference]
    engines = {"learned": learned, "symbolic": fixed, "fused": fused}
    gains = {"fused over learned": fused - learned, "fused over symbolic": fused - fixed}
    return {name: summary(values, body) for name, values in {**engines, **gains}.items()}


def scored(model: Model, part: Part, key: str, cache: Path) -> Scored:
    """Both scores of a bank's questions."""
    return Scored(cosines_of(model, part, key), symbolic_scores(part, key, cache), part.rows(key))


def summary(values: np.ndarray, clusters: np.ndarray) -> list[dict[str, Any]]:
    """Percentages of ``(seeds, Q, M)``; intervals resample clusters of questions, whose values are means over seeds.

    :return: M entries.
    """
    draws = bootstrap_means(values.mean(0), clusters)
    low, high = 100 * np.percentile(draws, [2.5, 97.5], axis=0)
    return [
        {"mean": 100 * float(values[..., m].mean()), "ci95": [float(low[m]), float(high[m])],
         "seeds": [100 * float(v) for v in values[..., m].mean(1)], "questions": values.shape[1]}
        for m in range(values.shape[-1])
    ]  # fmt: skip


def hits(scores: np.ndarray, rows: QueryRows) -> np.ndarray:
    """``(Q, 2)`` for ``METRICS``: 1 where the question counts as answered."""
    by_metric = rank_scores(scores, rows).hits()
    return np.stack([by_metric[name] for name in METRICS], 1).astype(np.float64)


@torch.inference_mode()
def cosines_of(model: Model, part: Part, key: str) -> np.ndarray:
    """``(Q, N)``."""
    rows, texts = part.rows(key), [text for text, _, _ in part.questions[key]]
    model.encoder.eval(), model.composer.eval()
    features = model.encoder.encode_head(part.trunks)
    predicted = model.composer(features[rows.reference], embed_texts(model.encoder, texts))
    return normalise(predicted.numpy(), "prediction") @ normalise(features.numpy(), "gallery").T


def symbolic_scores(part: Part, key: str, cache: Path) -> np.ndarray:
    """``(Q, N)``, kept in the folder ``cache`` as long as questions and poses are the same."""
    made_of = value_hash([part.questions[key], part.joints.sum(0).round(2).tolist()])[:16]
    path = Path(cache) / f"symbolic-{key}-{made_of}.npz"
    if not path.exists():
        rows, texts = part.rows(key), [text for text, _, _ in part.questions[key]]
        joints = np.where(part.detected[:, None, None], part.joints, part.joints[part.detected][0])
        scores = rank_all(texts, rows.reference.tolist(), Poses(joints), uncertainty=part.uncertainty)
        scores[:, ~part.detected] = NOBODY
        scores[~part.detected[rows.reference]] = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        write_npz(path, {"scores": scores})
    with np.load(path) as file:
        return np.asarray(file["scores"])


def _words(metric: str, row: dict[str, Any]) -> str:
    low, high = row["ci95"]
    seeds = ", ".join(f"{value:.1f}" for value in row["seeds"])
    return f"{metric} {row['mean']:.1f} ({low:.1f} to {high:.1f}) seeds {seeds}"


if __name__ == "__main__":
    main()
