"""The results table: measurements of the paper's commands beside the published values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import Field

from autocompose.core.config import Config
from autocompose.core.errors import InputError
from autocompose.core.files import write_text
from autocompose.core.reading.table import read_table
from autocompose.core.run_folder import RunFolder, require_ours
from autocompose.evaluate.results import write_csv

RECALLS = ("recall_at1", "recall_at5", "recall_at10", "recall_at50")
GROUP = ("group_recall_at1", "group_recall_at3", "group_recall_at5")
STAGES = {"clip_finetuned": "sum", "combiner_trained": "Combiner"}
FILES = ("results.csv", "results.md", "results.html")
HEADER = ("dataset", "backbone", "setup", "stage", *RECALLS, *GROUP, *(f"published_{r}" for r in RECALLS))
TITLES = {name: name.replace("_", " ").replace("recall at", "R@") for name in (*RECALLS, *GROUP)}


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
        measured = _measured(path)
        theirs = known.pop(key, None) if STAGES[match[1]] == "Combiner" else None
        rows.append(_row((*key, STAGES[match[1]]), measured, theirs))
    rows += [_row((*key, "Combiner"), {}, recalls) for key, recalls in known.items()]
    return sorted(rows, key=lambda row: [row[name] for name in HEADER[:4]])


def _measured(path: Path) -> dict[str, str]:
    """The metrics of a test, by name; all are numbers."""
    rows = read_table(path, "recall_at1").rows
    try:
        cells = rows[0].cells
        return {name: cells[name] for name in (*RECALLS, *GROUP) if name in cells and float(cells[name]) is not None}
    except (IndexError, ValueError):
        raise InputError(f"{path}: no line of numbers in it; run the test command again") from None


def _row(key: Sequence[str], measured: dict[str, str], published: Sequence[float] | None) -> dict[str, str]:
    row = dict(zip(HEADER, key, strict=False))
    row |= {name: f"{float(measured[name]):.2f}" if name in measured else "" for name in (*RECALLS, *GROUP)}
    theirs = [f"{value:.2f}" for value in published] if published else [""] * 4
    return row | dict(zip(HEADER[-4:], theirs, strict=True))


def write_results(folder: Path, published: Iterable[Published] = ()) -> None:
    """Write ``results.csv``, ``results.md`` and ``results.html`` into ``folder``.

    :raises InputError: files of these names are there that are not ours.
    """
    own = RunFolder(folder, "results")
    if own.made_with() is None and (folder / FILES[0]).exists():  # version 0.1 left no record
        require_ours(folder / FILES[0], ",".join(HEADER).encode())
        own.start({}, FILES)
    own.add(FILES)
    rows = collect(folder, published)
    write_csv(folder / "results.csv", HEADER, ([row[name] for name in HEADER] for row in rows))
    header = [*HEADER[:4], *TITLES.values()]
    lines = [
        header,
        ["---"] * len(header),
        *([*(row[n] for n in HEADER[:4]), *map(_cell(row), TITLES)] for row in rows),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    write_text(folder / "results.md", f"{table}\n\nIn percent; published values in brackets.\n")
    write_text(folder / "results.html", _page(rows))


def _cell(row: dict[str, str]) -> Callable[[str], str]:
    """``ours (published)`` of a metric."""

    def cell(name: str) -> str:
        theirs = row.get(f"published_{name}")
        return f"{row[name] or '-'} ({theirs})" if theirs else row[name]

    return cell


def _page(rows: list[dict[str, str]]) -> str:
    """One table for each dataset."""
    tables = {name: list(group) for name, group in groupby(rows, lambda row: row["dataset"])}
    loader = PackageLoader("autocompose.paper")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return pages.get_template("results.html").render(tables=tables, titles=TITLES)
