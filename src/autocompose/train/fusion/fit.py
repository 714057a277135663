"""Fit the fusion of a model's cosine and the symbolic score on a corpus's validation part, and store it with the model.

    python -m autocompose.train.fusion.fit MODEL CORPUS OUT [--keys auto,sents] [--questions 1200] [--split val]

Poses are estimated from the pictures, as in a folder of photographs; OUT keeps them and the report. MODEL's card gets
``fusion``: {"cosine": c, "symbolic": 1, ...}, read by ``evaluate.fusion.Weights.of``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import CorpusError
from autocompose.core.files import read_json, write_json
from autocompose.core.log import say
from autocompose.core.records import Question, Split
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.describe.audit.measure import Poses
from autocompose.evaluate.fusion import CARD_KEY, Weights, fuse
from autocompose.evaluate.metrics import QueryRows, rank_scores
from autocompose.evaluate.questions import ask
from autocompose.evaluate.ranking import normalise
from autocompose.evaluate.symbolic import rank_all
from autocompose.model.bundled import model_folder
from autocompose.model.checkpoint import load_model
from autocompose.model.model import Model
from autocompose.train.fusion.best_weight import fit
from autocompose.train.fusion.estimates import Estimates, estimates

REPORTED = ("group_recall_at1", "recall_at1", "recall_at10")


def main() -> None:
    """Fit, store, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--keys", default="auto,sents", help="texts of the corpus")
    parser.add_argument("--questions", type=int, default=1200, help="of each kind of text, drawn at random")
    parser.add_argument("--split", type=Split, default=Split.VAL)
    options = parser.parse_args()
    corpus, folder = load_corpus(options.corpus, options.split), model_folder(options.model)
    options.out.mkdir(parents=True, exist_ok=True)
    model, cache = load_model(folder), options.out / f"cache-{options.split}"
    poses = estimates(model.encoder, corpus, corpus.galleries[options.split], cache)
    scored = [
        Scored.of(model, corpus, options.split, key, options.questions, poses, cache) for key in options.keys.split(",")
    ]
    weights = joint_fit(scored)
    report = {key: s.report(weights) for key, s in zip(options.keys.split(","), scored, strict=True)}
    stored = weights.record() | {"fitted_on": f"{options.split} part, estimated poses", "keys": options.keys}
    write_json(
        options.out / "fusion.json", {"weights": stored, "metrics": report, "found": float(poses.detected.mean())}
    )
    store(folder, stored)
    for key, rows in report.items():
        for engine, metrics in rows.items():
            say(f"{key}, {engine}: " + ", ".join(f"{name} {metrics[name]:.1f}" for name in REPORTED))


def store(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the weights, and what they were fitted on, into a model's card."""
    info = read_json(folder / "model.json", dict)
    info.setdefault("card", {})[CARD_KEY] = dict(record)
    write_json(folder / "model.json", info)
    say(f"{folder / 'model.json'}: fusion {record['cosine']:.1f} x cosine + symbolic")


@dataclass(frozen=True)
class Scored:
    """Both scores of the questions of one kind of text, ``(Q, N)``."""

    cosines: np.ndarray
    symbolic: np.ndarray
    rows: QueryRows

    @classmethod
    def of(
        cls, model: Model, corpus: Corpus, split: Split, key: str, count: int, poses: Estimates, cache: Path
    ) -> Scored:
        """Run both engines on a sample of the queries whose reference and target show a person."""
        questions = ask(model.encoder, corpus, split, key, cache=cache)
        answers = questions.answers(model)
        usable = np.flatnonzero(poses.detected[questions.rows.reference] & poses.detected[questions.rows.target])
        if not len(usable):
            raise CorpusError(f"{corpus.root}, {split}: no person was detected in the pictures of any query")
        chosen = np.sort(np.random.default_rng(0).permutation(usable)[:count])
        queries: list[Question] = [questions.queries[i] for i in chosen]
        rows = QueryRows.of(queries, questions.names)
        cosines = normalise(answers.predictions[chosen], "prediction") @ normalise(answers.gallery, "gallery").T
        texts = [query.text for query in queries]
        symbolic = rank_all(texts, rows.reference.tolist(), Poses(_standing_in(poses)), uncertainty=_doubts(poses))
        symbolic[:, ~poses.detected] = -np.inf
        return cls(cosines, symbolic, rows)

    def report(self, weights: Weights) -> dict[str, Any]:
        """Recalls of each engine and of both."""
        ranked = {
            "learned": self.cosines,
            "symbolic": self.symbolic,
            "auto": fuse(self.cosines, self.symbolic, weights),
        }
        return {name: rank_scores(scores, self.rows).metrics() for name, scores in ranked.items()}


def joint_fit(scored: Sequence[Scored]) -> Weights:
    """The weights for several kinds of text, weighted equally."""
    kinds = np.repeat(np.arange(len(scored)), [len(s.cosines) for s in scored])
    groups = [s.rows.groups for s in scored]
    rows = QueryRows(
        np.concatenate([s.rows.reference for s in scored]),
        np.concatenate([s.rows.target for s in scored]),
        None if None in groups else tuple(group for some in groups if some is not None for group in some),
    )
    cosines, symbolic = (
        np.concatenate(parts) for parts in zip(*((s.cosines, s.symbolic) for s in scored), strict=True)
    )
    return fit(cosines, symbolic, rows, kinds)


def _standing_in(poses: Estimates) -> np.ndarray:
    """Measurable joints everywhere: the first person stands in where none was found; that score is unused."""
    first = poses.joints[poses.detected][0]
    return np.where(poses.detected[:, None, None], poses.joints, first)


def _doubts(poses: Estimates) -> np.ndarray:
    return np.maximum(poses.uncertainty, 0)


if __name__ == "__main__":
    main()
