"""Where a gallery lives: the interface of a store, and the embedded one (SQLite and a FAISS file).

SQLite is the truth and holds the un-normalised vectors too; the FAISS file is derived from it and named after the
version of the truth it was made from. A reader that finds no file of the current version builds the index from the
rows, so both always agree, whenever a writer was killed.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from autocompose.core.errors import GalleryError, StorageError
from autocompose.core.reading.jsontext import to_json
from autocompose.core.reading.plain import cause
from autocompose.gallery.item import Item
from autocompose.gallery.moments.moment import Moment
from autocompose.gallery.pose import JOINTS, Pose
from autocompose.gallery.storage.facts import Facts
from autocompose.gallery.storage.pose_files import open_poses, remove_poses, write_poses
from autocompose.gallery.storage.posed import Posed
from autocompose.gallery.storage.vectors import Allowed, Kind, VectorIndex, normalise
from autocompose.gallery.values import Value, cleaned

Where = Mapping[str, tuple[str, ...]]
KEPT_ITEMS = 20_000  # of those that were read last

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, box TEXT, meta TEXT NOT NULL, joints BLOB,
    fingerprint TEXT NOT NULL, vector BLOB NOT NULL, estimate BLOB, searched TEXT NOT NULL DEFAULT '', moment TEXT);
CREATE INDEX IF NOT EXISTS items_path ON items (path);
CREATE INDEX IF NOT EXISTS items_digest ON items (digest);
CREATE INDEX IF NOT EXISTS items_meta ON items (meta);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value NOT NULL);
CREATE TABLE IF NOT EXISTS files (version INTEGER PRIMARY KEY);
INSERT OR IGNORE INTO files SELECT value FROM state WHERE key = 'published' AND value >= 0;
"""
_COLUMNS = "path, digest, size, mtime_ns, width, height, box, meta, joints, estimate, searched, moment"
# What galleries of earlier versions lack: how to add it, and what stands for it until that is done.
_ADDED = {
    "estimate": ("BLOB", "NULL"), "searched": ("TEXT NOT NULL DEFAULT ''", "''"), "moment": ("TEXT", "NULL"),
}  # fmt: skip


class Store(Protocol):
    """Items and their vectors. Vectors go in and come out un-normalised, ``(N, D)`` float32; scores are cosines."""

    def put(self, items: Sequence[Item], vectors: np.ndarray) -> None:
        """Add or replace items with their vectors, all or nothing."""

    def describe(self, items: Sequence[Item]) -> None:
        """Replace everything but the vectors of items that are there."""

    def remove(self, ids: Sequence[int]) -> None:
        """Remove items and their vectors."""

    def publish(self) -> None:
        """Make all changes searchable; the last call of a writer."""

    def refresh(self) -> int:
        """Take notice of what others have published; returns a number that changes when they did."""

    def items(self) -> Iterator[Item]:
        """All items, in the order of their ids."""

    def get(self, ids: Sequence[int]) -> list[Item]:
        """Items in the order of ``ids``; those that are not there (any more) are left out."""

    def find(self, path: str) -> list[Item]:
        """The items of one picture."""

    def same_picture(self, digest: str) -> list[int]:
        """Ids of all items whose file has this content."""

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """Un-normalised vectors of items that are there, in the order of ``ids``."""

    def search(
        self, query: np.ndarray, k: int, where: Where | None = None, banned: Sequence[int] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best ids (int64) and cosines for ``query`` (D,) normalised, best first."""

    def poses(self, where: Where | None = None) -> Posed:
        """All items with a pose; only those that ``where`` fits may be found."""

    def columns(self) -> dict[str, tuple[Value, ...]]:
        """Metadata columns and their values; () for a column with more values than one can choose from."""

    def sample(self, n: int, seed: int = 0) -> list[Item]:
        """Up to ``n`` items, spread over the gallery."""

    def count(self) -> int:
        """Number of items."""

    def recall(self) -> float:
        """Measured recall@50 of the search; 1 when it is exact."""

    def close(self) -> None:
        """Release files and connections."""


class EmbeddedStore:
    """SQLite and FAISS in one folder. Threads may share it; other processes may read while one writes.

    :param folder: holds ``items.sqlite`` and ``vectors-VERSION.faiss``.
    :param kind: how ``publish`` builds the vector file.
    :param write: open for writing; creates what is missing.
    :raises GalleryError: missing, not a gallery, or damaged.
    """

    def __init__(self, folder: Path, fingerprint: str, kind: Kind = "exact", *, write: bool = False) -> None:
        self.folder, self.fingerprint, self.kind = Path(folder), fingerprint, kind
        self._lock = threading.RLock()
        self._index: VectorIndex | None = None
        self._loaded = -1
        self._db = self._connect(write)
        self._columns = self._upgraded(write)
        self._items: dict[int, Item] | None = None if write else {}  # what a reader has read; of one version
        self._cached = lru_cache(64)(self._compute)
        self._counted: tuple[tuple[int, int], int] = (-1, -1), 0

    def _connect(self, write: bool) -> sqlite3.Connection:
        path = self.folder / "items.sqlite"
        try:
            open(path, "rb").close()
        except FileNotFoundError:
            if not write:
                make = "autocompose index PICTURES --model RUN OUT"
                raise GalleryError(f"{path}: not found; make the gallery with: {make}") from None
        except OSError as error:
            raise GalleryError(f"{path}: {cause(error)}") from None
        modes = ("rwc",) if write else ("ro", "ro&immutable=1")  # the last for a read-only folder
        for mode in modes:
            try:
                db = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, check_same_thread=False)
                db.execute("PRAGMA busy_timeout = 30000")
                if write:
                    db.execute("PRAGMA journal_mode = WAL")
                    db.execute("PRAGMA secure_delete = ON")  # forgotten people leave no bytes behind
                    db.executescript(_SCHEMA)
                db.execute("SELECT count(*) FROM state").fetchone()
                return db
            except sqlite3.DatabaseError as error:
                fault = error
        if write and ("full" in str(fault) or "disk" in str(fault)):
            raise self._refused(fault)
        raise GalleryError(f"{path}: cannot be opened as a gallery ({fault}); index the pictures into another folder")

    def _upgraded(self, write: bool) -> str:
        """The columns to read; a writer first adds those that an earlier version did not know."""
        there = {name for _, name, *_ in self._rows("PRAGMA table_info(items)")}
        missing = {name: kinds for name, kinds in _ADDED.items() if name not in there}
        if write:
            for name, (kind, _) in missing.items():
                self._rows(f"ALTER TABLE items ADD COLUMN {name} {kind}")
            return _COLUMNS
        return ", ".join(missing[name][1] if name in missing else name for name in _COLUMNS.split(", "))

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                raise GalleryError(f"{self.folder / 'items.sqlite'}: damaged or locked ({error})") from None

    def _state(self, key: str, default: float = 0) -> float:
        rows = self._rows("SELECT value FROM state WHERE key = ?", (key,))
        return rows[0][0] if rows else default

    def _word(self, key: str) -> str:
        """SHA-256 of the published vector file (``checksum``), or what the pose files were made from; "" = none."""
        rows = self._rows("SELECT value FROM state WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    # -- writing

    def _write(self, sql: str, rows: Sequence[Sequence[Any]], new_version: bool = True) -> None:
        """Change rows, all or none.

        :raises StorageError: the disk is full, or refuses.
        """
        if not rows:
            return
        try:
            with self._lock, self._db:
                self._db.executemany(sql, rows)
                if new_version:
                    self._db.execute(
                        "INSERT INTO state VALUES ('version', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1"
                    )
        except sqlite3.DatabaseError as error:
            raise self._refused(error) from None

    def _refused(self, error: sqlite3.DatabaseError) -> StorageError:
        return StorageError(
            f"{self.folder / 'items.sqlite'}: cannot be written ({error}); free space and run the same command again"
        )

    def put(self, items: Sequence[Item], vectors: np.ndarray) -> None:
        """See ``Store.put``."""
        blobs = [np.ascontiguousarray(v, np.float32).tobytes() for v in vectors]
        rows = [(i.id, *_row(i), self.fingerprint, blob) for i, blob in zip(items, blobs, strict=True)]
        columns = f"id, {_COLUMNS}, fingerprint, vector"
        marks = ", ".join("?" * len(columns.split(", ")))
        self._write(f"INSERT OR REPLACE INTO items ({columns}) VALUES ({marks})", rows)

    def describe(self, items: Sequence[Item]) -> None:
        """See ``Store.describe``."""
        columns = ", ".join(f"{c} = ?" for c in _COLUMNS.split(", "))
        self._write(f"UPDATE items SET {columns} WHERE id = ?", [(*_row(i), i.id) for i in items])

    def remove(self, ids: Sequence[int]) -> None:
        """See ``Store.remove``."""
        self._write("DELETE FROM items WHERE id = ?", [(int(i),) for i in ids])

    def publish(self) -> None:
        """Write the files of the current version, declare them, delete the older ones."""
        with self._lock:
            version = int(self._state("version"))
            self._publish_poses(version)
            target = self.folder / f"vectors-{version}.faiss"
            approximate = int(self.kind == "approximate")
            done = self._state("published", -1) == version and self._state("approximate") == approximate
            done = done and self._word("checksum") != ""
            if not done or not target.exists():
                index = self._build()
                if index:
                    self._name_file(version)
                checksum = index.save(target) if index else "none"
                recall = index.recall if index else 1.0
                state = {"published": version, "approximate": approximate, "recall": recall, "checksum": checksum}
                self._write("INSERT OR REPLACE INTO state VALUES (?, ?)", list(state.items()), new_version=False)
            for old in self._named_files() - {version}:
                (self.folder / f"vectors-{old}.faiss").unlink(missing_ok=True)
                remove_poses(self.folder, old)
            self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def _publish_poses(self, version: int) -> None:
        if open_poses(self.folder, version, self._word("poses")) is None and (posed := self._posed()).is_large:
            self._name_file(version)
            made_from = write_poses(self.folder, version, posed)
            self._write("INSERT OR REPLACE INTO state VALUES ('poses', ?)", [(made_from,)], new_version=False)

    def _name_file(self, version: int) -> None:
        """Write down that the files of a version are ours, before they are there: no others are ever removed."""
        self._write("INSERT OR REPLACE INTO files VALUES (?)", [(version,)], new_version=False)

    def _named_files(self) -> set[int]:
        return {int(version) for (version,) in self._rows("SELECT version FROM files")}

    def _build(self) -> VectorIndex | None:
        rows = self._rows("SELECT id, vector FROM items ORDER BY id")
        if not rows:
            return None
        vectors = np.frombuffer(b"".join(v for _, v in rows), np.float32).reshape(len(rows), -1)
        return VectorIndex.build(np.array([i for i, _ in rows], np.int64), normalise(vectors), self.kind)

    # -- reading

    def refresh(self) -> int:
        """See ``Store.refresh``."""
        with self._lock:
            published = int(self._state("published", -1))
            if self._loaded != published or (self._index is None and self.count()):
                self._columns = self._upgraded(write=False)  # a writer may have added some
                self._index = self._load()
                self._loaded = published
                self._cached.cache_clear()
                if self._items:
                    self._items = {}
            return self._loaded

    def _load(self) -> VectorIndex | None:
        for _ in range(3):  # a writer may publish, and delete the older file, between our two reads
            published = int(self._state("published", -1))
            if published < 0 or published != self._state("version"):
                break
            with suppress(GalleryError):  # lost or damaged: the rows below are the truth
                path = self.folder / f"vectors-{published}.faiss"
                index = VectorIndex.load(path, self._word("checksum"), self._state("recall", 1.0))
                if index.index.ntotal == self.count():
                    return index
        return self._build()

    def items(self) -> Iterator[Item]:
        """See ``Store.items``."""
        for row in self._rows(f"SELECT {self._columns} FROM items ORDER BY id"):
            yield _item(row)

    def get(self, ids: Sequence[int]) -> list[Item]:
        """See ``Store.get``."""
        with self._lock:
            if self._items is None:
                known: dict[int, Item] = {}
            else:
                self.refresh()
                if len(self._items) > KEPT_ITEMS:
                    self._items = {}
                known = self._items
            new = [i for i in ids if int(i) not in known]
            if new:
                known.update((item.id, item) for item in map(_item, self._among(self._columns, new)))
        return [known[int(i)] for i in ids if int(i) in known]

    def _among(self, columns: str, ids: Sequence[int]) -> list[tuple[Any, ...]]:
        values = json.dumps([int(i) for i in ids])
        return self._rows(f"SELECT {columns} FROM items WHERE id IN (SELECT value FROM json_each(?))", (values,))

    def find(self, path: str) -> list[Item]:
        """See ``Store.find``."""
        name = path.encode("utf-8", "replace").decode()  # one that is not Unicode is no item's
        return [
            _item(row) for row in self._rows(f"SELECT {self._columns} FROM items WHERE path = ? ORDER BY id", (name,))
        ]

    def same_picture(self, digest: str) -> list[int]:
        """See ``Store.same_picture``."""
        return [i for (i,) in self._rows("SELECT id FROM items WHERE digest = ? ORDER BY id", (digest,))]

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """See ``Store.vectors``."""
        found = dict(self._among("id, vector", ids))
        blobs = [found[int(i)] for i in ids if int(i) in found]
        values = np.frombuffer(bytearray().join(blobs), np.float32)  # of a bytearray, so that it can be written to
        return values.reshape(len(blobs), -1 if blobs else 0)

    def search(
        self, query: np.ndarray, k: int, where: Where | None = None, banned: Sequence[int] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """See ``Store.search``."""
        self.refresh()
        index = self._index
        if index is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        allowed = self._cached("allowed", _key(where)) if where else None
        return index.search(query, k, allowed, np.asarray(banned, np.int64))

    def poses(self, where: Where | None = None) -> Posed:
        """See ``Store.poses``."""
        self.refresh()
        posed: Posed = self._cached("poses", _key(where or {}))
        return posed

    def columns(self) -> dict[str, tuple[Value, ...]]:
        """See ``Store.columns``."""
        self.refresh()
        return self._facts().choices()

    def _facts(self) -> Facts:
        return self._cached("facts", ())

    def _compute(self, what: str, key: tuple[tuple[str, tuple[str, ...]], ...]) -> Any:
        if what == "allowed":
            return Allowed(self._facts().select(dict(key)))
        if what == "poses" and key:
            return self.poses().only(self._cached("allowed", key).ids)
        if what == "poses":
            current = self._loaded == self._state("version")
            mapped = open_poses(self.folder, self._loaded, self._word("poses")) if current else None
            return mapped or self._posed().indexed()
        rows = self._rows("SELECT id, meta FROM items")  # in any order: SQLite reads items_meta, not rows with vectors
        metas = _decode(f"[{','.join(text for _, text in rows)}]")  # in one go: half the time of one by one
        return Facts.of(zip((i for i, _ in rows), metas, strict=True))

    def _posed(self) -> Posed:
        estimate = self._columns.split(", ")[_COLUMNS.split(", ").index("estimate")]
        rows = self._rows(f"SELECT id, joints, {estimate} FROM items WHERE joints IS NOT NULL ORDER BY id")
        joints = np.frombuffer(b"".join(j for _, j, _ in rows), np.float32).reshape(-1, JOINTS, 3)
        known = np.zeros(JOINTS, np.float32).tobytes()
        doubts = np.frombuffer(b"".join(more[: len(known)] if more else known for *_, more in rows), np.float32)
        return Posed(np.array([i for i, *_ in rows], np.int64), joints, doubts.reshape(-1, JOINTS))

    def sample(self, n: int, seed: int = 0) -> list[Item]:
        """See ``Store.sample``. Ids are hashes, so neighbours in their order have nothing in common."""
        start = int(np.random.default_rng(seed).integers(1 << 60))
        ordered = f"SELECT {self._columns} FROM items WHERE id {{}} ? ORDER BY id LIMIT ?"
        rows = self._rows(ordered.format(">="), (start, n))
        return [_item(row) for row in rows + self._rows(ordered.format("<"), (start, n - len(rows)))]

    def count(self) -> int:
        """See ``Store.count``; SQLite reads a whole index to count, so once after each change."""
        with self._lock:
            state = self._rows("PRAGMA data_version")[0][0], self._db.total_changes  # others' changes, and our own
            if self._counted[0] != state:
                self._counted = state, self._rows("SELECT count(*) FROM items")[0][0]
            return self._counted[1]

    def recall(self) -> float:
        """See ``Store.recall``."""
        self.refresh()
        return self._index.recall if self._index else 1.0

    def close(self) -> None:
        """See ``Store.close``."""
        with self._lock:
            self._index = None
            self._db.close()


def _key(where: Where) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(sorted((column, tuple(values)) for column, values in where.items()))


def _row(item: Item) -> tuple[Any, ...]:
    joints, more = item.pose.to_bytes() if item.pose else (None, None)
    box = json.dumps(item.box) if item.box else None
    meta = to_json(cleaned(item.meta))
    plain = (item.path, item.digest, item.size, item.mtime_ns, item.width, item.height)
    moment = json.dumps(item.moment.record()) if item.moment else None
    return *plain, box, meta, joints, more, item.searched, moment


def _item(row: Sequence[Any]) -> Item:
    *plain, box, meta, joints, more, searched, moment = row
    place = tuple(json.loads(box)) if box else None
    when = Moment.of_record(json.loads(moment)) if moment else None
    return Item(*[*plain, place, _meta(meta), Pose.from_bytes(joints, more), searched, when])


# earlier versions wrote NaN and Infinity, which are no values
_decode = json.JSONDecoder(parse_constant=lambda _: None).decode


def _meta(text: str) -> dict[str, Value]:
    found = _decode(text)
    return {name: value for name, value in found.items() if value is not None} if None in found.values() else found
