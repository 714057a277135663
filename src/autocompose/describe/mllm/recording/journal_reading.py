"""Reading a journal for report, export and review; and the verdicts of reviewers."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from autocompose.core.records import Split
from autocompose.core.text_fields import Edit
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.recording.described import Described, Review, Wording
from autocompose.describe.mllm.recording.journal_file import JournalFile


@dataclass(frozen=True)
class Requests:
    """The requests of a journal that ended in the same way."""

    kind: str
    count: int
    cost: float
    tokens: int
    seconds: float | None


@dataclass(frozen=True)
class Progress:
    """Counts of a journal.

    :param done: kind ('' for perfect ones) -> described variants of the latest version.
    :param failed: kind -> failed ones.
    :param stale: variants of other versions.
    """

    done: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    stale: int = 0
    requests: tuple[Requests, ...] = ()


def recipe_of(journal: JournalFile, version: str) -> dict[str, Any] | None:
    """The recipe of a version, as its runs stored it; None when none has run."""
    row = journal.db.execute("SELECT recipe FROM runs WHERE version = ? LIMIT 1", (version,)).fetchone()
    return json.loads(row["recipe"]) if row else None


def last_run(journal: JournalFile) -> sqlite3.Row | None:
    """The latest run: id, recipe, and why it stopped (None while it runs)."""
    return journal.db.execute(
        "SELECT id, recipe, stopped FROM runs ORDER BY started DESC, rowid DESC LIMIT 1"
    ).fetchone()


def described(journal: JournalFile, version: str) -> list[Described]:
    """Every finished variant of a version, in the order of asking."""
    rows = journal.db.execute("SELECT * FROM items WHERE version = ? AND state != 'claimed'", (version,))
    return [_described(row) for row in rows]


def _described(row: sqlite3.Row) -> Described:
    parts = tuple((part, phrase) for part, phrase in json.loads(row["parts"] or "[]"))
    wordings = tuple(Wording.of(text) for text in json.loads(row["texts"] or "[]"))
    item = Item(row["reference"], row["target"], Edit(row["edit"]), Split(row["split"]))
    kind, repaired = row["kind"] or "", int(row["repaired"] or 0)
    return Described(item, row["state"], row["inputs"] or "", kind, parts, wordings, repaired)


def progress(journal: JournalFile, version: str) -> Progress:
    """Progress of a version."""
    items = journal.db.execute(
        "SELECT version = ? AS current, state, COALESCE(kind, '') AS kind, COUNT(*) AS n FROM items GROUP BY 1, 2, 3",
        (version,),
    ).fetchall()
    attempts = journal.db.execute(
        "SELECT kind, COUNT(*) AS n, TOTAL(cost) AS cost, TOTAL(prompt_tokens + completion_tokens) AS tokens,"
        " AVG(seconds) AS seconds FROM attempts GROUP BY kind"
    )
    counts = {
        state: {row["kind"]: row["n"] for row in items if row["current"] and row["state"] == state}
        for state in ("done", "failed")
    }
    requests = tuple(Requests(a["kind"], a["n"], a["cost"], int(a["tokens"]), a["seconds"]) for a in attempts)
    return Progress(**counts, stale=sum(row["n"] for row in items if not row["current"]), requests=requests)


def done_otherwise(journal: JournalFile, version: str) -> int:
    """How many variants were described by other versions."""
    row = journal.db.execute("SELECT COUNT(*) FROM items WHERE state = 'done' AND version != ?", (version,)).fetchone()
    return int(row[0])


def spent_on(journal: JournalFile, version: str) -> dict[str, float]:
    """Cost in dollars, tokens and seconds of a version's variants."""
    row = journal.db.execute(
        "SELECT TOTAL(a.cost) AS cost, TOTAL(a.prompt_tokens + a.completion_tokens) AS tokens,"
        " TOTAL(a.seconds) AS seconds FROM attempts a JOIN asks q ON q.key = a.key JOIN items i ON i.id = q.item"
        " WHERE i.version = ?",
        (version,),
    ).fetchone()
    return dict(row)


def reviews(journal: JournalFile, version: str, reviewer: str | None = None) -> list[Review]:
    """Verdicts on a version's texts, of one reviewer or of all, oldest first."""
    rows = journal.db.execute(
        "SELECT * FROM reviews WHERE version = ? AND reviewer = COALESCE(?, reviewer) ORDER BY at", (version, reviewer)
    )
    return [
        Review(
            (row["reference"], row["target"], Edit(row["edit"])),
            *(row[name] for name in ("number", "reviewer", "verdict", "text", "at")),
        )
        for row in rows
    ]


def put_review(journal: JournalFile, version: str, review: Review) -> None:
    """Store a verdict; a later one replaces the reviewer's earlier one.

    :raises StorageError: writing failed.
    """
    reference, target, edit = review.variant
    where = (reference, target, edit.value, version, review.number, review.reviewer)
    with journal.transaction():
        journal.db.execute(
            "INSERT OR REPLACE INTO reviews VALUES (?,?,?,?,?,?,?,?,?)",
            (*where, review.verdict, review.text, review.at),
        )
