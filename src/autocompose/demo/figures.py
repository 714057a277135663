"""The demo's figures: every method, on both kinds of test text, with intervals, and by kind of query."""

from __future__ import annotations

import dataclasses
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.bodies.pose_frame import own_frame
from autocompose.core.files import read_json
from autocompose.core.records import Question, Split
from autocompose.corpus.format import Corpus
from autocompose.demo.presets import DemoSettings
from autocompose.demo.robustness import robustness
from autocompose.describe.audit.measure import Poses
from autocompose.evaluate.fusion import Weights, fuse
from autocompose.evaluate.metrics import QueryRows, Ranks, compare, rank_scores
from autocompose.evaluate.questions import Evaluation, Questions, ask
from autocompose.evaluate.ranking import normalise
from autocompose.evaluate.results import write_evaluation
from autocompose.evaluate.symbolic import rank_all
from autocompose.model.features import image_features
from autocompose.model.model import Model
from autocompose.model.small2.pose_net import PoseNet, joints_of, uncertainty_of
from autocompose.prepare.bodycpr.bases import UNSEEN_FAMILIES
from autocompose.prepare.bodycpr.frozen import benchmark_hash
from autocompose.train.baselines import ceiling_ranks, chance, summary, symbolic_ranks

TEXTS = {"same_bank": "auto", "independent": "sents"}  # name in metrics.json -> corpus key
PACKAGES = ("autocompose", "torch", "open_clip_torch", "numpy", "anny")


def measure(
    corpus: Corpus, models: dict[str, Model], settings: DemoSettings, out: Path
) -> tuple[dict[str, Any], Evaluation]:
    """``metrics.json``: for each method the recalls on same-bank texts, and those on independent texts beside them.

    :param models: the trained methods, which share their encoder; ``combiner`` is among them.
    :return: also the Combiner's answers to the same-bank texts.
    """
    metrics: dict[str, Any] = {}
    by_key: dict[str, Questions] = {}
    for name, key in TEXTS.items():
        questions = by_key[key] = ask(models["combiner"].encoder, corpus, Split.TEST, key, cache=out / "cache")
        evaluations = {method: questions.answers(model) for method, model in models.items()}
        results = {method: _summary(corpus, evaluation) for method, evaluation in evaluations.items()}
        if "small" in evaluations:
            change = compare(evaluations["small"].ranks, evaluations["combiner"].ranks, questions.clusters)
            results["combiner"]["change_from_small"] = {key: dataclasses.asdict(value) for key, value in change.items()}
        results["symbolic"] = _symbolic(corpus, questions, settings.symbolic_every)
        results |= _on_estimated_poses(corpus, questions, models["combiner"], settings.symbolic_every, out / "cache")
        if name == "same_bank":
            rows = questions.rows
            results["ceiling"] = summary(ceiling_ranks(_joints(corpus, questions), rows), questions.clusters)
            metrics |= results
            answers = evaluations["combiner"]
            write_evaluation(out / "test", answers)
        else:
            for method, values in results.items():
                metrics[method][name] = values
        metrics.setdefault("slices", {})[name] = _slices(corpus, questions, evaluations)
    metrics["robustness"] = robustness(corpus, by_key, models["combiner"], settings.symbolic_every)
    queries = corpus.questions(Split.TEST, "auto")
    metrics["chance"] = chance(queries, len(corpus.galleries[Split.TEST]))
    metrics["texts"] = read_json(corpus.root / "text_statistics.json")
    metrics["n_queries"], metrics["n_gallery"] = len(queries), len(corpus.galleries[Split.TEST])
    metrics["benchmark_hash"] = benchmark_hash(corpus)
    metrics["versions"] = {"python": sys.version.split()[0], **{p: version(p) for p in PACKAGES}}
    return metrics, answers


def _joints(corpus: Corpus, questions: Questions) -> np.ndarray:
    assert corpus.poses is not None, "BodyCPR always has poses"
    return corpus.poses.joints[corpus.poses.rows(list(questions.names))]


def _summary(corpus: Corpus, evaluation: Evaluation) -> dict[str, Any]:
    """Metrics, and the mean joint distance in mm between the first answer and the target, in their own frames."""
    assert corpus.poses is not None, "BodyCPR always has poses"
    rows = corpus.poses.rows(list(evaluation.names))
    joints = own_frame(corpus.poses.joints[rows], corpus.poses.yaw[rows])
    top = evaluation.top(1)[0][:, 0]
    gap = np.linalg.norm(joints[top] - joints[evaluation.rows.target], axis=-1).mean(1)
    return {**evaluation.summary(), "top1_joint_distance_mm": float(1000 * gap.mean())}


def _symbolic(corpus: Corpus, questions: Questions, every: int) -> dict[str, Any]:
    queries: list[Question] = list(questions.queries)[::every]
    rows = QueryRows.of(queries, questions.names)
    return summary(symbolic_ranks(queries, _joints(corpus, questions), rows), questions.clusters[::every])


def _on_estimated_poses(
    corpus: Corpus, questions: Questions, model: Model, every: int, cache: Path
) -> dict[str, dict[str, Any]]:
    """The engines that need poses, on those that the model's image side sees; nothing where it sees none."""
    if not isinstance(model.encoder.visual, PoseNet):
        return {}
    paths = [corpus.image_path(name) for name in questions.names]
    trunk = image_features(model.encoder, paths, cache, trunk=True).plain
    seen, uncertainty = Poses(joints_of(trunk).numpy()), uncertainty_of(trunk).numpy()
    evaluation, chosen = questions.answers(model), slice(None, None, every)
    queries, clusters = list(questions.queries)[chosen], questions.clusters[chosen]
    rows = QueryRows.of(queries, questions.names)
    symbolic = rank_all([q.text for q in queries], rows.reference.tolist(), seen, uncertainty=uncertainty)
    cosines = normalise(evaluation.predictions[chosen], "prediction") @ normalise(evaluation.gallery, "gallery").T
    scores = {"symbolic_seen": symbolic, "auto": fuse(cosines, symbolic, Weights.of(model.card))}
    return {name: summary(rank_scores(score, rows), clusters) for name, score in scores.items()}


def _slices(corpus: Corpus, questions: Questions, evaluations: dict[str, Evaluation]) -> dict[str, Any]:
    """Both stages apart by number of edits, kind of pose and direction of the reference."""
    pairs = [corpus.split(Split.TEST)[q.pair] for q in questions.queries]
    assert corpus.poses is not None, "BodyCPR always has poses"
    yaw = np.abs(corpus.poses.yaw[corpus.poses.rows([q.reference for q in questions.queries])])
    kinds = np.array([_kind(p.extra) for p in pairs])
    edits = np.array([p.extra["edits"] for p in pairs])
    masks = {
        "edits": {"1": edits == 1, "2": edits == 2},
        "poses": {k: kinds == k for k in ("seen families", "unseen families", "motion capture")},
        "yaw": {"0-30": yaw <= 30, "30-60": (yaw > 30) & (yaw <= 60), "60-180": yaw > 60},
    }
    clusters = {
        "poses": np.where(
            kinds == "motion capture", [p.extra["sequence"] for p in pairs], questions.clusters.astype(str)
        )
    }
    return {
        group: {
            name: {
                method: summary(_masked(evaluations[method].ranks, mask), clusters.get(group, questions.clusters)[mask])
                for method in ("combiner", "sum", "stage1")
                if method in evaluations
            }
            for name, mask in parts.items()
            if mask.any()
        }
        for group, parts in masks.items()
    }


def _kind(extra: dict[str, Any]) -> str:
    if extra["origin"] == "mocap":
        return "motion capture"
    return "unseen families" if extra["family"] in UNSEEN_FAMILIES else "seen families"


def _masked(ranks: Ranks, mask: np.ndarray) -> Ranks:
    return dataclasses.replace(
        ranks, gallery=ranks.gallery[mask], group=None if ranks.group is None else ranks.group[mask]
    )
