from __future__ import annotations

import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import autocompose
from autocompose.core.errors import InputError, StorageError
from autocompose.core.text_fields import Edit
from autocompose.describe.mllm.asks import Answer, Ask, Item, Picture
from autocompose.describe.mllm.recording import journal as journals
from autocompose.describe.mllm.recording import journal_file
from autocompose.describe.mllm.recording.journal import Attempt, Journal

ASK = Ask("parts", "system", ("look", Picture(b"one", "image/jpeg")), {"a": 1}, "m", 50, 0.5)
ITEM = Item("a.png", "b.png", Edit.PLAIN)
DONE = Attempt("ok", "host", 1.0, 0.5, 0.25)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "j.sqlite")
    made.start("v1", {"model": "m"})
    yield made
    made.close()


def dead_run(journal: Journal) -> str:
    """A run of a process that no longer lives."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    journal.db.execute("UPDATE runs SET pid = ? WHERE id = ?", (process.pid, journal.run))
    return journal.run


@pytest.mark.parametrize(
    "change",
    [
        {"content": ("look", Picture(b"two", "image/jpeg"))},
        {"system": "other"},
        {"schema": {"a": 2}},
        {"model": "n"},
        {"max_tokens": 51},
        {"temperature": 0.6},
        {"detail": "low"},
        {"edit": "mirror"},
        {"sample": 1},
        {"stage": "texts"},
    ],
)
def test_everything_that_may_change_the_answer_is_in_the_key(change: dict) -> None:
    assert replace(ASK, **change).key != ASK.key
    assert replace(ASK).key == ASK.key


def test_an_answer_is_kept_with_its_cost(journal: Journal) -> None:
    assert journal.take(ASK, 1, 0.4, 100).state == "ask"
    assert journal.spent() == (0.4, 100)
    journal.record(ASK.key, DONE, Answer("text", "stop", "", 10, 5, True, "m", "fp"))
    assert journal.spent() == (0.25, 15)
    taken = journal.take(ASK, 1, 0.4, 100)
    assert taken.state == "answered" and taken.answer == Answer("text", "stop", "", 10, 5, True, "m", "fp", 1)


def test_the_first_committed_answer_wins_and_the_second_is_paid_for(journal: Journal) -> None:
    journal.take(ASK, 1, 0, 0)
    assert journal.record(ASK.key, DONE, Answer("first")).raw == "first"  # type: ignore[union-attr]
    assert journal.record(ASK.key, DONE, Answer("second")).raw == "first"  # type: ignore[union-attr]
    assert journal.lookup(ASK).raw == "first"  # type: ignore[union-attr]
    assert journal.spent()[0] == 0.5


def test_the_question_is_kept_readably_without_its_pictures(journal: Journal) -> None:
    journal.take(ASK, 1, 0, 0)
    row = journal.db.execute("SELECT a.content, p.text FROM asks a JOIN prompts p ON p.hash = a.system").fetchone()
    assert row["text"] == "system" and "look" in row["content"] and ASK.pictures[0].hash in row["content"]


def test_a_lease_of_a_living_run_is_respected(journal: Journal, tmp_path: Path) -> None:
    journal.take(ASK, 1, 0, 0)
    other = Journal(tmp_path / "j.sqlite")
    assert other.start("v1", {"model": "m"}) == 0
    assert other.take(ASK, 1, 0, 0).state == "busy"
    assert len(other.living()) == 1
    other.close()


def test_leases_and_claims_of_a_dead_run_are_free_at_once(journal: Journal, tmp_path: Path) -> None:
    journal.take(ASK, 1, 0, 0)
    journal.claim(ITEM, "v1", "inputs")
    dead_run(journal)
    other = Journal(tmp_path / "j.sqlite")
    assert other.start("v1", {"model": "m"}) == 1
    assert other.claim(ITEM, "v1", "inputs") is not None
    assert other.take(ASK, 1, 0, 0).state == "ask"
    other.close()


def test_a_run_elsewhere_is_alive_while_its_heart_beats() -> None:
    now = journals.time.time()
    assert journals.is_alive(1, "another-host", now - 10)
    assert not journals.is_alive(1, "another-host", now - 100)
    assert journals.is_alive(os.getpid(), socket.gethostname(), now)


def test_a_finished_pair_is_not_claimed_again_unless_its_inputs_changed(journal: Journal) -> None:
    row = journal.claim(ITEM, "v1", "one")
    assert row is not None and journal.claim(ITEM, "v1", "one") is None
    journal.finish(row, "done", stage="texts", texts=[], parts=[])
    assert journal.claim(ITEM, "v1", "one") is None
    assert journal.claim(ITEM, "v1", "two") == row
    assert journal.claim(ITEM, "v2", "one") not in (None, row)


def test_retry_keeps_what_was_right(journal: Journal) -> None:
    row = journal.claim(ITEM, "v1", "one")
    assert row is not None
    second = replace(ASK, stage="texts")
    for ask in (ASK, second):
        journal.take(ask, row, 0, 0)
        journal.record(ask.key, DONE, Answer("text"))
    journal.finish(row, "failed", stage="texts", kind="duplicate")
    assert journal.retry_failed() == 1
    assert journal.take(ASK, row, 0, 0).state == "answered"
    assert journal.take(second, row, 0, 0).state == "ask"
    assert journal.spent()[0] == 0.5  # what was paid stays paid


def test_a_failed_transaction_leaves_nothing(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError), journal.transaction():
        journal.put("a", 1)
        _ = 1 / 0
    assert journal.get("a") is None


def test_a_full_disk_is_said_plainly(journal: Journal) -> None:
    pages = journal.db.execute("PRAGMA page_count").fetchone()[0]
    journal.db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match=r"j\.sqlite: the disk is full"), journal.transaction():
        journal.put("big", "x" * 1_000_000)


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError, match="not a usable journal"):
        Journal(tmp_path / "j.sqlite")


def test_a_missing_journal_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="describe mllm"):
        Journal(tmp_path / "j.sqlite", must_exist=True)


def test_network_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "file_system", lambda folder: "nfs4")
    with pytest.raises(StorageError, match="not safe on nfs4"):
        Journal(tmp_path / "j.sqlite")


def test_every_commit_reaches_the_disk(journal: Journal) -> None:
    assert journal.db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert journal.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert isinstance(journal.db, sqlite3.Connection)


def test_all_sql_stands_in_the_journals_modules() -> None:
    source = Path(autocompose.__file__).parent
    folders = (Path(journals.__file__).parent, source / "gallery/review")
    others = [p for folder in folders for p in folder.glob("*.py") if not p.name.startswith("journal")]
    assert others
    assert not [p.name for p in others if re.search(r"sqlite3|\.execute\(", p.read_text("utf-8"))]
