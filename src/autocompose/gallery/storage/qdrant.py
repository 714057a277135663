"""The same store on a Qdrant server, for galleries that outgrow one machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from autocompose.core.errors import DependencyError, GalleryError
from autocompose.gallery.item import Item
from autocompose.gallery.moments.moment import Moment
from autocompose.gallery.pose import Pose
from autocompose.gallery.storage.facts import Facts
from autocompose.gallery.storage.posed import Posed
from autocompose.gallery.storage.store import Where
from autocompose.gallery.storage.vectors import normalise
from autocompose.gallery.values import Value, cleaned, text_of

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

PAGE = 512
_FIELDS = ("path", "digest", "size", "mtime_ns", "width", "height")


class QdrantStore:
    """One collection of a Qdrant server; the methods are those of ``Store``.

    Vectors are stored normalised with their length in the payload, because the server ranks by cosine. Every change is
    searchable at once, so ``publish`` has nothing to do.

    :param client: a connected client; tests pass one in local mode.
    :raises GalleryError: the collection holds vectors of another model.
    """

    def __init__(self, client: QdrantClient, collection: str, fingerprint: str, dim: int) -> None:
        from qdrant_client import models

        self.client, self.collection, self.fingerprint, self.models = client, collection, fingerprint, models
        if not client.collection_exists(collection):
            cosine = models.VectorParams(size=dim, distance=models.Distance.COSINE)
            client.create_collection(collection, vectors_config=cosine)
            for name in ("path", "digest"):
                client.create_payload_index(collection, name, models.PayloadSchemaType.KEYWORD)
        self._known: tuple[int, Facts] | None = None
        for point in client.scroll(collection, limit=1, with_payload=["fingerprint"])[0]:
            if (point.payload or {}).get("fingerprint") != fingerprint:
                raise GalleryError(f"collection {collection}: made with another model; choose another collection name")

    @classmethod
    def connect(cls, url: str, fingerprint: str, dim: int) -> QdrantStore:
        """Connect to ``qdrant://host:port/collection``.

        :raises GalleryError: not such an address, or no server answers there.
        """
        try:
            from qdrant_client import QdrantClient
        except ImportError:
            raise DependencyError("qdrant-client", "qdrant", "A gallery on a Qdrant server") from None
        parts = urlsplit(url)
        collection = parts.path.strip("/")
        if parts.scheme != "qdrant" or not parts.hostname or not collection or "/" in collection:
            raise GalleryError(f"--store {url}: expected qdrant://host:port/collection")
        try:
            client = QdrantClient(host=parts.hostname, port=parts.port or 6333, timeout=30)
            return cls(client, collection, fingerprint, dim)
        except GalleryError:
            raise
        except Exception as error:  # the client has one exception type for each transport
            raise GalleryError(f"--store {url}: no Qdrant server answers ({type(error).__name__}: {error})") from None

    def put(self, items: Sequence[Item], vectors: np.ndarray) -> None:
        """See ``Store.put``."""
        lengths, unit = np.linalg.norm(vectors, axis=1), normalise(vectors)
        points = [
            self.models.PointStruct(id=i.id, vector=v.tolist(), payload={**self._payload(i), "length": float(n)})
            for i, v, n in zip(items, unit, lengths, strict=True)
        ]
        for start in range(0, len(points), PAGE):
            self.client.upsert(self.collection, points[start : start + PAGE], wait=True)

    def _payload(self, item: Item) -> dict[str, Any]:
        joints, more = item.pose.to_bytes() if item.pose else (None, None)
        plain = {name: getattr(item, name) for name in _FIELDS}
        meta = cleaned(item.meta)
        texts = {column: text_of(value) for column, value in meta.items()}
        return {
            **plain,
            "box": list(item.box) if item.box else None,
            "meta": meta,
            "filter": texts,
            "joints": _numbers(joints),
            "estimate": _numbers(more),
            "searched": item.searched,
            "moment": item.moment.record() if item.moment else None,
            "has_pose": joints is not None,
            "fingerprint": self.fingerprint,
        }

    def describe(self, items: Sequence[Item]) -> None:
        """See ``Store.describe``."""
        self._known = None
        for item in items:
            self.client.set_payload(self.collection, self._payload(item), points=[item.id], wait=True)

    def remove(self, ids: Sequence[int]) -> None:
        """See ``Store.remove``."""
        if len(ids):
            points = self.models.PointIdsList(points=[int(i) for i in ids])
            self.client.delete(self.collection, points_selector=points, wait=True)

    def publish(self) -> None:
        """Nothing to do: every change is searchable at once."""

    def refresh(self) -> int:
        """The number of items stands for the version."""
        return self.count()

    def _scroll(self, condition: Any = None, vectors: bool = False) -> Iterator[Any]:
        offset = None
        while True:
            points, offset = self.client.scroll(
                self.collection, condition, limit=PAGE, offset=offset, with_payload=True, with_vectors=vectors
            )
            yield from points
            if offset is None:
                return

    def items(self) -> Iterator[Item]:
        """See ``Store.items``."""
        yield from sorted(map(_item, self._scroll()), key=lambda item: item.id)

    def get(self, ids: Sequence[int]) -> list[Item]:
        """See ``Store.get``."""
        points = self.client.retrieve(self.collection, [int(i) for i in ids], with_payload=True) if len(ids) else []
        found = {int(point.id): _item(point) for point in points}
        return [found[int(i)] for i in ids if int(i) in found]

    def find(self, path: str) -> list[Item]:
        """See ``Store.find``."""
        return sorted(map(_item, self._scroll(self._equal("path", path))), key=lambda item: item.id)

    def same_picture(self, digest: str) -> list[int]:
        """See ``Store.same_picture``."""
        return sorted(int(point.id) for point in self._scroll(self._equal("digest", digest)))

    def _equal(self, name: str, value: Any) -> Any:
        return self.models.Filter(
            must=[self.models.FieldCondition(key=name, match=self.models.MatchValue(value=value))]
        )

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """See ``Store.vectors``."""
        points = self.client.retrieve(
            self.collection, [int(i) for i in ids], with_payload=["length"], with_vectors=True
        )
        found = {int(p.id): np.asarray(p.vector, np.float32) * (p.payload or {})["length"] for p in points}
        return np.stack([found[int(i)] for i in ids if int(i) in found]).astype(np.float32)

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

    def _filter(self, where: Where | None, banned: Sequence[int] = (), posed: bool = False) -> Any:
        must = [self._one_of(column, asked) for column, asked in (where or {}).items()]
        if posed:
            must.append(self.models.FieldCondition(key="has_pose", match=self.models.MatchValue(value=True)))
        refused = [self.models.HasIdCondition(has_id=[int(i) for i in banned])] if len(banned) else None
        return self.models.Filter(must=must or None, must_not=refused)

    def _one_of(self, column: str, asked: Sequence[str]) -> Any:
        """Texts can be matched whatever the type; what older versions wrote is matched too (True, 1.0)."""
        found = self._facts().values_meant(column, asked)
        texts = sorted({text for value in found for text in (text_of(value), str(value))})
        return self.models.FieldCondition(key=f'filter."{column}"', match=self.models.MatchAny(any=texts))

    def poses(self, where: Where | None = None) -> Posed:
        """See ``Store.poses``."""
        items = sorted(map(_item, self._scroll(self._filter(where, posed=True))), key=lambda item: item.id)
        return Posed.of([(item.id, item.pose) for item in items if item.pose])

    def columns(self) -> dict[str, tuple[Value, ...]]:
        """See ``Store.columns``."""
        return self._facts().choices()

    def _facts(self) -> Facts:
        version = self.refresh()
        if not self._known or self._known[0] != version:
            items = ((int(p.id), cleaned((p.payload or {})["meta"])) for p in self._scroll())
            self._known = version, Facts.of(items)
        return self._known[1]

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
        return self.client.count(self.collection, exact=True).count

    def recall(self) -> float:
        """Qdrant searches small collections exactly and large ones by HNSW, whose recall is not measured here."""
        return float("nan")

    def close(self) -> None:
        """See ``Store.close``."""
        self.client.close()


def _numbers(values: bytes | None) -> list[float] | None:
    return None if values is None else np.frombuffer(values, np.float32).tolist()


def _bytes(values: list[float] | None) -> bytes | None:
    return None if values is None else np.array(values, np.float32).tobytes()


def _item(point: Any) -> Item:
    payload = point.payload
    box = payload.get("box")
    pose = Pose.from_bytes(_bytes(payload.get("joints")), _bytes(payload.get("estimate")))
    box = tuple(box) if box else None
    plain = [payload[name] for name in _FIELDS]
    moment = Moment.of_record(payload.get("moment"))
    return Item(*[*plain, box, cleaned(payload["meta"]), pose, payload.get("searched", ""), moment])
