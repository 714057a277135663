from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import GalleryError, InputError
from autocompose.core.files import read_json, write_json
from autocompose.gallery.gallery_folder import writer_lock
from autocompose.gallery.indexing.embedding import BATCH
from autocompose.gallery.indexing.index import build, forget
from autocompose.gallery.indexing.report import Report
from autocompose.gallery.indexing.thumbs import thumb_path
from autocompose.gallery.item import Item
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage.store import EmbeddedStore
from autocompose.model.embedders.own import RunFolder
from tests.fixtures.corpora import make_corpus, picture
from tests.gallery.fakes import DIM, CrashingModel, FakeModel, photos


def content(gallery: Path) -> tuple[list[Item], np.ndarray]:
    """All items and vectors; and the published vector file, the rows and the thumbnails must agree."""
    store = EmbeddedStore(gallery, "fake")
    items = list(store.items())
    vectors = store.vectors([i.id for i in items]) if items else np.empty((0, DIM))
    assert store.search(np.ones(DIM, np.float32), len(items) + 5)[0].size == len(items)
    assert len(list(gallery.glob("vectors-*.faiss"))) <= 1
    assert {p.stem for p in gallery.glob("thumbs/*/*.webp")} == {i.digest for i in items}
    assert not list(gallery.rglob("*.part"))
    return items, vectors


def counts(report: Report) -> tuple[int, int, int, int, int]:
    return report.embedded, report.copied, report.described, report.removed, report.unchanged


def same(a: Path, b: Path) -> None:
    items_a, vectors_a = content(a)
    items_b, vectors_b = content(b)
    assert items_a == items_b
    np.testing.assert_allclose(vectors_a, vectors_b, rtol=1e-5)


def test_features_that_are_known_are_not_computed_again(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 4)
    known = {"a/00001.png": np.arange(DIM, dtype=np.float32)}
    build(root, model := FakeModel(), tmp_path / "g", features=known)
    assert model.pictures == 3
    items, vectors = content(tmp_path / "g")
    build(root, FakeModel(), tmp_path / "plain")
    for item, vector, plain in zip(items, vectors, content(tmp_path / "plain")[1], strict=True):
        np.testing.assert_array_equal(vector, known.get(item.path, plain))


def test_folder_with_everything_that_can_lie_in_it(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 6)
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (root / "notes.txt").write_text("no picture either")
    (root / "grüße 日本.png").write_bytes((root / "b/00000.png").read_bytes())
    (root / ".hidden.png").write_bytes((root / "b/00000.png").read_bytes())
    (tmp_path / "outside.png").write_bytes((root / "b/00000.png").read_bytes())
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "inside.png").symlink_to(root / "b/00002.png")
    (root / "dir.png").mkdir()
    (root / "elsewhere").symlink_to(tmp_path)
    (root / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.png")).write_bytes((root / "b/00000.png").read_bytes())
    report = build(root, model := FakeModel(), tmp_path / "g")
    assert report.tally.record()["dropped"] == {
        "link out of the folder": 1,
        "unreadable picture": 1,
        "unusable name": 1,
        "link to a folder": 1,
        "format that is not read (convert it to JPEG)": 1,
    }
    for line in (
        "  unreadable picture: broken.jpg",
        "  link out of the folder: link.png",
        r"  unusable name: 'caf\udce9.png'",
    ):
        assert line in report.line().splitlines()
    assert counts(report) == (6, 2, 0, 0, 0)
    assert model.pictures == 6
    assert {i.path for i in content(tmp_path / "g")[0]} >= {"grüße 日本.png", "inside.png", "a/00001.png"}


def test_a_gallery_inside_its_folder_of_pictures_does_not_index_itself(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 6)
    build(root, FakeModel(), root / "gallery")
    assert counts(build(root, FakeModel(), root / "gallery")) == (0, 0, 0, 0, 6)


def test_only_new_changed_and_removed_pictures_are_touched(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 40), tmp_path / "g"
    build(root, FakeModel(), out)
    again = build(root, model := FakeModel(), out)
    assert counts(again) == (0, 0, 0, 0, 40) and model.pictures == 0
    photos(root, 10, start=100)
    for i in range(10):
        picture(1000 + i).save(root / ("a" if i % 2 else "b") / f"{i:05d}.png")
    for i in range(10, 20):
        (root / ("a" if i % 2 else "b") / f"{i:05d}.png").unlink()
    report = build(root, model := FakeModel(), out)
    assert counts(report) == (20, 0, 0, 20, 20) and model.pictures == 20
    shutil.copytree(root, tmp_path / "copy")
    build(root, FakeModel(), tmp_path / "fresh")
    same(out, tmp_path / "fresh")


def test_a_touched_file_with_equal_content_is_not_embedded_again(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 4), tmp_path / "g"
    build(root, FakeModel(), out)
    os.utime(root / "a/00001.png", ns=(5, 5))
    report = build(root, model := FakeModel(), out)
    assert counts(report) == (0, 0, 1, 0, 3) and model.pictures == 0
    assert counts(build(root, FakeModel(), out)) == (0, 0, 0, 0, 4)


def test_interrupted_runs_go_on_and_end_equal(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 3 * BATCH + 5), tmp_path / "g"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            build(root, CrashingModel(after=BATCH), out)
    assert EmbeddedStore(out, "fake").count() == 2 * BATCH
    report = build(root, model := FakeModel(), out)
    assert report.unchanged == 2 * BATCH and model.pictures == BATCH + 5
    build(root, FakeModel(), tmp_path / "fresh")
    same(out, tmp_path / "fresh")


def test_duplicates_are_embedded_once(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 3)
    for i in range(5):
        shutil.copy(root / "a/00001.png", root / f"copy{i}.png")
    (root / "bad1.png").write_bytes(b"same rubbish")
    (root / "bad2.png").write_bytes(b"same rubbish")
    report = build(root, model := FakeModel(), tmp_path / "g")
    assert model.pictures == 3 and report.copied == 5
    assert sum(report.tally.dropped.values()) == 2
    items, vectors = content(tmp_path / "g")
    copies = [v for i, v in zip(items, vectors, strict=True) if i.path.startswith(("copy", "a/00001"))]
    assert len(copies) == 6 and (copies[0] == np.array(copies)).all()


def test_corpus_with_poses_and_splits(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    build(corpus.root, FakeModel(), tmp_path / "g")
    items, _ = content(tmp_path / "g")
    item = next(i for i in items if i.path == "c004/1.png")
    assert item.meta == {"cube": 4, "split": "test"}
    row = corpus.poses.rows(["c004/1.png"])[0]
    np.testing.assert_array_equal(item.joints, corpus.poses.joints[row])


def test_metadata_file_and_its_changes(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 3), tmp_path / "g"
    (root / "metadata.csv").write_text("path,person,note\na/00001.png,anna,\nb/00002.png,ben,x\n", "utf-8")
    build(root, FakeModel(), out)
    assert {i.path: i.meta for i in content(out)[0]} == {
        "a/00001.png": {"person": "anna"}, "b/00002.png": {"person": "ben", "note": "x"}, "b/00000.png": {},
    }  # fmt: skip
    (root / "metadata.csv").write_text("path,person\na/00001.png,anne\n", "utf-8")
    report = build(root, model := FakeModel(), out)
    assert counts(report) == (0, 0, 2, 0, 1) and model.pictures == 0
    (root / "metadata.csv").write_text("person\nanne\n", "utf-8")
    with pytest.raises(InputError, match="no column 'path'"):
        build(root, FakeModel(), out)


def test_boxes_make_one_item_for_each_person(tmp_path: Path) -> None:
    root, out = tmp_path / "photos", tmp_path / "g"
    root.mkdir()
    group = Image.new("RGB", (60, 20))
    group.paste(picture(1, (20, 20)), (0, 0))
    group.paste(picture(2, (20, 20)), (40, 0))
    group.save(root / "group.png")
    picture(1, (20, 20)).save(root / "one.png")
    write_json(root / "boxes.json", {"group.png": [[0, 0, 20, 20], [40, 0, 60, 20]]})
    build(root, FakeModel(), out)
    items, vectors = content(out)
    by_box = {i.box: v for i, v in zip(items, vectors, strict=True)}
    assert set(by_box) == {(0, 0, 20, 20), (40, 0, 60, 20), None}
    np.testing.assert_array_equal(by_box[0, 0, 20, 20], by_box[None])
    write_json(root / "boxes.json", {"group.png": [[0, 0, 20, 20]], "one.png": [[0, 0, 30, 20]]})
    report = build(root, FakeModel(), out)
    assert report.sides[0].tally.dropped == {"reaches outside the picture": 1}
    assert "  reaches outside the picture: one.png [0, 0, 30, 20]" in report.line().splitlines()
    assert {i.path: i.box for i in content(out)[0]} == {"group.png": (0, 0, 20, 20), "one.png": None}
    for wrong in ([], {"group.png": [[0, 0, 20]]}, {"group.png": [0, 0, 20, 20]}, {"group.png": 3}):
        write_json(root / "boxes.json", wrong)
        with pytest.raises(InputError, match=r"boxes\.json.*expected"):
            build(root, FakeModel(), out)


def test_exif_rotation_counts(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1, (40, 20)).save(root / "phone.jpg", exif=exif)
    build(root, FakeModel(), tmp_path / "g")
    item = content(tmp_path / "g")[0][0]
    assert (item.width, item.height) == (20, 40)


def test_forgotten_pictures_and_people_leave_nothing_and_do_not_come_back(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 8), tmp_path / "g"
    shutil.copy(root / "a/00001.png", root / "again=.png")
    table = "path,person,event\na/00003.png,anna,\na/00005.png,,party\nb/00002.png,ben,walk\n"
    (root / "metadata.csv").write_text(table, "utf-8")
    build(root, FakeModel(), out)
    digests = {i.path: i.digest for i in content(out)[0]}
    assert forget(out, ["again=.png"]) == ["a/00001.png", "again=.png"]
    assert forget(out, ["person=anna", "event=party"]) == ["a/00003.png", "a/00005.png"]
    left = {i.path for i in content(out)[0]}
    assert left == {"b/00000.png", "b/00002.png", "b/00004.png", "b/00006.png", "a/00007.png"}
    assert not thumb_path(out, digests["a/00003.png"]).exists()
    report = build(root, model := FakeModel(), out)
    assert model.pictures == 0 and report.tally.dropped == {"deleted on request": 4}
    assert {i.path for i in content(out)[0]} == left
    assert (root / "a/00003.png").exists()
    for entries in (["nobody.png"], ["a/00007.png", "person=nobody"], ["person="]):
        with pytest.raises(InputError, match=f"no picture is {entries[-1]} .*nothing was deleted"):
            forget(out, entries)
    assert {i.path for i in content(out)[0]} == left
    with pytest.raises(GalleryError, match="not a gallery"):
        forget(tmp_path / "photos", ["x"])


def test_what_is_refused_leaves_the_gallery_as_it_was(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 5), tmp_path / "g"
    build(root, FakeModel(), out)
    before = content(out)[0]
    with pytest.raises(GalleryError, match=r"made with model \? \(fake\), not with this one \(other\)"):
        build(root, FakeModel("other"), out)
    with pytest.raises(GalleryError, match=r"a gallery of .*photos, not of"):
        build(photos(tmp_path / "more", 2), FakeModel(), out)
    with pytest.raises(GalleryError, match="uses the store embedded"):
        build(root, FakeModel(), out, store="qdrant://localhost:1/x")
    with pytest.raises(InputError, match="picture folder not found"):
        build(tmp_path / "none", FakeModel(), out)
    with pytest.raises(InputError, match="picture folder not found"):
        build(tmp_path / "none", FakeModel(), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(GalleryError, match=r"00001\.png: not a writable folder"):
        build(root, FakeModel(), root / "a/00001.png")
    shutil.rmtree(root)
    root.mkdir()
    with pytest.raises(InputError, match="no pictures found"):
        build(root, FakeModel(), out)
    assert content(out)[0] == before
    config = read_json(out / "gallery.json")
    write_json(out / "gallery.json", {**config, "colour": 1})
    with pytest.raises(InputError, match="unknown key 'colour'"):
        Gallery.open(out, FakeModel())


def test_a_second_indexer_is_refused(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 2), tmp_path / "g"
    with writer_lock(out), pytest.raises(GalleryError, match="another process is indexing"):
        build(root, FakeModel(), out)
    assert build(root, FakeModel(), out).embedded == 2


@pytest.mark.slow
def test_of_two_indexing_processes_the_second_is_refused_in_one_line(tmp_path: Path, run_folder: Path) -> None:
    root, out = photos(tmp_path / "photos", 4), tmp_path / "g"
    command = [sys.executable, "-c", "from autocompose.cli import main; main()", "index", str(root), str(out)]
    with writer_lock(out):  # as the first holds it
        second = subprocess.run([*command, "--model", str(run_folder)], capture_output=True, text=True, check=False)
    assert second.returncode == 2 and second.stdout == ""
    assert second.stderr.count("\n") == 1 and "another process is indexing this gallery" in second.stderr


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 3 * BATCH)
    build(root, FakeModel(), tmp_path / "one")
    build(root, FakeModel(), tmp_path / "two", processes=2)
    same(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_a_loaded_model_goes_to_several_processes(tmp_path: Path, run_folder: Path) -> None:
    root, model = photos(tmp_path / "photos", 2 * BATCH), RunFolder(run_folder)
    model.embed_texts(["loaded here already"])
    build(root, model, tmp_path / "one")
    build(root, model, tmp_path / "two", processes=2)
    one, two = (EmbeddedStore(tmp_path / name, "") for name in ("one", "two"))
    items = list(one.items())
    assert items == list(two.items())
    ids = [i.id for i in items]
    np.testing.assert_allclose(one.vectors(ids), two.vectors(ids), atol=1e-5)


class SlowModel(FakeModel):
    def embed_images(self, images: list[Image.Image]) -> np.ndarray:
        time.sleep(0.2)
        return super().embed_images(images)


@pytest.mark.slow
def test_kill_9_in_the_middle(tmp_path: Path) -> None:
    """A real process, really killed, three times; each time at another point."""
    root, out = photos(tmp_path / "photos", 10 * BATCH), tmp_path / "g"
    spawn = multiprocessing.get_context("spawn")
    for done in (2, 4, 6):
        process = spawn.Process(target=build, args=(root, SlowModel(), out))
        process.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (out / "items.sqlite").exists() and _count(out) >= done * BATCH:
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert done * BATCH <= _count(out) < 10 * BATCH
    build(root, FakeModel(), out)
    build(root, FakeModel(), tmp_path / "fresh")
    same(out, tmp_path / "fresh")


def _count(out: Path) -> int:
    try:
        return EmbeddedStore(out, "fake").count()
    except GalleryError:  # the table is not there yet
        return 0
