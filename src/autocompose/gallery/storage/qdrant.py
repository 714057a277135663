"""The same store on a Qdrant server, for galleries that outgrow one machine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from autocompose.core.errors import DependencyError, GalleryError
from autocompose.gallery.item import Item
from autocompose.gallery.storage.facts import Facts
from autocompose.gallery.storage.posed import Posed
from autocompose.gallery.storage.qdrant_calls import PatientClient
from autocompose.gallery.storage.qdrant_payload import item_of, payload_of, pose_of
from autocompose.gallery.storage.store import Where
from autocompose.gallery.storage.vectors import normalise
from autocompose.gallery.values import Value, cleaned, text_of

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

T = TypeVar("T")
PAGE = 512  # points of a request
READ_PATIENCE, WRITE_PATIENCE = 10.0, 300.0  # seconds that a search, or an index run, waits for the server
TIMEOUT = 60  # seconds for one request
FRESH = 1.0  # seconds for which nobody asks whether others have changed something
KEPT = 64  # of what is derived from all points: mostly the poses that some filter allows
KEY = "QDRANT_API_KEY"  # environment variable, as Qdrant's own tools name it
INDEXED = {"path": "keyword", "digest": "keyword", "has_pose": "bool", "changed": "integer"}


class QdrantStore:
    """One collection of a Qdrant server; the methods are those of ``Store``. Threads may share it.

    Vectors are stored normalised with their length in the payload, because the server ranks by cosine. Every change is
    searchable at once. What is derived from all points (poses, filters) is read once after each change.

    :param client: a connected client; tests pass one in local mode.
    :param write: make the collection if there is none, and wait longer for a server that is busy.
    :raises GalleryError: no such collection, or it holds vectors of another model or size.
    """

    def __init__(
        self, client: QdrantClient, collection: str, fingerprint: str, dim: int, *, write: bool = True
    ) -> None:
        from qdrant_client import models

        self.client: Any = PatientClient(client, WRITE_PATIENCE if write else READ_PATIENCE)
        self.collection, self.fingerprint, self.models = collection, fingerprint, models
        self._lock = threading.RLock()
        self._version, self._asked, self._changed = 0, float("-inf"), 0
        self._derived: dict[str, Any] = {}
        if write:
            self._create(dim)
        elif not self.client.collection_exists(collection):
            raise GalleryError(f"collection {collection}: not found on the server; run index again")
        self._check(dim)

    @classmethod
    def connect(cls, url: str, fingerprint: str, dim: int, *, write: bool = True) -> QdrantStore:
        """Connect to ``qdrant://host:port/collection`` (``qdrants`` for TLS; the key is in ``QDRANT_API_KEY``).

        :raises GalleryError: not such an address, or no server answers there.
        """
        try:
            from qdrant_client import QdrantClient
        except ImportError:
            raise DependencyError("qdrant-client", "qdrant", "A gallery on a Qdrant server") from None
        parts = urlsplit(url)
        collection = parts.path.strip("/")
        if parts.scheme not in ("qdrant", "qdrants") or not parts.hostname or not collection or "/" in collection:
            raise GalleryError(f"--store {url}: expected qdrant://host:port/collection")
        try:
            client = QdrantClient(
                host=parts.hostname, port=parts.port or 6333, timeout=TIMEOUT, https=parts.scheme == "qdrants",
                api_key=os.environ.get(KEY), check_compatibility=False,
            )  # fmt: skip
            client.get_collections()  # at once: a slip in the address is no busy server
        except Exception as error:  # the client has one exception type for each transport
            raise GalleryError(f"--store {url}: no Qdrant server answers ({type(error).__name__}: {error})") from None
        return cls(client, collection, fingerprint, dim, write=write)

    def _create(self, dim: int) -> None:
        if not self.client.collection_exists(self.collection):
            cosine = self.models.VectorParams(size=dim, distance=self.models.Distance.COSINE)
            self.client.create_collection(self.collection, vectors_config=cosine)
        for name, kind in INDEXED.items():
            self.client.create_payload_index(self.collection, name, self.models.PayloadSchemaType(kind))

    def _check(self, dim: int) -> None:
        vectors = self.client.get_collection(self.collection).config.params.vectors
        if getattr(vectors, "size", None) != dim or vectors.distance != self.models.Distance.COSINE:
            raise GalleryError(
                f"collection {self.collection}: expected one vector of {dim} numbers with the distance Cosine; choose "
                "another collection name"
            )
        for point in self.client.scroll(self.collection, limit=1, with_payload=["fingerprint"])[0]:
            if (point.payload or {}).get("fingerprint") != self.fingerprint:
                raise GalleryError(
                    f"collection {self.collection}: made with another model; choose another collection name"
                )

    # -- writing

    def put(self, items: Sequence[Item], vectors: np.ndarray) -> None:
        """See ``Store.put``; all or nothing for every ``PAGE`` items."""
        lengths, unit = np.linalg.norm(vectors, axis=1), normalise(vectors)
        changed = self._stamp()
        points = [
            self.models.PointStruct(
                id=i.id, vector=v.tolist(), payload={**payload_of(i, self.fingerprint, changed), "length": float(n)}
            )
            for i, v, n in zip(items, unit, lengths, strict=True)
        ]
        for start in range(0, len(points), PAGE):
            self.client.upsert(self.collection, points[start : start + PAGE], wait=True)

    def describe(self, items: Sequence[Item]) -> None:
        """See ``Store.describe``."""
        changed = self._stamp()
        changes = [
            self.models.SetPayloadOperation(
                set_payload=self.models.SetPayload(
                    payload=payload_of(item, self.fingerprint, changed), points=[item.id]
                )
            )
            for item in items
        ]
        for start in range(0, len(changes), PAGE):
            self.client.batch_update_points(self.collection, changes[start : start + PAGE], wait=True)

    def remove(self, ids: Sequence[int]) -> None:
        """See ``Store.remove``."""
        self._stamp()
        for start in range(0, len(ids), PAGE):
            points = self.models.PointIdsList(points=[int(i) for i in ids[start : start + PAGE]])
            self.client.delete(self.collection, points_selector=points, wait=True)

    def _stamp(self) -> int:
        """A number for what is written now, larger than all before."""
        with self._lock:
            self._asked = float("-inf")
            self._changed = max(time.time_ns(), self._changed + 1)
            return self._changed

    def publish(self) -> None:
        """Every change is searchable at once; filters get an index each."""
        for column in self.columns():
            self.client.create_payload_index(
                self.collection, _filter_key(column), self.models.PayloadSchemaType.KEYWORD
            )

    # -- reading

    def refresh(self) -> int:
        """See ``Store.refresh``: number of items and time of the last change, asked for once a second."""
        with self._lock:
            if time.monotonic() - self._asked >= FRESH:
                newest = self.models.OrderBy(key="changed", direction=self.models.Direction.DESC)
                points, _ = self.client.scroll(self.collection, limit=1, order_by=newest, with_payload=["changed"])
                changed = points[0].payload["changed"] if points else 0
                version, self._asked = hash((self.count(), changed)), time.monotonic()
                if version != self._version:
                    self._version, self._derived = version, {}
            return self._version

    def _once(self, what: str, make: Callable[[], T]) -> T:
        """Something that is derived from all points, made again when they have changed."""
        with self._lock:
            self.refresh()
            derived: T = self._derived.pop(what) if what in self._derived else make()
            self._derived[what] = derived  # the last one is the one that was used last
            if len(self._derived) > KEPT:
                del self._derived[next(iter(self._derived))]
            return derived

    def _scroll(self, condition: Any = None, payload: bool | list[str] = True) -> Iterator[Any]:
        offset = None
        while True:
            points, offset = self.client.scroll(
                self.collection, condition, limit=PAGE, offset=offset, with_payload=payload, with_vectors=False
            )
            yield from points
            if offset is None:
                return

    def items(self) -> Iterator[Item]:
        """See ``Store.items``."""
        yield from sorted(map(_item, self._scroll()), key=lambda item: item.id)

    def get(self, ids: Sequence[int]) -> list[Item]:
        """See ``Store.get``."""
        by_id = {int(point.id): _item(point) for point in self._points(ids, with_payload=True)}
        return [by_id[int(i)] for i in ids if int(i) in by_id]

    def _points(self, ids: Sequence[int], **options: Any) -> Iterator[Any]:
        for start in range(0, len(ids), PAGE):
            yield from self.client.retrieve(self.collection, [int(i) for i in ids[start : start + PAGE]], **options)

    def find(self, path: str) -> list[Item]:
        """See ``Store.find``."""
        return sorted(map(_item, self._scroll(self._equal("path", path))), key=lambda item: item.id)

    def same_picture(self, digest: str) -> list[int]:
        """See ``Store.same_picture``."""
        return sorted(int(point.id) for point in self._scroll(self._equal("digest", digest), ["digest"]))

    def _equal(self, name: str, value: Any) -> Any:
        return self.models.Filter(
            must=[self.models.FieldCondition(key=name, match=self.models.MatchValue(value=value))]
        )

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """See ``Store.vectors``."""
        points = self._points(ids, with_payload=["length"], with_vectors=True)
        by_id = {int(p.id): np.asarray(p.vector, np.float32) * (p.payload or {})["length"] for p in points}
        vectors = [by_id[int(i)] for i in ids if int(i) in by_id]
        return np.stack(vectors).astype(np.float32) if vectors else np.empty((0, 0), np.float32)

    def search(
        self, query: np.ndarray, k: int, where: Where | None = None, banned: Sequence[int] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """See ``Store.search``."""
        points = self.client.query_points(
            self.collection,
            query=query.tolist(),
            query_filter=self._filter(where, banned),
            limit=k,
            with_payload=False,
        ).points
        scores = np.array([p.score for p in points], np.float32)
        return np.array([int(p.id) for p in points], np.int64), scores

    def _filter(self, where: Where | None, banned: Sequence[int]) -> Any:
        must = [self._one_of(column, typed) for column, typed in (where or {}).items()]
        refused = [self.models.HasIdCondition(has_id=[int(i) for i in banned])] if len(banned) else None
        return self.models.Filter(must=must or None, must_not=refused)

    def _one_of(self, column: str, typed: Sequence[str]) -> Any:
        """Texts can be matched whatever the type; what older versions wrote is matched too (True, 1.0)."""
        values = self._facts().values_meant(column, typed)
        texts = sorted({text for value in values for text in (text_of(value), str(value))})
        return self.models.FieldCondition(key=_filter_key(column), match=self.models.MatchAny(any=texts))

    def poses(self, where: Where | None = None) -> Posed:
        """See ``Store.poses``."""
        posed = self._once("poses", self._posed)
        if not where:
            return posed
        key = str(sorted((column, tuple(values)) for column, values in where.items()))
        return self._once(f"poses {key}", lambda: posed.only(self._facts().select(where)))

    def _posed(self) -> Posed:
        points = self._scroll(self._equal("has_pose", True), ["joints", "estimate"])
        poses = sorted(((int(point.id), pose_of(point.payload)) for point in points), key=lambda pair: pair[0])
        return Posed.of([(number, pose) for number, pose in poses if pose]).indexed()

    def columns(self) -> dict[str, tuple[Value, ...]]:
        """See ``Store.columns``."""
        return self._facts().choices()

    def _facts(self) -> Facts:
        def read() -> Facts:
            return Facts.of((int(p.id), cleaned(p.payload["meta"])) for p in self._scroll(payload=["meta"]))

        return self._once("facts", read)

    def sample(self, n: int, seed: int = 0) -> list[Item]:
        """See ``Store.sample``: a start among the ids, which are hashes."""
        start = int(np.random.default_rng(seed).integers(1 << 60))
        points = self.client.scroll(self.collection, limit=n, offset=start, with_payload=True)[0]
        if len(points) < n:
            first = self.client.scroll(self.collection, limit=n, with_payload=True)[0]
            points += [p for p in first if p.id not in {q.id for q in points}][: n - len(points)]
        return [_item(point) for point in points]

    def count(self) -> int:
        """See ``Store.count``."""
        return int(self.client.count(self.collection, exact=True).count)

    def recall(self) -> float:
        """Qdrant searches small collections exactly and large ones by HNSW, whose recall is not measured here."""
        return float("nan")

    def close(self) -> None:
        """See ``Store.close``."""
        self.client.close()


def _filter_key(column: str) -> str:
    return f'filter."{column}"'


def _item(point: Any) -> Item:
    return item_of(point.payload)
