"""The results table: what the paper's commands measured, with the published values beside it."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

from autocompose.core.config import Config
from autocompose.core.store import write_text
from autocompose.evaluate.results import write_csv

RECALLS = ("recall_at1", "recall_at5", "recall_at10", "recall_at50")
GROUP = ("group_recall_at1", "group_recall_at3", "group_recall_at5")
STAGES = {"clip_finetuned": "sum", "combiner_trained": "Combiner"}
HEADER = ("dataset", "backbone", "setup", "stage", *RECALLS, *GROUP, *(f"published_{r}" for r in RECALLS))
STYLE = "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.3em .6em;text-align:right}"
STYLE += "td:nth-child(-n+4),th:nth-child(-n+4){text-align:left}tr:nth-child(even){background:#f3f3f3}"


class Published(Config):
    """Percentages that a paper reports for the Combiner.

    :param recall_at: recall at 1, 5, 10 and 50.
    """

    dataset: str
    backbone: str
    setup: str
    recall_at: tuple[float, ...] = Field(min_length=4, max_length=4)


def collect(folder: Path, published: Iterable[Published] = ()) -> list[dict[str, str]]:
    """One row per tested run below ``folder``, and one for each published result without a run of ours."""
    known = {(p.dataset, p.backbone.replace("/", "-"), p.setup): p.recall_at for p in published}
    rows = []
    for path in sorted(folder.glob("*/*_on_*/validation_metrics_test.csv")):
        match = re.fullmatch(r"(clip_finetuned|combiner_trained)_on_(fixmypose|aist|posefix)_?(.*)", path.parent.name)
        if not match:
            continue
        key = (match[2], path.parent.parent.name, match[3])
        with open(path, encoding="utf-8", newline="") as file:
            measured = next(csv.DictReader(file))
        theirs = known.pop(key, None) if STAGES[match[1]] == "Combiner" else None
        rows.append(_row((*key, STAGES[match[1]]), measured, theirs))
    rows += [_row((*key, "Combiner"), {}, recalls) for key, recalls in known.items()]
    return sorted(rows, key=lambda row: [row[name] for name in HEADER[:4]])


def _row(key: Sequence[str], measured: dict[str, str], published: Sequence[float] | None) -> dict[str, str]:
    row = dict(zip(HEADER, key, strict=False))
    row |= {name: f"{float(measured[name]):.2f}" if name in measured else "" for name in (*RECALLS, *GROUP)}
    theirs = [f"{value:.2f}" for value in published] if published else [""] * 4
    return row | dict(zip(HEADER[-4:], theirs, strict=True))


def write_results(folder: Path, published: Iterable[Published] = ()) -> None:
    """Write ``results.csv``, ``results.md`` and ``results.html`` into ``folder``."""
    rows = [[row[name] for name in HEADER] for row in collect(folder, published)]
    titles = [name.replace("_", " ").replace("recall at", "R@") for name in HEADER]
    write_csv(folder / "results.csv", HEADER, rows)
    lines = [titles, ["---"] * len(titles), *rows]
    write_text(folder / "results.md", "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    cells = ["".join(f"<th>{html.escape(t)}</th>" for t in titles)]
    cells += ["".join(f"<td>{html.escape(value)}</td>" for value in row) for row in rows]
    table = "\n".join(f"<tr>{line}</tr>" for line in cells)
    page = (
        f"<!doctype html><meta charset=utf-8><title>Results</title><style>{STYLE}</style><table>\n{table}\n</table>\n"
    )
    write_text(folder / "results.html", page)
