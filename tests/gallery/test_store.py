"""One suite for both stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocompose.core.errors import GalleryError, InputError
from autocompose.gallery.item import Item, id_to_key, key_to_id
from autocompose.gallery.moments.moment import Moment
from autocompose.gallery.pose import Pose
from autocompose.gallery.storage.store import EmbeddedStore, Store
from autocompose.gallery.storage.vectors import Allowed, VectorIndex, normalise
from tests.gallery.qdrant_double import QdrantDouble

DIM = 16
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")  # Qdrant's local mode says so
Open = Callable[[], Store]


@pytest.fixture(params=["embedded", "qdrant", "qdrant over HTTP"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """A function that opens the store anew, as another process would."""
    if request.param == "embedded":
        yield lambda: EmbeddedStore(tmp_path, "model", write=True)
        return
    from qdrant_client import QdrantClient

    from autocompose.gallery.storage.qdrant import QdrantStore

    if request.param == "qdrant":
        client = QdrantClient(":memory:")
        yield lambda: QdrantStore(client, "poses", "model", DIM)
        client.close()
        return
    with QdrantDouble() as server:
        yield lambda: QdrantStore.connect(f"{server.address}/poses", "model", DIM)


def make(n: int, start: int = 0) -> tuple[list[Item], np.ndarray]:
    rng = np.random.default_rng(start)
    items = [
        Item(
            f"{'äé' if i % 3 else 'x'}/{i}.png", f"{i:064x}", 100 + i, i, 20, 30,
            box=(1, 2, 11, 22) if i % 5 == 0 else None,
            meta={"family": "kick" if i % 2 else "jump", "body": i % 4, "height": 1.5 + i},
            pose=Pose(rng.normal(size=(22, 3)).astype(np.float32)) if i % 2 else None,
            moment=Moment(i / 7, i, 2, i % 3) if i % 4 == 0 else None,
        )
        for i in range(start, start + n)
    ]  # fmt: skip
    return items, rng.normal(size=(n, DIM)).astype(np.float32) * 7


def test_items_and_vectors_come_out_as_they_went_in(open_store: Open) -> None:
    store = open_store()
    items, vectors = make(20)
    store.put(items, vectors)
    store.publish()
    again = open_store()
    ids = [i.id for i in items]
    assert again.get(ids) == items
    assert list(again.items()) == sorted(items, key=lambda i: i.id)
    np.testing.assert_allclose(again.vectors(ids[::-1]), vectors[::-1], rtol=1e-5)
    kept = again.get(ids)
    assert all((a.joints is None) == (b.joints is None) for a, b in zip(items, kept, strict=True))
    np.testing.assert_array_equal(kept[1].joints, items[1].joints)
    assert again.count() == 20


def brute(items: list[Item], vectors: np.ndarray, query: np.ndarray, keep: Callable[[Item], bool]) -> list[int]:
    scored = sorted(zip(normalise(vectors) @ query, items, strict=True), key=lambda pair: -pair[0])
    return [item.id for _, item in scored if keep(item)]


def test_search_is_the_brute_force_with_and_without_filters(open_store: Open) -> None:
    store = open_store()
    items, vectors = make(50)
    store.put(items, vectors)
    store.publish()
    query = normalise(np.random.default_rng(9).normal(size=DIM))
    ids, scores = store.search(query, 10)
    assert ids.tolist() == brute(items, vectors, query, lambda _: True)[:10]
    assert (np.diff(scores) <= 1e-6).all()
    banned = ids[:3].tolist()
    where = {"family": ("kick",), "body": ("1", "3")}

    def allowed(item: Item) -> bool:
        return item.meta["family"] == "kick" and item.meta["body"] in (1, 3) and item.id not in banned

    assert store.search(query, 99, where, banned)[0].tolist() == brute(items, vectors, query, allowed)
    assert store.search(query, 5, {"family": ("nothing",)})[0].tolist() == []


def test_filter_on_an_unknown_column_names_the_known_ones(open_store: Open) -> None:
    store = open_store()
    store.put(*make(3))
    store.publish()
    with pytest.raises(InputError, match="'colour': the gallery has no such column; it has: body, family, height"):
        store.search(np.ones(DIM, np.float32), 1, {"colour": ("red",)})
    with pytest.raises(InputError, match="no such column"):
        store.search(np.ones(DIM, np.float32), 1, {'x" OR 1': ("red",)})


def test_removed_items_are_gone_everywhere(open_store: Open) -> None:
    store = open_store()
    items, vectors = make(10)
    store.put(items, vectors)
    store.publish()
    store.remove([items[3].id, items[4].id])
    store.publish()
    query = normalise(vectors[3])
    assert items[3].id not in store.search(query, 10)[0]
    assert store.get([items[3].id]) == [] and store.find(items[4].path) == []
    assert store.same_picture(items[3].digest) == []
    assert store.count() == 8
    assert items[3].id not in store.poses().ids


def test_described_items_keep_their_vectors(open_store: Open) -> None:
    store = open_store()
    items, vectors = make(4)
    store.put(items, vectors)
    changed = replace(items[1], meta={"family": "sit"}, pose=None, mtime_ns=5)
    store.describe([changed])
    store.publish()
    assert store.get([items[1].id])[0].meta == {"family": "sit"}
    np.testing.assert_allclose(store.vectors([items[1].id])[0], vectors[1], rtol=1e-5)
    assert len(store.poses({"family": ("sit",)})) == 0
    assert store.columns()["family"] == ("jump", "kick", "sit")


def test_poses_by_filter(open_store: Open) -> None:
    store = open_store()
    items, vectors = make(12)
    store.put(items, vectors)
    store.publish()
    posed = store.poses({"body": ("1",)})
    ids, joints = posed.ids[posed.rows], posed.joints[posed.rows]
    assert set(ids.tolist()) == {i.id for i in items if i.meta["body"] == 1}
    by_id = {i.id: i.joints for i in items}
    for number, pose in zip(ids.tolist(), joints, strict=True):
        np.testing.assert_array_equal(pose, by_id[number])


def test_sample_gives_different_items_and_all_when_asked_for_more(open_store: Open) -> None:
    store = open_store()
    store.put(*make(30))
    store.publish()
    for seed in range(3):
        assert len({i.id for i in store.sample(7, seed)}) == 7
    assert len({i.id for i in store.sample(99)}) == 30


def test_an_empty_store_answers(open_store: Open) -> None:
    store = open_store()
    store.publish()
    assert store.search(np.ones(DIM, np.float32), 5)[0].tolist() == []
    assert store.count() == 0 and store.sample(3) == [] and store.columns() == {}
    assert store.poses().joints.shape == (0, 22, 3)


def test_another_models_qdrant_collection_is_refused() -> None:
    from qdrant_client import QdrantClient

    from autocompose.gallery.storage.qdrant import QdrantStore

    client = QdrantClient(":memory:")
    QdrantStore(client, "poses", "model", DIM).put(*make(2))
    with pytest.raises(GalleryError, match="another model"):
        QdrantStore(client, "poses", "other", DIM)


@pytest.mark.parametrize("url", ["qdrant://", "qdrant://host", "http://host/c", "qdrant://host:1/a/b"])
def test_bad_qdrant_addresses(url: str) -> None:
    from autocompose.gallery.storage.qdrant import QdrantStore

    with pytest.raises(GalleryError, match="expected qdrant://host:port/collection"):
        QdrantStore.connect(url, "model", DIM)


def test_no_qdrant_server_is_one_clear_line() -> None:
    from autocompose.gallery.storage.qdrant import QdrantStore

    with pytest.raises(GalleryError, match="no Qdrant server answers"):
        QdrantStore.connect("qdrant://127.0.0.1:9/poses", "model", DIM)


# -- only the embedded store


def test_a_reader_beside_an_unpublished_writer_sees_rows_and_vectors_that_agree(tmp_path: Path) -> None:
    writer = EmbeddedStore(tmp_path, "model", write=True)
    items, vectors = make(12)
    writer.put(items[:6], vectors[:6])
    writer.publish()
    writer.put(items[6:], vectors[6:])
    writer.remove([items[0].id])  # ... and is killed here
    reader = EmbeddedStore(tmp_path, "model")
    ids, _ = reader.search(normalise(vectors[8]), 20)
    assert ids[0] == items[8].id
    assert set(ids.tolist()) == {i.id for i in items[1:]} == {i.id for i in reader.items()}


def test_items_are_counted_again_when_somebody_has_changed_them(tmp_path: Path) -> None:
    writer = EmbeddedStore(tmp_path, "model", write=True)
    items, vectors = make(5)
    writer.put(items[:3], vectors[:3])
    reader = EmbeddedStore(tmp_path, "model")
    assert writer.count() == reader.count() == reader.count() == 3
    writer.put(items, vectors)
    assert writer.count() == reader.count() == 5
    writer.remove([items[0].id])
    assert writer.count() == reader.count() == 4


def test_filters_are_read_without_the_rows_that_hold_vectors(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, "model", write=True)
    store.put(*make(20))
    sent: list[str] = []
    store._db.set_trace_callback(sent.append)
    assert store.columns()["body"] == (0, 1, 2, 3)
    store._db.set_trace_callback(None)
    plans = [store._rows(f"EXPLAIN QUERY PLAN {sql}") for sql in sent if " meta " in sql]
    assert len(plans) == 1 and "USING COVERING INDEX" in plans[0][0][3]


def test_a_running_reader_notices_what_is_published(tmp_path: Path) -> None:
    writer = EmbeddedStore(tmp_path, "model", write=True)
    items, vectors = make(12)
    writer.put(items[:6], vectors[:6])
    writer.publish()
    reader = EmbeddedStore(tmp_path, "model")
    query = normalise(vectors[8])
    assert len(reader.search(query, 20)[0]) == 6
    writer.put(items[6:], vectors[6:])
    writer.publish()
    assert reader.search(query, 20)[0][0] == items[8].id
    assert [p.name for p in tmp_path.glob("vectors-*.faiss")] == ["vectors-2.faiss"]


def test_a_lost_or_damaged_vector_file_is_made_from_the_rows(tmp_path: Path) -> None:
    writer = EmbeddedStore(tmp_path, "model", write=True)
    items, vectors = make(6)
    writer.put(items, vectors)
    writer.publish()
    file = next(tmp_path.glob("vectors-*.faiss"))
    file.write_bytes(file.read_bytes()[:-40])
    assert len(EmbeddedStore(tmp_path, "model").search(normalise(vectors[2]), 9)[0]) == 6
    whole = bytearray(file.read_bytes()) + bytes(40)
    for at in (8, len(whole) // 2):  # of the right length, but with other bytes
        file.write_bytes(bytes(whole[:at]) + b"\xff" * 8 + bytes(whole[at + 8 :]))
        with pytest.raises(GalleryError, match="changed since it was written"):
            VectorIndex.load(file, "0" * 64)
        assert EmbeddedStore(tmp_path, "model").search(normalise(vectors[2]), 1)[0][0] == items[2].id
    file.unlink()
    assert len(EmbeddedStore(tmp_path, "model").search(normalise(vectors[2]), 9)[0]) == 6


def test_a_vector_file_that_is_cut_off_while_it_is_searched_ends_nothing(tmp_path: Path) -> None:
    writer = EmbeddedStore(tmp_path, "model", write=True)
    items, vectors = make(200)
    writer.put(items, vectors)
    writer.publish()
    reader = EmbeddedStore(tmp_path, "model")
    reader.refresh()
    with next(tmp_path.glob("vectors-*.faiss")).open("r+b") as file:
        file.truncate(100)
    assert reader.search(normalise(vectors[150]), 1)[0][0] == items[150].id


def test_galleries_from_before_checksums_get_one_with_the_next_run(tmp_path: Path) -> None:
    writer = EmbeddedStore(tmp_path, "model", write=True)
    items, vectors = make(6)
    writer.put(items, vectors)
    writer.publish()
    with writer._db:
        writer._db.execute("DELETE FROM state WHERE key = 'checksum'")
    assert EmbeddedStore(tmp_path, "model").search(normalise(vectors[2]), 1)[0][0] == items[2].id
    writer.publish()
    assert len(writer._word("checksum")) == 64


def test_another_kind_of_index_is_built_without_any_other_change(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, "model", write=True)
    rng = np.random.default_rng(0)
    store.put([Item(f"{i}.png", f"{i:064x}", 1, 1, 9, 9) for i in range(5000)], rng.normal(size=(5000, DIM)))
    store.publish()
    store.close()
    for kind in ("approximate", "approximate", "exact"):
        store = EmbeddedStore(tmp_path, "model", kind, write=True)  # type: ignore[arg-type]
        store.publish()
        assert hasattr(EmbeddedStore(tmp_path, "model")._load().index, "nprobe") == (kind == "approximate")
        store.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 50])
def test_a_file_that_is_no_gallery_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "items.sqlite").write_bytes(content)
    with pytest.raises(GalleryError, match="cannot be opened as a gallery"):
        EmbeddedStore(tmp_path, "model")


def test_reading_a_gallery_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="autocompose index"):
        EmbeddedStore(tmp_path, "model")


def test_deleted_bytes_do_not_stay_in_the_file(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, "model", write=True)
    item = Item("secret-person.png", "f" * 64, 1, 1, 9, 9, meta={"person": "anna-maria"})
    store.put([item], np.ones((1, DIM), np.float32))
    store.publish()
    store.remove([item.id])
    store.publish()
    for path in tmp_path.iterdir():
        assert b"anna-maria" not in path.read_bytes() and b"secret-person" not in path.read_bytes()


def test_approximate_index_keeps_its_promise_and_filters_and_exact_below_five_thousand(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 32))
    vectors = normalise(centres[rng.integers(60, size=6000)] + rng.normal(size=(6000, 32)))
    ids = rng.permutation(6000).astype(np.int64) + (1 << 58)
    index = VectorIndex.build(ids, vectors, "approximate")
    exact = VectorIndex.build(ids, vectors)
    checksum = index.save(tmp_path / "v.faiss")
    index = VectorIndex.load(tmp_path / "v.faiss", checksum, index.recall)
    queries = normalise(centres[rng.integers(60, size=100)] + rng.normal(size=(100, 32)))
    recall = np.mean([len(np.intersect1d(index.search(q, 50)[0], exact.search(q, 50)[0])) / 50 for q in queries])
    assert index.recall >= 0.97 and recall >= 0.95
    assert index.index.nprobe < index.index.nlist
    allowed, banned = ids[:100], ids[:50]
    assert set(index.search(queries[0], 100, Allowed(allowed), banned)[0].tolist()) <= set(ids[50:100].tolist())
    assert VectorIndex.build(ids[:4999], vectors[:4999], "approximate").recall == 1


@given(st.integers(0, (1 << 60) - 1))
def test_keys_are_reversible(number: int) -> None:
    assert key_to_id(id_to_key(number)) == number


@given(st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_other_keys_are_refused(key: str) -> None:
    if len(key) == 15 and not set(key) - set("0123456789abcdef"):
        return
    with pytest.raises(InputError, match="not an item id"):
        key_to_id(key)
