"""Poses of large galleries: files that are mapped, candidates, and the full scan that they must agree with."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import StorageError
from autocompose.evaluate import pose_index
from autocompose.evaluate.measured import Measured
from autocompose.evaluate.symbolic import PoseQuery, rank
from autocompose.gallery.indexing.index import build, forget
from autocompose.gallery.item import Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage import posed as posed_module
from autocompose.gallery.storage.pose_files import folder_of
from autocompose.gallery.storage.store import EmbeddedStore
from tests.describe.audit.poses import random_joints
from tests.fixtures.corpora import make_corpus
from tests.gallery.fakes import DIM, FakeModel

TEXT = "Raise your left hand."
N = 1500


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large here."""
    monkeypatch.setattr(posed_module, "LARGE", 15)


def made(n: int, start: int = 0) -> tuple[list[Item], np.ndarray]:
    """Every tenth has no pose; a third are estimates."""
    joints, rng = random_joints(n, start).astype(np.float32), np.random.default_rng(start)
    doubts = np.full(22, 0.04, np.float32)
    poses = [None if i % 10 == 9 else Pose(joints[i], doubts if i % 3 == 0 else None) for i in range(n)]
    items = [
        Item(f"{start + i}.png", f"{start + i:064x}", 1, 1, 9, 9, meta={"body": i % 4}, pose=pose)
        for i, pose in enumerate(poses)
    ]
    return items, rng.normal(size=(n, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedStore:
    folder = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posed_module, "LARGE", 15)
        write(folder, *made(N))
    return EmbeddedStore(folder, "fake")


def write(folder: Path, items: list[Item], vectors: np.ndarray) -> EmbeddedStore:
    store = EmbeddedStore(folder, "fake", write=True)
    store.put(items, vectors)
    store.publish()
    return store


def test_poses_are_mapped_as_they_were_stored(large: EmbeddedStore) -> None:
    posed = large.poses()
    assert posed.index is not None and isinstance(posed.index.poses, np.memmap) and len(posed) == N * 9 // 10
    items = {item.id: item for item in large.items() if item.pose}
    assert posed.ids.tolist() == sorted(items)
    for row in (0, 7, len(posed) - 1):
        pose = items[int(posed.ids[row])].pose
        assert pose is not None
        np.testing.assert_array_equal(posed.joints[row], pose.joints)
        np.testing.assert_array_equal(posed.uncertainty[row], pose.doubts)
    assert posed.known == sum(item.pose.uncertainty is None for item in items.values() if item.pose)


@pytest.mark.parametrize("text", [TEXT, "bend the right knee slightly and lean forward", ""])
def test_candidates_hold_the_best_of_the_full_scan(large: EmbeddedStore, text: str) -> None:
    posed = large.poses()
    query = PoseQuery.of(text, Measured.one(posed.joints[5]))
    full = rank(text, posed.joints[5], posed.joints, gallery_uncertainty=posed.uncertainty)
    ids, scores = posed.best(query, 200)
    assert 200 <= len(ids) < 420
    np.testing.assert_allclose(scores, full[posed.rows_of(np.sort(ids))][np.argsort(np.argsort(ids))], atol=1e-3)
    assert np.isin(posed.ids[np.argsort(-full)[:10]], ids).sum() >= 9


def test_filters_and_refused_items(large: EmbeddedStore) -> None:
    some = large.poses({"body": ("1", "3")})
    chosen = {item.id for item in large.items() if item.pose and item.meta["body"] in (1, 3)}
    assert set(some.ids[some.rows].tolist()) == chosen and len(some) == len(chosen)
    query = PoseQuery.of(TEXT, Measured.one(some.joints[5]))
    best, _ = some.best(query, 50)
    left = some.without(best[:3].tolist())
    again, _ = left.best(query, 50)
    assert set(again.tolist()) <= chosen - set(best[:3].tolist()) and again[0] == best[3]
    assert left.holds(best[:5]).tolist() == [False] * 3 + [True] * 2
    assert len(large.poses()) == N * 9 // 10, "filters leave the gallery's own poses alone"


def test_small_galleries_write_no_files(tmp_path: Path) -> None:
    store = write(tmp_path, *made(12))
    assert not list(tmp_path.glob("poses-*")) and store.poses().index is None


def test_changes_make_new_files_and_delete_the_old_ones_of_ours(tmp_path: Path) -> None:
    items, vectors = made(40)
    store = write(tmp_path, items, vectors)
    (old,) = tmp_path.glob("poses-*")
    (old / "notes.txt").write_text("mine")
    (tmp_path / "poses-77").mkdir()
    reader = EmbeddedStore(tmp_path, "fake")
    before = reader.poses()
    store.remove([items[0].id])
    store.put(*made(5, start=100))
    store.describe([replace(items[1], pose=items[2].pose)])
    store.publish()
    assert [p.name for p in old.iterdir()] == ["notes.txt"] and (tmp_path / "poses-77").exists()
    after = reader.poses()
    assert after.index is not None and isinstance(after.index.poses, np.memmap)
    assert len(after) == len(before) - 1 + 5 and items[0].id not in after.ids
    row = after.rows_of(np.array([items[1].id]))
    np.testing.assert_array_equal(after.joints[row[0]], items[2].joints)
    assert before.joints.shape == (36, 22, 3), "a search that is under way goes on"
    store.remove([item.id for item in items])
    store.publish()
    assert not list(tmp_path.glob("poses-*/*.npy")) and len(reader.poses()) == 5


def _killed(folder: Path) -> None:
    pose_index.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    write(folder, *made(40))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a copy of this process")
def test_kill_9_while_the_files_are_written(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_killed, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(tmp_path.glob("poses-*/coordinates.npy")) and not list(tmp_path.glob("poses-*/poses.json"))
    posed = EmbeddedStore(tmp_path, "fake").poses()
    assert len(posed) == 36 and not isinstance(posed.joints.base, np.memmap)
    again = EmbeddedStore(tmp_path, "fake", write=True)
    again.publish()
    mapped = EmbeddedStore(tmp_path, "fake").poses()
    assert mapped.index is not None and isinstance(mapped.index.poses, np.memmap)
    np.testing.assert_array_equal(mapped.joints, posed.joints)


@pytest.mark.parametrize("name", ["ids.npy", "poses.npy", "coordinates.npy", "normalised.npy", "poses.json"])
def test_files_that_are_lost_or_damaged_are_made_in_memory(tmp_path: Path, name: str) -> None:
    write(tmp_path, *made(40))
    expected = np.array(EmbeddedStore(tmp_path, "fake").poses().joints)
    path = next(tmp_path.glob(f"poses-*/{name}"))
    for damage in (lambda: path.write_bytes(path.read_bytes()[:50]), path.unlink):
        damage()
        posed = EmbeddedStore(tmp_path, "fake").poses()
        assert posed.index is not None and not isinstance(posed.index.poses, np.memmap)
        np.testing.assert_array_equal(posed.joints, expected)


def test_files_of_another_gallery_are_not_read(tmp_path: Path) -> None:
    """The same version number, as after one file was restored from a copy."""
    for name, start in (("a", 0), ("b", 500)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, *made(40, start))
    for path in (tmp_path / "b").glob("poses-*/*"):
        shutil.copy(path, folder_of(tmp_path / "a", 1) / path.name)
    posed = EmbeddedStore(tmp_path / "a", "fake").poses()
    assert posed.ids.tolist() == sorted(item.id for item in made(40)[0] if item.pose)


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pose_index.os, "posix_fallocate", full, raising=False)
    with pytest.raises(StorageError, match=r"poses-1: cannot be written .*; free space and run the same command"):
        write(tmp_path, *made(40))


def test_answers_are_those_of_the_full_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    galleries = []
    for name, limit in (("mapped", 15), ("scanned", 10_000)):
        monkeypatch.setattr(posed_module, "LARGE", limit)
        build(corpus.root, FakeModel(), tmp_path / name)
        galleries.append(Gallery.open(tmp_path / name, FakeModel()))
        assert bool(list((tmp_path / name).glob("poses-*"))) == (name == "mapped")

    def ask(question: dict[str, object]) -> list[list[tuple[str, float]]]:
        return [[(h.item.path, round(h.score, 3)) for h in g.search(k=30, **question)] for g in galleries]  # type: ignore[arg-type]

    item = next(galleries[0].store.items()).path
    for engine in ("auto", "symbolic"):
        for more in ({"reference": item}, {"reference": item, "mirror": True}, {}, {"where": {"cube": "1"}}):
            mapped, scanned = ask({"text": TEXT, "engine": engine, **more})
            assert mapped == scanned and mapped
    monkeypatch.setattr(posed_module, "LARGE", 15)
    forget(tmp_path / "mapped", item)
    forget(tmp_path / "scanned", item)
    mapped, scanned = ask({"text": TEXT, "engine": "symbolic"})
    assert mapped == scanned and item not in dict(mapped)
