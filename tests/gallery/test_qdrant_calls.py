"""A Qdrant server that fails in every way: nothing is lost, nothing is there twice, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from qdrant_client import QdrantClient

from autocompose.core.errors import GalleryError
from autocompose.gallery.storage import qdrant, qdrant_calls
from autocompose.gallery.storage.qdrant import QdrantStore
from autocompose.gallery.storage.qdrant_payload import item_of, payload_of
from tests.gallery.qdrant_double import QdrantDouble
from tests.gallery.test_store import DIM, make

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
FAULTS = ("429", "500", "503", "cut", "slow")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[QdrantDouble]:
    monkeypatch.setattr(qdrant, "TIMEOUT", 1)
    monkeypatch.setattr(qdrant, "PAGE", 8)
    monkeypatch.setattr(qdrant_calls, "FIRST_WAIT", 0.01)
    with QdrantDouble() as double:
        yield double


def connect(server: QdrantDouble, **options: bool) -> QdrantStore:
    return QdrantStore.connect(f"{server.address}/poses", "model", DIM, **options)


@pytest.mark.parametrize("fault", [*FAULTS, *(f"{fault} afterwards" for fault in FAULTS)])
def test_a_failing_server_gets_everything_once(server: QdrantDouble, fault: str) -> None:
    store = connect(server)
    items, vectors = make(20)
    server.faults.extend(["", fault, ""] if fault.startswith("slow") else [fault, fault, "", fault])
    store.put(items, vectors)
    server.faults.extend([fault] if not fault.startswith("slow") else [])
    store.describe(items[:3])
    server.faults.extend([fault] if not fault.startswith("slow") else [])
    store.remove([items[0].id])
    assert not server.faults
    reader = connect(server, write=False)
    assert list(reader.items()) == sorted(items[1:], key=lambda item: item.id)
    np.testing.assert_allclose(reader.vectors([items[5].id])[0], vectors[5], rtol=1e-5)


def test_requests_are_bounded_and_one_at_a_time(server: QdrantDouble) -> None:
    store = connect(server)
    items, vectors = make(50)
    store.put(items, vectors)
    store.vectors([item.id for item in items])
    sizes = [len(body["points"]) for method, path, body in server.calls if method == "PUT" and path.endswith("/points")]
    assert sizes == [8] * 6 + [2] and server.busiest == 1
    assert max(len(body["ids"]) for *_, body in server.calls if "ids" in body) == 8


@pytest.mark.parametrize("fault", FAULTS[:4])
def test_patience_ends_in_one_line(server: QdrantDouble, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant, "WRITE_PATIENCE", 0.2)
    store = connect(server)
    server.faults.extend([fault] * 200)
    with pytest.raises(GalleryError, match=r"has not answered upsert for 0 s .*; what was written stays"):
        store.put(*make(3))
    server.faults.clear()
    store.put(*make(3))
    assert store.count() == 3


def test_a_request_that_the_server_refuses_is_not_repeated(server: QdrantDouble) -> None:
    store = connect(server)
    server.faults.append("400")
    before = len(server.calls)
    with pytest.raises(GalleryError, match=r"refuses the request .*400"):
        store.put(*make(3))
    assert len(server.calls) == before + 1


def test_poses_and_filters_are_read_once_until_something_changes(
    server: QdrantDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = connect(server), connect(server)
    monkeypatch.setattr(qdrant, "FRESH", 0.0)
    items, vectors = make(20)
    writer.put(items, vectors)
    first = reader.poses()

    def scrolls(work: object) -> int:
        before = sum(path.endswith("/scroll") for _, path, _ in server.calls)
        assert callable(work)
        work()
        return sum(path.endswith("/scroll") for _, path, _ in server.calls) - before

    assert reader.poses() is first
    reader.poses({"body": ("1",)})
    asked = scrolls(lambda: [reader.poses({"body": ("1",)}) for _ in range(5)])
    assert asked <= 15, "only whether all is as it was"
    assert reader.poses({"body": ("1",)}) is reader.poses({"body": ("1",)})
    writer.describe([items[1]])
    assert reader.poses() is not first and len(reader.poses()) == len(first)
    writer.remove([items[1].id])
    before = reader.poses()
    writer.put(*make(1, start=77))  # as many items as before, one of them with another pose
    after = reader.poses()
    assert len(before) == len(first) - 1 and len(after) == len(first) and after.ids.tolist() != first.ids.tolist()


def test_a_reader_makes_no_collection_and_other_vectors_are_refused(server: QdrantDouble) -> None:
    with pytest.raises(GalleryError, match="not found on the server; run index again"):
        connect(server, write=False)
    connect(server)
    with pytest.raises(GalleryError, match="expected one vector of 5 numbers"):
        QdrantStore.connect(f"{server.address}/poses", "model", 5)


def test_what_older_versions_wrote_is_read() -> None:
    item = make(2)[0][1]
    payload = payload_of(item, "model", 1)
    assert item.joints is not None
    payload["joints"] = item.joints.ravel().tolist()
    assert item_of(payload) == item


def test_threads_share_a_store(server: QdrantDouble) -> None:
    store = connect(server)
    items, vectors = make(40)
    store.put(items, vectors)
    faults: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(5):
                assert len(store.search(vectors[0] / np.linalg.norm(vectors[0]), 5, {"body": ("1",)})[0]) == 5
                assert len(store.poses({"body": ("1",)})) == 10
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and server.busiest > 1


def test_local_mode_needs_no_server() -> None:
    store = QdrantStore(QdrantClient(":memory:"), "poses", "model", DIM)
    store.put(*make(3))
    assert store.count() == 3
