"""The audit as one HTML page that needs no network, and as a table on the console."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompose.core.files import write_text
from autocompose.core.log import Tally
from autocompose.core.run_folder import PAGE_MARK, require_ours
from autocompose.describe.audit.corpus import Summary
from autocompose.describe.audit.judge import Verdict
from autocompose.describe.reading.claims import Claim

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = {
    "split": "split", "field": "field", "texts": "texts", "claims": "claims", "supported": "supported",
    "contradicted": "contradicted", "unsupported": "unsupported", "not_checkable": "not checkable",
    "precision": "precision %", "swaps": "swaps", "large_mentioned": "large changes mentioned %",
}  # fmt: skip
CONSOLE = {
    "texts": "texts", "claims": "claims", "precision": "precision\n%", "contradicted": "contra-\ndicted",
    "unsupported": "unsup-\nported", "swaps": "swaps", "large_mentioned": "large\nsaid %",
}  # fmt: skip


def console_table(summaries: Sequence[Summary]) -> Table:
    """One line per split and field."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("texts of", no_wrap=True)
    for head in CONSOLE.values():
        table.add_column(head, justify="right", no_wrap=True)
    for summary in summaries:
        record = summary.to_json()
        numbers = ["-" if record[c] is None else str(record[c]) for c in CONSOLE]
        table.add_row(f"{summary.split} {summary.key}", *numbers)
    return table


def write_report(path: Path, summaries: Sequence[Summary], tally: Tally, corpus: str) -> None:
    """Write the page atomically."""
    from jinja2 import Environment

    require_ours(path, PAGE_MARK, b"<title>Audit of ")
    source = (files(__package__) / "report.html").read_text("utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    write_text(
        path,
        page.render(
            corpus=corpus, tally=tally.line(),
            heads=list(COLUMNS.values()), columns=list(COLUMNS), verdicts=[str(v) for v in Verdict],
            fields=[_view(summary) for summary in summaries],
        ),
    )  # fmt: skip


def _view(summary: Summary) -> dict[str, Any]:
    actions = sorted(summary.actions.items(), key=lambda item: -item[1].total())
    return {
        "numbers": summary.to_json(),
        "name": f"{summary.split} / {summary.key}",
        "actions": [(action, [count[v] for v in Verdict], _bar(list(count.items()))) for action, count in actions],
        "worst": [_text(record) for record in summary.worst],
    }


def _bar(counts: list[tuple[Verdict, int]]) -> list[tuple[str, float]]:
    total = sum(n for _, n in counts)
    shares = dict(counts)
    return [(str(v).replace(" ", "-"), round(100 * shares.get(v, 0) / total, 2)) for v in Verdict]


def _text(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "claims": [_claim(item) for item in record["claims"]]}


def _claim(item: dict[str, Any]) -> dict[str, Any]:
    keys = ("part", "side", "action", "other", "other_side", "degree")
    claim = Claim(**{key: item[key] for key in keys if key in item})
    value = (
        "" if item["value"] is None else f"{item['value']:+.2f} m" if item["unit"] == "m" else f"{item['value']:+.0f}°"
    )
    return {"words": str(claim), "verdict": item["verdict"].replace(" ", "-"), "value": value, "swap": item["swap"]}
