"""Vectors that cost time or money to make, kept in one file: a killed run loses none that it has received."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from autocompose.core.errors import StorageError

TABLES = """
CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
KEYS_PER_QUERY = 500


class VectorCache:
    """Key -> ``(D,)`` float32, and a few facts about them.

    Each call opens the file anew, so that threads and processes may share it.

    :param path: the file; it is made when something is stored.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def get(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """The stored vectors of these keys; unknown keys are left out."""
        wanted, vectors = list(keys), dict[str, np.ndarray]()
        if not self.path.exists():
            return vectors
        with closing(self._open()) as base:
            for start in range(0, len(wanted), KEYS_PER_QUERY):
                part = wanted[start : start + KEYS_PER_QUERY]
                marks = ",".join("?" * len(part))
                rows = base.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)
                vectors |= {key: np.frombuffer(blob, "<f4").astype(np.float32) for key, blob in rows}
        return vectors

    def put(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Store vectors.

        :raises StorageError: the disk refuses.
        """
        rows = [(key, np.asarray(vector, "<f4").tobytes()) for key, vector in vectors.items()]
        self._write("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def fact(self, name: str) -> str:
        """A stored fact; "" when there is none."""
        if not self.path.exists():
            return ""
        with closing(self._open()) as base:
            row = base.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
        return row[0] if row else ""

    def remember(self, name: str, value: str) -> None:
        """Store a fact."""
        self._write("INSERT OR REPLACE INTO facts VALUES (?, ?)", [(name, value)])

    def _write(self, statement: str, rows: Sequence[tuple[str, object]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(self._open()) as base, base:
                base.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def _open(self) -> sqlite3.Connection:
        try:
            base = sqlite3.connect(self.path, timeout=60)
            base.executescript(TABLES)
            return base
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def _refused(self, error: sqlite3.Error) -> StorageError:
        return StorageError(f"{self.path}: vectors cannot be kept there ({error}); remove the file, or free space")
