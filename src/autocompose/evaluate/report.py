"""The demo's report: one HTML file that needs no network."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from autocompose.core.files import write_text
from autocompose.core.reading.jsontext import parse_json
from autocompose.core.reading.plain import read_file
from autocompose.corpus.format import Corpus
from autocompose.corpus.pictures.transforms import open_image
from autocompose.evaluate.questions import Evaluation
from autocompose.evaluate.robust.judged import NAMES

METHODS = {
    "combiner": "Combiner, cyclic training",
    "sum": "element-wise sum",
    "stage1": "stage 1: text encoder, head and Combiner",
    "small": "small-v2 as it ships",
    "auto": "engine auto: Combiner + symbolic, estimated poses",
    "symbolic_seen": "symbolic search, estimated poses",
    "symbolic": "symbolic search, true 3D poses",
    "image_only": "picture only",
    "text_only": "text only",
    "chance": "chance",
    "ceiling": "ceiling: pair codes of true poses",
}
COLUMNS = {
    "group_recall_at1": "group R@1", "group_recall_at3": "group R@3", "recall_at1": "R@1", "recall_at5": "R@5",
    "recall_at10": "R@10", "recall_at50": "R@50", "median_rank": "median rank",
}  # fmt: skip
BANKS = {"auto": "same bank", "sents": "in other words"}
WORDINGS = {
    "auto": "three of the same bank",
    "sents": "one in other words, three of the same bank",
    "mllm": "three by a multimodal LLM",
}
CURVES = {
    "pretrain/metrics.jsonl": ("image encoder:\njoint error on val", "joint_error_mm", "mm"),
    "text/metrics.jsonl": ("text encoder:\ngroup R@1 on val", "group_recall_at1", "%"),
    "sum/metrics.jsonl": ("text encoder and head:\ngroup R@1 on val", "group_recall_at1", "%"),
    "stage1/metrics.jsonl": ("stage 1:\ngroup R@1 on val", "group_recall_at1", "%"),
    "model/metrics.jsonl": ("Combiner:\ngroup R@1 on val", "group_recall_at1", "%"),
}
SHOWN, TOP = 8, 5  # queries of each kind; pictures of an answer
THUMB = 112  # pixels
CURVE_SPAN = 10  # minimum height of a learning curve, so that noise does not look like learning


@dataclass(frozen=True)
class Answer:
    """One query and the model's results, ready to show.

    :param rank: of the target in the whole gallery, from 1. :param results: (picture, is the target) pairs.
    """

    reference: str
    text: str
    target: str
    rank: int
    group_rank: int
    results: list[tuple[str, bool]]


def write_report(out: Path, corpus: Corpus, evaluation: Evaluation, metrics: dict[str, Any]) -> Path:
    """Write ``out/report.html`` from the demo's metrics, histories and a few of the model's answers."""
    rng = np.random.default_rng(metrics["seed"])
    first = evaluation.ranks.gallery == 0
    values = {
        "metrics": metrics,
        "methods": METHODS,
        "columns": COLUMNS,
        "banks": BANKS,
        "wordings": WORDINGS,
        "judged_measures": NAMES,
        "same_bank": {m: metrics[m] for m in METHODS if m in metrics},
        "independent": {m: metrics[m]["independent"] for m in METHODS if "independent" in metrics.get(m, {})},
        "bars": bars(metrics),
        "curves": curves(out),
        "random": answers(corpus, evaluation, rng.permutation(len(first))[:SHOWN]),
        "failures": answers(
            corpus, evaluation, rng.permutation(np.flatnonzero(evaluation.ranks.gallery >= TOP))[:SHOWN]
        ),
        "found": 100 * float(first.mean()),
        "missed": 100 * float((evaluation.ranks.gallery >= TOP).mean()),
        "top": TOP,
        "rule_words": metrics["texts"],
    }
    loader = PackageLoader("autocompose.evaluate")
    page = Environment(loader=loader, autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True)
    path = Path(out) / "report.html"
    write_text(path, page.get_template("report.html").render(**values))
    return path


def answers(corpus: Corpus, evaluation: Evaluation, rows: np.ndarray) -> list[Answer]:
    """The chosen queries with their first ``TOP`` results."""
    top = evaluation.top(TOP)[0]
    group = evaluation.ranks.group
    shown = []
    for row in rows.tolist():
        query = evaluation.queries[row]
        names = [evaluation.names[i] for i in top[row]]
        results = [(thumbnail(corpus.image_path(n)), n == query.target) for n in names]
        shown.append(
            Answer(
                thumbnail(corpus.image_path(query.reference)),
                query.text,
                thumbnail(corpus.image_path(query.target)),
                int(evaluation.ranks.gallery[row]) + 1,
                int(group[row]) + 1 if group is not None else 0,
                results,
            )
        )
    return shown


def thumbnail(path: Path) -> str:
    """A picture as a data URI."""
    image = open_image(path, 2 * THUMB)
    image.thumbnail((THUMB, THUMB))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def bars(metrics: dict[str, Any]) -> str:
    """Group R@1 and R@10 of every method with 95 % intervals, as inline SVG."""
    from matplotlib.figure import Figure

    names = [m for m in METHODS if m in metrics]
    figure = Figure(figsize=(8.6, 0.52 * len(names) + 0.9))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, key in zip(axes, ("group_recall_at1", "recall_at10"), strict=True):
        heights = [metrics[m][key] for m in names]
        spans = [metrics[m].get("ci95", {}).get(key, (metrics[m][key],) * 2) for m in names]
        errors = np.abs(np.array([[h - low, high - h] for h, (low, high) in zip(heights, spans, strict=True)]).T)
        shades = {"combiner": "#2f6f4f", **dict.fromkeys(("sum", "stage1", "small"), "#8aa79a")}
        colours = [shades.get(m, "#b9bfc6") for m in names]
        axis.barh(range(len(names)), heights, xerr=errors, color=colours, height=0.66, ecolor="#444", capsize=2.5)
        for place, (height, (_, high)) in enumerate(zip(heights, spans, strict=True)):
            axis.text(max(height, high) + 1.5, place, f"{height:.0f}", va="center", fontsize=9, color="#333")
        axis.set(title=COLUMNS[key] + ", %", xlim=(0, 112), yticks=range(len(names)))
        axis.set_yticklabels([METHODS[m] for m in names], fontsize=9)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(left=False)
        axis.title.set_fontsize(10)
    axes[0].invert_yaxis()
    return _svg(figure)


def curves(out: Path) -> str:
    """Validation metrics of each stage, epoch by epoch, as inline SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 2.4))
    there = {file: curve for file, curve in CURVES.items() if (Path(out) / file).exists()}
    axes = figure.subplots(1, len(there), squeeze=False)[0]
    for axis, (file, (title, key, unit)) in zip(axes, there.items(), strict=True):
        lines = [parse_json(line, file, dict) for line in read_file(Path(out) / file).splitlines()]
        epochs, values = zip(*[(line["epoch"], line[key]) for line in lines if key in line], strict=True)
        axis.plot(epochs, values, color="#2f6f4f", marker="o", markersize=3)
        margin = max(0, CURVE_SPAN - (max(values) - min(values))) / 2
        axis.set_ylim(min(values) - margin - 1, max(values) + margin + 1)
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_xlabel("epoch", fontsize=8)
        axis.set_ylabel(unit, fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    return _svg(figure)


def _svg(figure: Any) -> str:
    figure.tight_layout()
    figure.patch.set_alpha(0)
    for axis in figure.axes:
        axis.patch.set_alpha(0)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
