"""A gallery touches nothing that it did not make, and sees every change of what it was made from."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from autocompose.core.errors import GalleryError, StorageError
from autocompose.core.files import read_json, write_json
from autocompose.corpus.pictures import folder as folder_module
from autocompose.gallery.gallery_folder import read_config
from autocompose.gallery.indexing import index as index_module
from autocompose.gallery.indexing.index import build, forget
from autocompose.gallery.indexing.thumbs import sweep_thumbs, thumb_path
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.answer_sheet import write_sheet
from autocompose.gallery.storage.store import EmbeddedStore
from tests.fixtures.corpora import picture
from tests.fixtures.tree import tree
from tests.gallery.fakes import FakeModel, photos
from tests.gallery.test_index import content


def items(gallery: Path) -> list[str]:
    return [item.path for item in EmbeddedStore(gallery, "fake").items()]


def test_a_folder_with_the_users_files_is_no_gallery(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 3)
    photos(root / "thumbs/2019", 2, start=3)
    before = tree(root)
    for out in (root, root / "thumbs", root / "a"):
        with pytest.raises(GalleryError, match="not empty and not a gallery made by this program"):
            build(root, FakeModel(), out)
    assert tree(root) == before


def test_files_of_the_user_in_a_gallery_stay(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 3), tmp_path / "g"
    build(root, FakeModel(), out)
    mine = [out / "thumbs/holiday/x.webp", out / "thumbs/ab/x.webp", out / "vectors-old.faiss", out / "vectors-7.faiss"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    (root / "b/00000.png").unlink()
    assert build(root, FakeModel(), out).removed == 1
    assert all(path.read_bytes() == b"mine" for path in mine)
    assert len(list(out.glob("vectors-*.faiss"))) == 3, "the old file of ours is gone"


def test_only_thumbnails_of_ours_are_swept(tmp_path: Path) -> None:
    ours, kept = thumb_path(tmp_path, "ab" + "0" * 62), thumb_path(tmp_path, "ab" + "1" * 62)
    others = [ours.with_suffix(".jpg"), ours.with_name("holiday.webp"), tmp_path / "thumbs/cd" / ours.name]
    for path in (ours, kept, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    sweep_thumbs(tmp_path, {kept.stem})
    assert not ours.exists() and kept.exists() and all(path.exists() for path in others)


def test_galleries_among_the_pictures_are_not_indexed_and_counted(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 3)
    build(root, FakeModel(), root / "one")
    report = build(root, FakeModel(), root / "deep/two")
    assert report.embedded == 3 and report.tally.dropped["gallery in the folder"] == 1
    report = build(root, FakeModel(), root / "one")
    assert (report.embedded, report.unchanged) == (0, 3)
    assert report.tally.examples["gallery in the folder"] == ["one", "deep/two"]


def test_a_gallery_json_of_another_program_hides_no_pictures(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 3)
    write_json(root / "a/gallery.json", {"title": "Holiday"})
    assert build(root, FakeModel(), tmp_path / "g").embedded == 3


def test_a_gallery_that_version_0_1_made_among_the_pictures_goes_on(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 3)
    build(root, FakeModel(), tmp_path / "g")
    for path in sorted((tmp_path / "g").rglob("*")):
        if path.is_file():
            target = root / path.relative_to(tmp_path / "g")
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    report = build(root, FakeModel(), root)
    assert (report.embedded, report.unchanged, report.removed) == (0, 3, 0)
    content(root)


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = tmp_path / "photos", tmp_path / "g"
    root.mkdir()
    path = root / "x.bmp"  # every picture of this size has as many bytes
    picture(1).save(path)
    os.utime(path, ns=(10**18, 10**18))
    later = time.time_ns() + 10**10
    monkeypatch.setattr(index_module.time, "time_ns", lambda: later)
    build(root, FakeModel(), out)
    assert build(root, FakeModel(), out).unchanged == 1
    size = path.stat().st_size
    picture(2).save(path)
    os.utime(path, ns=(10**18, 10**18))
    assert path.stat().st_size == size
    assert build(root, FakeModel(), out).embedded == 1


def test_a_picture_that_changed_as_it_was_indexed_is_read_again(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 1), tmp_path / "g"
    build(root, FakeModel(), out)
    config = read_config(out)
    assert config and config.indexed_ns
    store = EmbeddedStore(out, "fake", write=True)
    (item,) = store.items()
    assert item.mtime_ns + 2_000_000_000 > config.indexed_ns, "the clock may not have ticked in between"
    store.close()
    reads: list[Path] = []
    real = folder_module.file_hash
    folder_module.file_hash = lambda path: reads.append(path) or real(path)  # type: ignore[assignment, func-returns-value]
    try:
        assert build(root, FakeModel(), out).unchanged == 1
    finally:
        folder_module.file_hash = real
    assert len(reads) == 1


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = photos(tmp_path / "photos", 3), tmp_path / "g"
    build(root, FakeModel(), out)
    photos(root, 40, start=3)
    store = EmbeddedStore(out, "fake", write=True)
    pages = store._rows("PRAGMA page_count")[0][0]
    store.close()
    connect = EmbeddedStore._connect

    def small(self: EmbeddedStore, write: bool):
        db = connect(self, write)
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    monkeypatch.setattr(EmbeddedStore, "_connect", small)
    with pytest.raises(StorageError, match=r"items\.sqlite: cannot be written \(.*full\); free space and run"):
        build(root, FakeModel(), out)
    monkeypatch.undo()
    assert build(root, FakeModel(), out).unchanged == 3
    assert len(content(out)[0]) == 43


def test_forgetting_leaves_the_users_files_in_the_gallery(tmp_path: Path) -> None:
    root, out = photos(tmp_path / "photos", 2), tmp_path / "g"
    build(root, FakeModel(), out)
    mine = out / "thumbs/00/note.webp"
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.touch()
    forget(out, ["b/00000.png"])
    assert mine.exists() and items(out) == ["a/00001.png"]


def test_the_page_of_a_search_leaves_nothing_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    build(photos(tmp_path / "photos", 3), FakeModel(), tmp_path / "g")
    opened = Gallery.open(tmp_path / "g", FakeModel())
    pages = {write_sheet(opened, opened.search(text=text)) for text in ("raise the arm", "lower the arm")}
    (page,) = pages
    assert page.is_relative_to(tmp_path / "cache") and page.parent.stat().st_mode & 0o077 == 0
    assert not list((tmp_path / "temp").iterdir())
    mine = tmp_path / "mine.html"
    mine.write_text("<html>mine")
    with pytest.raises(Exception, match="already exists"):
        write_sheet(opened, opened.search(text="raise the arm"), mine)
    assert mine.read_text() == "<html>mine"
    assert read_json(tmp_path / "g/gallery.json")["format"] == 1
