"""The sqlite file of a journal: its tables, transactions, stored facts and errors."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autocompose.core.errors import StorageError, missing_file

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, pid INTEGER, host TEXT, started REAL, beat REAL, ended REAL,
    version TEXT, recipe TEXT, stopped TEXT);
CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, reference TEXT, target TEXT, edit TEXT, split TEXT,
    version TEXT, inputs TEXT, state TEXT, run TEXT, stage TEXT, kind TEXT, detail TEXT, parts TEXT, texts TEXT,
    repaired INTEGER, updated REAL, UNIQUE (reference, target, edit, version));
CREATE TABLE IF NOT EXISTS prompts (hash TEXT PRIMARY KEY, text TEXT);
CREATE TABLE IF NOT EXISTS asks (key TEXT PRIMARY KEY, item INTEGER, stage TEXT, sample INTEGER, system TEXT,
    content TEXT, pictures TEXT, model TEXT, parameters TEXT, state TEXT, run TEXT, cost REAL, tokens INTEGER,
    answer INTEGER, reason TEXT);
CREATE INDEX IF NOT EXISTS leased ON asks (run) WHERE state = 'leased';
CREATE INDEX IF NOT EXISTS of_item ON asks (item);
CREATE TABLE IF NOT EXISTS attempts (key TEXT, n INTEGER, run TEXT, host TEXT, started REAL, seconds REAL, kind TEXT,
    raw TEXT, finish TEXT, refusal TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, estimated INTEGER,
    cost REAL, model TEXT, fingerprint TEXT, PRIMARY KEY (key, n));
CREATE TABLE IF NOT EXISTS totals (id INTEGER PRIMARY KEY CHECK (id = 0), cost REAL, tokens INTEGER);
INSERT OR IGNORE INTO totals VALUES (0, 0, 0);
CREATE TRIGGER IF NOT EXISTS paid AFTER INSERT ON attempts BEGIN
    UPDATE totals SET cost = cost + NEW.cost, tokens = tokens + NEW.prompt_tokens + NEW.completion_tokens;
END;
CREATE TABLE IF NOT EXISTS reviews (reference TEXT, target TEXT, edit TEXT, version TEXT, number INTEGER,
    reviewer TEXT, verdict TEXT, text TEXT, at REAL, PRIMARY KEY (reference, target, edit, version, number, reviewer));
"""
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph", "lustre", "afs"}


class JournalFile:
    """The open file. One object belongs to one thread.

    :param path: the sqlite file; made when missing unless ``must_exist``.
    :raises StorageError: the disk is full or the folder lies on a network file system, where sqlite locks fail.
    """

    def __init__(self, path: Path, must_exist: bool = False) -> None:
        if must_exist and not path.exists():
            raise missing_file(path, "journal", "run 'autocompose describe mllm' on the corpus first")
        kind = file_system(path.parent)
        if kind in NETWORK:
            raise StorageError(f"{path}: sqlite is not safe on {kind}; copy the corpus to a local disk")
        self.path = path
        try:
            self.db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self.db.row_factory = sqlite3.Row
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.executescript(TABLES)
        except sqlite3.DatabaseError as error:
            raise storage_error(path, error) from None

    def close(self) -> None:
        """Close the file; the WAL is folded in when this was the last user."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on the disk when the block ends.

        :raises StorageError: writing failed; nothing of the block is kept.
        """
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise storage_error(self.path, error) from None
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def get(self, key: str) -> Any:
        """A remembered value, or None."""
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return json.loads(row["value"]) if row else None

    def put(self, key: str, value: Any) -> None:
        """Remember a JSON-able value."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))


def storage_error(path: Path, error: sqlite3.DatabaseError) -> StorageError:
    """An error of sqlite as one line for the user."""
    words = str(error)
    if "full" in words:
        return StorageError(f"{path}: the disk is full; free at least 100 MB and start the same command again")
    if "malformed" in words or "not a database" in words:
        return StorageError(f"{path}: not a usable journal ({words}); move it away or restore a copy")
    return StorageError(f"{path}: the journal cannot be written ({words})")


def file_system(folder: Path) -> str:
    """Type of the file system of a folder where it is known (Linux), else ''."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    except OSError:
        return ""
    real = str(folder.resolve())
    fitting = [m for m in mounts if real == m[1] or real.startswith(m[1].rstrip("/") + "/")]
    return max(fitting, key=lambda m: len(m[1]))[2] if fitting else ""
