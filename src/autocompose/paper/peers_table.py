"""The table of ``runs/peers.sh``: a line for each model and bank of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autocompose.core.files import write_text
from autocompose.evaluate.results import write_csv

# title of the column -> where the value stands in metrics.json
RECALLS = {
    "R@1": ("recall_at1",), "R@5": ("recall_at5",), "R@10": ("recall_at10",), "R@50": ("recall_at50",),
    "group R@1": ("group_recall_at1",), "group R@3": ("group_recall_at3",),
}  # fmt: skip
ROBUST = {
    "mAP@10": ("judged", "average_precision_at10"),
    "satisfaction@10": ("judged", "satisfaction_at10"),
    "look-alikes@10": ("judged", "look_alikes_at10"),
    "opposites@10": ("judged", "opposites_at10"),
    "group R@1, worst wording": ("wordings", "group_recall_at1_worst"),
    "group R@1, deviation": ("wordings", "group_recall_at1_deviation"),
}
SPEED = {
    "pictures/s": "pictures_per_second", "queries/s": "queries_per_second", "bytes/item": "bytes_per_item",
    "$/1,000 queries": "dollars_per_1000_queries",
}  # fmt: skip
WITH_INTERVAL = ("group R@1", "R@10", "mAP@10")


@dataclass(frozen=True)
class Line:
    """One line of the table.

    :param metrics: as ``metrics.json`` has them. :param speed: see ``measure_speed``.
    :param note: why values are missing.
    """

    title: str
    texts: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    speed: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def value(self, column: str) -> float | None:
        """One cell of the table; None where it was not measured."""
        if column in SPEED:
            value: Any = self.speed.get(SPEED[column])
        else:
            value = self.metrics
            for key in {**RECALLS, **ROBUST}[column]:
                value = value.get(key, {}) if isinstance(value, Mapping) else {}
        return float(value) if isinstance(value, (int, float)) else None

    def interval(self, column: str) -> Sequence[float]:
        """The 95 % interval of a metric; () where there is none."""
        *above, name = {**RECALLS, **ROBUST}[column]
        inside: Any = self.metrics
        for key in (*above, "ci95"):
            inside = inside.get(key, {}) if isinstance(inside, Mapping) else {}
        return inside.get(name, ())

    @property
    def composition(self) -> str:
        """How picture and text become a query."""
        model = self.metrics.get("model", {})
        if "text_weight" in model:
            fitted = " (fitted on val)" if model.get("fitted_on_val") else ""
            return f"sum, {model['text_weight']:g} of the text{fitted}"
        return str(model.get("composition", "trained" if self.metrics else ""))


def write_table(out: Path, lines: Sequence[Line]) -> None:
    """Write ``peers.csv`` (all figures) and ``peers.md`` (to read); columns that no line has are left out."""
    columns = [name for name in (*RECALLS, *ROBUST, *SPEED) if any(line.value(name) is not None for line in lines)]
    header = ["model", "texts", "composition", *columns, *(f"{name}, 95 %" for name in WITH_INTERVAL), "note"]
    rows = [
        [
            line.title, line.texts, line.composition, *(_exact(line.value(name)) for name in columns),
            *(" to ".join(f"{v:.2f}" for v in line.interval(name)) for name in WITH_INTERVAL), line.note,
        ]
        for line in lines
    ]  # fmt: skip
    write_csv(out / "peers.csv", header, rows)
    shown = [["model", "texts", "composition", *columns], ["---"] * (3 + len(columns))]
    shown += [[line.title, line.texts, line.composition, *(_cell(line, name) for name in columns)] for line in lines]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in shown)
    notes = "\n".join(dict.fromkeys(f"- {line.title}: {line.note}" for line in lines if line.note))
    about = "In percent, with 95 % intervals in brackets; speeds are of the machine that measured."
    write_text(out / "peers.md", f"{table}\n\n{about}\n" + (f"\n{notes}\n" if notes else ""))


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _cell(line: Line, column: str) -> str:
    value = line.value(column)
    if value is None:
        return ""
    if column in SPEED:
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    low_high = line.interval(column) if column in WITH_INTERVAL else ()
    return f"{value:.1f}" + (f" [{low_high[0]:.1f}, {low_high[1]:.1f}]" if low_high else "")
