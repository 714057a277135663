"""Files of an evaluation: metrics, per-query ranks, the paper's selection tables, TREC runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from math import isnan
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from autocompose.core.errors import InputError, missing_file
from autocompose.core.files import write_json, write_text
from autocompose.core.reading.table import read_table
from autocompose.core.run_folder import RunFolder
from autocompose.evaluate.metrics import Ranks
from autocompose.evaluate.questions import Evaluation
from autocompose.evaluate.robust.judged import NEAR
from autocompose.evaluate.robust.measures import Measures
from autocompose.evaluate.robust.wordings import wording_measures

RANKS = "ranks.csv"
COLUMNS = ("reference", "target", "text", "cluster", "rank", "group_rank")


def write_evaluation(
    folder: Path, evaluation: Evaluation, keep: int = 50, run_name: str = "autocompose", judged: Measures | None = None
) -> None:
    """Write ``metrics.json``, ``ranks.csv``, the selection tables, ``run.trec`` and ``qrels.trec``.

    :param keep: pictures kept for each query; 0 writes neither selections nor TREC files.
    :param judged: what poses say of the answers (``robust.judged``), one value for each query.
    :raises InputError: the folder holds something else than an evaluation, or files of these names that are not ours.
    """
    folder = Path(folder)
    own = RunFolder(folder, "evaluation", "an evaluation", beside=("train", "options"))
    tables = (f"top{keep}_all_selection.csv", f"top{keep}_correct_selection.csv", "run.trec", "qrels.trec")
    own.renew({"keep": keep, "run": run_name}, ["metrics.json", RANKS, *(tables if keep else ())])
    write_ranks(folder / RANKS, evaluation, judged)
    if keep:
        rows, scores = evaluation.top(keep)
        write_selections(folder, evaluation, rows, keep)
        write_trec(folder, evaluation, rows, scores, run_name)
    write_json(folder / "metrics.json", full_summary(evaluation, judged))
    own.finish()


def full_summary(evaluation: Evaluation, judged: Measures | None = None) -> dict[str, Any]:
    """The evaluation's summary, with ``wordings`` where pairs have several, and ``judged`` where poses tell."""
    summary = evaluation.summary()
    named = [(q.reference, q.target, q.text) for q in evaluation.queries]
    if (wordings := wording_measures(named, evaluation.ranks, evaluation.clusters)) is not None:
        summary["wordings"] = wordings.summary()
    if judged is not None:
        summary["judged"] = {**judged.summary(), "near_metres": NEAR}
    return summary


def write_ranks(path: Path, evaluation: Evaluation, judged: Measures | None = None) -> None:
    """One line per query; ranks count from 1; without groups, or where a measure is not defined, a cell is empty."""
    ranks = evaluation.ranks
    group = [""] * len(ranks.gallery) if ranks.group is None else (ranks.group + 1).tolist()
    values = zip(evaluation.queries, evaluation.clusters, (ranks.gallery + 1).tolist(), group, strict=True)
    lines = [[q.reference, q.target, q.text, cluster, rank, g] for q, cluster, rank, g in values]
    measures = {} if judged is None else judged.values
    for column in measures.values():
        for line, value in zip(lines, column.tolist(), strict=True):
            line.append("" if isnan(value) else f"{value:.6g}")
    write_csv(path, (*COLUMNS, *measures), lines)


def read_ranks(path: Path) -> tuple[list[tuple[str, str, str]], np.ndarray, Ranks]:
    """Questions (reference, target, text), clusters and ranks of a ``ranks.csv`` or of the folder that holds it.

    A folder of such folders (several seeds of one experiment) is read as all of them one after the other.

    :raises InputError: missing, or not such a file.
    """
    lines = [line for part in rank_files(Path(path)) for line in rank_lines(part)]
    questions = [(line["reference"], line["target"], line["text"]) for line in lines]
    ranks = np.array([int(line["rank"]) - 1 for line in lines])
    grouped = all(line["group_rank"] for line in lines)
    group = np.array([int(line["group_rank"]) - 1 for line in lines]) if grouped else None
    return questions, np.array([line["cluster"] for line in lines], dtype=object), Ranks(ranks, group)


def rank_files(path: Path) -> list[Path]:
    """The ``ranks.csv`` of a path: itself, the one in the folder, or those in its folders."""
    parts = [path] if path.is_file() else [path / RANKS] if (path / RANKS).exists() else sorted(path.glob(f"*/{RANKS}"))
    if not parts:
        raise missing_file(path / RANKS, "ranks", "run `autocompose evaluate` with this folder first")
    return parts


def rank_lines(path: Path) -> list[dict[str, str]]:
    """The cells of a ``ranks.csv``; at least one line."""
    table = read_table(path, "reference")
    if not table.rows or set(COLUMNS) - set(table.columns):
        raise InputError(f"{path}: expected the columns {', '.join(COLUMNS)}")
    lines = [dict.fromkeys(COLUMNS, "") | row.cells for row in table.rows]
    for row, line in zip(table.rows, lines, strict=True):
        if row.fault or not (line["rank"].isdecimal() and (line["group_rank"] or "0").isdecimal()):
            raise InputError(f"{path}, line {row.line}: {row.fault or 'a rank is not a number'}")
    return lines


def write_selections(folder: Path, evaluation: Evaluation, rows: np.ndarray, keep: int) -> None:
    """``top{keep}_all_selection.csv`` and, with only the queries whose target is among them, ``..._correct_...``."""
    header = ("reference", "target", *(f"selection {i}" for i in range(1, rows.shape[1] + 1)))
    lines = [
        [q.reference, q.target, *names] for q, names in zip(evaluation.queries, _names(evaluation, rows), strict=True)
    ]
    write_csv(folder / f"top{keep}_all_selection.csv", header, lines)
    write_csv(folder / f"top{keep}_correct_selection.csv", header, [line for line in lines if line[1] in line[2:]])


def write_trec(folder: Path, evaluation: Evaluation, rows: np.ndarray, scores: np.ndarray, run_name: str) -> None:
    """``run.trec`` and ``qrels.trec``, so that other evaluators can check the numbers; names are percent-encoded."""
    run = [
        f"q{i} Q0 {quote(name)} {place} {score:.8f} {run_name}"
        for i, (names, line) in enumerate(zip(_names(evaluation, rows), scores.tolist(), strict=True))
        for place, (name, score) in enumerate(zip(names, line, strict=True), 1)
    ]
    write_text(folder / "run.trec", "\n".join(run) + "\n")
    qrels = [f"q{i} 0 {quote(q.target)} 1" for i, q in enumerate(evaluation.queries)]
    write_text(folder / "qrels.trec", "\n".join(qrels) + "\n")


def _names(evaluation: Evaluation, rows: np.ndarray) -> list[list[str]]:
    return [[evaluation.names[j] for j in row] for row in rows.tolist()]


def write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Write a table atomically."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    write_text(path, buffer.getvalue())
