"""The journal: one sqlite file beside the corpus with every question, every answer, and the outcome of every pair.

An answer is committed before it is checked. A question has at most one answer (the first committed one); later
ones stay as attempts, so that their cost is counted. Work is claimed in the name of a run; a run is alive while its
process exists and its heartbeat is recent, so the claims of a killed run are free at once and nothing needs repair.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
import uuid
from dataclasses import dataclass
from typing import Any

from autocompose.core.errors import AnnotationError
from autocompose.core.files import value_hash
from autocompose.describe.mllm.asks import Answer, Ask, Item
from autocompose.describe.mllm.recording.journal_file import JournalFile

BEAT = 5.0
DEAD_AFTER = 60.0
Budget = tuple[float | None, int | None]


@dataclass(frozen=True)
class Taken:
    """The result of claiming a question: ``state`` is ask, answered, failed, busy or budget."""

    state: str
    answer: Answer | None = None
    reason: str = ""


@dataclass(frozen=True)
class Attempt:
    """The record of one request.

    :param kind: ``ok`` or the reason of the fault.
    :param started: wall time, seconds since 1970.
    :param words: the message of the fault.
    """

    kind: str
    host: str
    started: float
    seconds: float
    cost: float = 0.0
    words: str = ""


class Journal(JournalFile):
    """The journal of one corpus, as a run works with it. One object belongs to one thread.

    :param path: the sqlite file; made when missing unless ``must_exist``.
    :raises StorageError: the disk is full or the folder lies on a network file system, where sqlite locks fail.
    """

    run = ""

    # --- runs ----------------------------------------------------------------------------------------------------

    def start(self, version: str, recipe: dict[str, Any]) -> int:
        """Enter this process as a run.

        :return: how many requests of dead runs were in flight; they may have to be sent again.
        :raises AnnotationError: a living run works here with another recipe; names it and the difference.
        """
        others = self.living()
        for other in others:
            if other["version"] != version:
                theirs = json.loads(other["recipe"])
                keys = recipe.keys() | theirs.keys()
                different = sorted(k for k in keys if recipe.get(k) != theirs.get(k)) or ["the prompt files"]
                raise AnnotationError(
                    f"{self.path}: process {other['pid']} on {other['host']} is annotating here with other settings "
                    f"({', '.join(different)}); wait for it or use the same settings"
                )
        alive = [r["id"] for r in others]
        dead = f"run NOT IN ({','.join('?' * len(alive))})"
        lost = self.db.execute(
            f"UPDATE asks SET state = 'open', run = NULL WHERE state = 'leased' AND {dead}", alive
        ).rowcount
        self.db.execute(f"DELETE FROM items WHERE state = 'claimed' AND {dead}", alive)
        self.run = uuid.uuid4().hex[:12]
        now = time.time()
        self.db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, NULL, ?, ?, NULL)",
            (self.run, os.getpid(), socket.gethostname(), now, now, version, json.dumps(recipe)),
        )
        return lost

    def living(self) -> list[sqlite3.Row]:
        """Runs of other processes (or earlier ones of this) that have not ended and are alive."""
        rows = self.db.execute("SELECT * FROM runs WHERE ended IS NULL").fetchall()
        return [r for r in rows if r["id"] != self.run and is_alive(r["pid"], r["host"], r["beat"])]

    def _held(self, run: str) -> bool:
        return run == self.run or run in {r["id"] for r in self.living()}

    def beat(self) -> None:
        """Record that this run is alive."""
        self.db.execute("UPDATE runs SET beat = ? WHERE id = ?", (time.time(), self.run))

    def end(self, stopped: str) -> None:
        """End this run; its open claims become free."""
        self.db.execute("UPDATE asks SET state = 'open', run = NULL WHERE state = 'leased' AND run = ?", (self.run,))
        self.db.execute("DELETE FROM items WHERE state = 'claimed' AND run = ?", (self.run,))
        self.db.execute("UPDATE runs SET ended = ?, stopped = ? WHERE id = ?", (time.time(), stopped, self.run))

    # --- pairs ---------------------------------------------------------------------------------------------------

    def claim(self, item: Item, version: str, inputs: str) -> int | None:
        """Claim a pair for this run.

        :param inputs: hash of the pictures (and poses) behind the texts; an outcome from other inputs is replaced.
        :return: the row, or None when it is finished, or claimed by another living run.
        """
        where = (item.reference, item.target, item.edit.value, version)
        row = self.db.execute(
            "SELECT id, state, inputs, run FROM items WHERE reference = ? AND target = ? AND edit = ? AND version = ?",
            where,
        ).fetchone()
        if row and row["inputs"] == inputs and row["state"] in ("done", "failed"):
            return None
        if row and row["state"] == "claimed" and self._held(row["run"]):
            return None
        cursor = self.db.execute(
            "INSERT OR REPLACE INTO items (id, reference, target, edit, version, split, inputs, state, run, updated)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'claimed', ?, ?)",
            (row["id"] if row else None, *where, item.split.value, inputs, self.run, time.time()),
        )
        return cursor.lastrowid

    def finish(self, row: int, state: str, **values: Any) -> None:
        """Store the outcome of a pair: ``state`` is done or failed; kind, detail, parts, texts, repaired."""
        columns = {"state": state, "updated": time.time(), "run": self.run}
        columns |= {k: json.dumps(v) if isinstance(v, list | tuple) else v for k, v in values.items()}
        sets = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(f"UPDATE items SET {sets} WHERE id = ?", (*columns.values(), row))

    def unclaim(self, row: int) -> None:
        """Give a claimed pair back."""
        self.db.execute("DELETE FROM items WHERE id = ? AND state = 'claimed'", (row,))

    def retry_failed(self) -> int:
        """Reopen every failed pair of the latest version. Attempts stay; only failed questions are sent again.

        :return: how many pairs.
        """
        failed = (self.version(),)
        which = "(SELECT id FROM items WHERE state = 'failed' AND version = ?)"
        self.db.execute(
            f"UPDATE asks SET state = 'open', reason = NULL WHERE state = 'failed' AND item IN {which}", failed
        )
        # a wrong answer stays among the attempts, but no longer counts as the answer
        self.db.execute(
            "UPDATE asks SET state = 'open', answer = NULL FROM items WHERE asks.item = items.id"
            " AND items.state = 'failed' AND items.version = ? AND asks.stage = items.stage",
            failed,
        )
        return self.db.execute("DELETE FROM items WHERE state = 'failed' AND version = ?", failed).rowcount

    def version(self) -> str:
        """The version of the latest run; '' before the first run."""
        row = self.db.execute("SELECT version FROM runs ORDER BY started DESC, rowid DESC LIMIT 1").fetchone()
        return row["version"] if row else ""

    # --- questions -----------------------------------------------------------------------------------------------

    def take(self, ask: Ask, item: int, cost: float, tokens: int, limits: Budget = (None, None)) -> Taken:
        """Lease a question for sending, with its estimated cost reserved; or say why not.

        :param limits: maximum dollars and tokens of the whole journal; None for no limit.
        """
        row = self.db.execute("SELECT state, run, answer, reason FROM asks WHERE key = ?", (ask.key,)).fetchone()
        if row and row["state"] == "answered":
            return Taken("answered", self._answer(ask.key, row["answer"]))
        if row and row["state"] == "failed":
            return Taken("failed", reason=row["reason"])
        if row and row["state"] == "leased" and self._held(row["run"]):
            return Taken("busy")
        for spent, held, wanted, limit in zip(self._paid(), self._held_back(), (cost, tokens), limits, strict=True):
            if limit is not None and spent + wanted > limit:
                return Taken("budget")
            if limit is not None and spent + held + wanted > limit:
                return Taken("busy")  # requests in flight may turn out cheaper than they were estimated
        self.enter(ask, item, "leased", cost, tokens)
        return Taken("ask")

    def enter(self, ask: Ask, item: int, state: str, cost: float = 0, tokens: int = 0) -> None:
        """Store a question, or change the state of a stored one without an answer."""
        system = value_hash(ask.system)[:16]
        parameters = json.dumps(ask.parameters)
        self.db.execute("INSERT OR IGNORE INTO prompts VALUES (?, ?)", (system, ask.system))
        pictures = json.dumps([p.hash for p in ask.pictures])
        self.db.execute(
            "INSERT INTO asks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)"
            " ON CONFLICT (key) DO UPDATE SET state = excluded.state, run = excluded.run, cost = excluded.cost,"
            " tokens = excluded.tokens, item = excluded.item",
            (ask.key, item, ask.stage, ask.sample, system, ask.record(), pictures, ask.model, parameters, state,
             self.run, cost, tokens),
        )  # fmt: skip

    def record(self, key: str, attempt: Attempt, answer: Answer | None = None, state: str = "open") -> Answer | None:
        """Store one attempt; an answer also becomes the question's answer unless it has one.

        :param state: new state of a question that stays unanswered: leased (another try follows), open, failed.
        :return: the question's answer, which may be an earlier one.
        """
        n = self.db.execute("SELECT COALESCE(MAX(n), 0) + 1 FROM attempts WHERE key = ?", (key,)).fetchone()[0]
        a = answer or Answer(attempt.words, finish="")
        self.db.execute(
            "INSERT INTO attempts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (key, n, self.run, attempt.host, attempt.started, attempt.seconds, attempt.kind, a.raw, a.finish, a.refusal,
             a.prompt_tokens, a.completion_tokens, a.estimated, attempt.cost, a.model, a.fingerprint),
        )  # fmt: skip
        if answer is None:
            owner = self.run if state == "leased" else None
            self.db.execute(
                "UPDATE asks SET state = ?, run = ?, reason = ? WHERE key = ? AND answer IS NULL",
                (state, owner, attempt.words, key),
            )
            return None
        self.db.execute(
            "UPDATE asks SET state = 'answered', answer = ?, run = NULL WHERE key = ? AND answer IS NULL", (n, key)
        )
        row = self.db.execute("SELECT answer FROM asks WHERE key = ?", (key,)).fetchone()
        return self._answer(key, row["answer"]) if row else answer

    def lookup(self, ask: Ask) -> Answer | None:
        """The stored answer to a question."""
        row = self.db.execute("SELECT answer FROM asks WHERE key = ? AND state = 'answered'", (ask.key,)).fetchone()
        return self._answer(ask.key, row["answer"]) if row else None

    def failure(self, ask: Ask) -> str | None:
        """Why a question has failed for good, or None."""
        row = self.db.execute("SELECT reason FROM asks WHERE key = ? AND state = 'failed'", (ask.key,)).fetchone()
        return row["reason"] if row else None

    def open_question(self, key: str) -> tuple[str, int] | None:
        """Text and number of pictures of a stored question without an answer, else None."""
        row = self.db.execute(
            "SELECT p.text || a.content AS text, a.pictures FROM asks a JOIN prompts p ON p.hash = a.system"
            " WHERE a.key = ? AND a.state = 'open' AND a.answer IS NULL",
            (key,),
        ).fetchone()
        return (row["text"], len(json.loads(row["pictures"]))) if row else None

    def spent(self) -> tuple[float, int]:
        """Dollars and tokens: spent, plus reserved for requests in flight."""
        (cost, tokens), (held_cost, held_tokens) = self._paid(), self._held_back()
        return cost + held_cost, tokens + held_tokens

    def _paid(self) -> tuple[float, int]:
        return tuple(self.db.execute("SELECT cost, tokens FROM totals").fetchone())

    def _held_back(self) -> tuple[float, int]:
        row = self.db.execute("SELECT TOTAL(cost), TOTAL(tokens) FROM asks WHERE state = 'leased'").fetchone()
        return row[0], int(row[1])

    def _answer(self, key: str, n: int) -> Answer:
        row = self.db.execute("SELECT * FROM attempts WHERE key = ? AND n = ?", (key, n)).fetchone()
        return Answer(
            row["raw"], row["finish"], row["refusal"], row["prompt_tokens"], row["completion_tokens"],
            bool(row["estimated"]), row["model"], row["fingerprint"], n,
        )  # fmt: skip


def is_alive(pid: int, host: str, beat: float) -> bool:
    """Whether a run's process exists on this host or, on another host, had a heartbeat within the last minute."""
    if time.time() - beat > DEAD_AFTER:
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
