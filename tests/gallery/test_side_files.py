"""What lies beside pictures, as strangers really have it: nothing ends the run, nothing is dropped without a word."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import GalleryError, InputError
from autocompose.core.files import write_json
from autocompose.corpus.poses import PoseTable
from autocompose.gallery.filter import parse_where
from autocompose.gallery.indexing.index import Report, build, forget
from autocompose.gallery.item import Item
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage.facts import Facts
from autocompose.gallery.storage.store import EmbeddedStore
from tests.fixtures.corpora import make_corpus, picture
from tests.fixtures.permissions import closed
from tests.gallery.fakes import FakeModel


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four pictures of 60 x 40, one of them in a folder."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for i, name in enumerate(("p0.jpg", "p1.jpg", "p2.jpg", "sub/p0.jpg")):
        picture(i, (60, 40)).save(folder / name)
    return folder


def indexed(root: Path) -> Report:
    return build(root, FakeModel(), root.parent / "g")


def items(root: Path) -> dict[str, Item]:
    return {item.path: item for item in EmbeddedStore(root.parent / "g", "fake").items()}


def found(root: Path, *where: str) -> list[str]:
    gallery = Gallery.open(root.parent / "g", FakeModel())
    hits = gallery.search(text="raise the left arm", where=parse_where(where), k=99).hits
    return sorted(hit.item.path for hit in hits)


# -- what cannot be read


def test_a_file_without_permission_is_counted_and_the_rest_goes_on(root: Path) -> None:
    with closed(root / "p1.jpg"):
        report = indexed(root)
    assert report.tally.line() == "pictures: 4 in, 3 kept; dropped 1: no permission to read it"
    assert "  no permission to read it: p1.jpg" in report.line().splitlines()
    assert set(items(root)) == {"p0.jpg", "p2.jpg", "sub/p0.jpg"}


def test_items_behind_a_closed_folder_are_kept_and_the_folder_is_named(root: Path) -> None:
    indexed(root)
    (root / "p1.jpg").unlink()
    with closed(root / "sub"):
        report = indexed(root)
    assert "  folder: no permission to read it: sub" in report.line().splitlines()
    assert (report.held, report.removed, report.unchanged) == (1, 1, 2)
    assert "1 kept though their pictures cannot be read now" in report.line()
    assert set(items(root)) == {"p0.jpg", "p2.jpg", "sub/p0.jpg"}
    (root / "sub" / "p0.jpg").unlink()
    assert indexed(root).removed == 1


def test_a_changed_picture_without_permission_keeps_its_item(root: Path) -> None:
    indexed(root)
    picture(9, (60, 40)).save(root / "p1.jpg")
    with closed(root / "p1.jpg"):
        report = indexed(root)
    assert (report.held, report.removed) == (1, 0) and "p1.jpg" in items(root)
    assert indexed(root).embedded == 1


def test_a_closed_folder_of_pictures_is_one_line_and_leaves_the_gallery(root: Path) -> None:
    indexed(root)
    with closed(root), pytest.raises(InputError, match=r"photos: no permission to read it"):
        indexed(root)
    assert len(items(root)) == 4


@pytest.mark.parametrize("name", ["metadata.csv", "boxes.json", "image_splits/train.json"])
def test_a_side_file_without_permission_ends_the_run_before_anything_is_lost(root: Path, name: str) -> None:
    (root / "image_splits").mkdir()
    for file, text in (("metadata.csv", "path,a\np0.jpg,1\n"), ("boxes.json", "{}"), ("image_splits/train.json", "[]")):
        (root / file).write_text(text)
    indexed(root)
    with closed(root / name), pytest.raises(InputError, match=rf"{name}: no permission to read it"):
        indexed(root)
    assert items(root)["p0.jpg"].meta == {"a": 1}


def test_a_gallery_without_permission_is_not_called_damaged(root: Path) -> None:
    indexed(root)
    gallery = root.parent / "g"
    with (
        closed(gallery / "items.sqlite"),
        pytest.raises(GalleryError, match=r"items\.sqlite: no permission to read"),
    ):
        Gallery.open(gallery, FakeModel())
    with closed(gallery / "gallery.json"), pytest.raises(InputError, match=r"gallery\.json: no permission to read it$"):
        Gallery.open(gallery, FakeModel())


def test_links_that_go_round_are_counted(root: Path) -> None:
    (root / "round.jpg").symlink_to("round.jpg")
    (root / "a.jpg").symlink_to("b.jpg")
    (root / "b.jpg").symlink_to("a.jpg")
    (root / "gone.jpg").symlink_to("nowhere.jpg")
    assert indexed(root).tally.dropped == {"not a file": 4}
    with pytest.raises(InputError, match="neither a picture of the gallery nor a file"):
        Gallery.open(root.parent / "g", FakeModel()).reference(root / "round.jpg")


@pytest.mark.parametrize("name", ["n" * 300, "x" * 5000, "\udcff.jpg", "a/b/c", ".", "/"])
def test_a_reference_of_any_name_is_one_line(root: Path, name: str) -> None:
    indexed(root)
    with pytest.raises(InputError, match="neither a picture of the gallery nor a file"):
        Gallery.open(root.parent / "g", FakeModel()).reference(name)


# -- metadata.csv


def test_rows_are_matched_by_any_spelling_and_the_others_named(root: Path) -> None:
    (root / "p2.jpg").rename(root / unicodedata.normalize("NFD", "zoë.jpg"))
    rows = ["path,person", r"sub\p0.jpg,anna", "./p1.jpg,bob", "ZOË.JPG,zoe", "p7.jpg,eve", ",nobody", "p0.jpg,a,b"]
    (root / "metadata.csv").write_text("\n".join(rows), "utf-8")
    report = indexed(root)
    assert found(root, "person=anna") == ["sub/p0.jpg"] and found(root, "person=bob") == ["p1.jpg"]
    assert found(root, "person=zoe") == [unicodedata.normalize("NFD", "zoë.jpg")]
    lines = report.line().splitlines()
    assert "metadata.csv rows: 6 in, 3 kept; dropped 1: matches no picture" in report.line()
    assert "  matches no picture: p7.jpg in line 5 (did you mean p1.jpg?)" in lines
    assert "  no path: line 6" in lines and "  more cells than the header has columns: line 7" in lines


def test_what_was_assumed_about_the_table_is_said(root: Path) -> None:
    (root / "metadata.csv").write_bytes("path;person\r\np0.jpg;Jörg\r\n".encode("cp1252"))
    lines = indexed(root).line().splitlines()
    assert "  metadata.csv: not UTF-8, read as Windows-1252; if letters look wrong, save it as CSV UTF-8" in lines
    assert "  metadata.csv: read as a table with semicolons" in lines
    assert found(root, "person=Jörg") == found(root, unicodedata.normalize("NFD", "person=Jörg")) == ["p0.jpg"]


def test_a_sound_table_needs_no_word(root: Path) -> None:
    (root / "metadata.csv").write_text("path,person\np0.jpg,anna\n")
    assert "metadata.csv" not in indexed(root).line()


def test_rows_that_contradict_each_other_are_named(root: Path) -> None:
    (root / "metadata.csv").write_text("path,a,b\np0.jpg,x,\np0.jpg,,y\n./p0.jpg,z,\n")
    report = indexed(root)
    assert items(root)["p0.jpg"].meta == {"a": "z", "b": "y"}
    assert "1 rows contradict an earlier row of their picture and win: p0.jpg" in report.line()


def test_spaces_around_cells_and_columns_do_not_count(root: Path) -> None:
    (root / "metadata.csv").write_text("path, person\np0.jpg, anna\np1.jpg, bob\n")
    indexed(root)
    assert found(root, "person=anna") == ["p0.jpg"]
    assert forget(root.parent / "g", ["person = anna"]) == ["p0.jpg"]


def test_columns_have_types_and_filters_find_every_spelling(root: Path) -> None:
    table = "path,occluded,age,share,code\np0.jpg,False,30.0,1e-05,007\np1.jpg,True,31.0,0.1,7\n"
    (root / "metadata.csv").write_text(table)
    indexed(root)
    assert items(root)["p0.jpg"].meta == {"occluded": False, "age": 30.0, "share": 1e-5, "code": "007"}
    for where in ("occluded=False", "occluded=false", "age=30", "age=30.0", "share=0.00001", "share=1e-05", "code=007"):
        assert found(root, where) == ["p0.jpg"], where
    assert found(root, "code=7") == ["p1.jpg"]
    assert forget(root.parent / "g", ["occluded=false"]) == ["p0.jpg"]


# -- boxes.json


def test_boxes_that_cannot_be_are_counted_and_the_others_used(root: Path) -> None:
    boxes = {
        "p0.jpg": [[10.0, 5.0, 50.0, 39.0], [30.2, 10, 30.8, 38]],
        r".\p1.jpg": [[0.1, 0.2, 0.9, 1.0], [-0.4, 0, 60.7, 40.2]],
        "p2.jpg": [[0, 0, 20, 90], [20, 0, 10, 10], [None, 0, 5, 5], ["1", 0, 5, 5], [0, 0, 1e300, 5], [True, 0, 5, 5]],
        "sub/p0.jpg": [[1, 1, 9, 9], [1, 1, 9, 9]],
        "nosuch.jpg": [[0, 0, 5, 5]],
    }
    (root / "boxes.json").write_text(json.dumps(boxes).replace("null", "NaN"))
    report = indexed(root)
    assert {path: item.box for path, item in items(root).items()} == {
        "p0.jpg": (10, 5, 50, 39), "p1.jpg": (0, 0, 60, 40), "p2.jpg": None, "sub/p0.jpg": (1, 1, 9, 9),
    }  # fmt: skip
    assert report.sides[0].tally.kept == 3 and dict(report.sides[0].tally.dropped) == {
        "thinner than a pixel (expected left, top, right, bottom)": 2,
        "from 0 to 1, expected pixels": 1,
        "reaches outside the picture": 1,
        "not four finite numbers": 4,
        "the same box twice": 1,
        "matches no picture": 1,
    }
    assert "  from 0 to 1, expected pixels: .\\p1.jpg [0.1, 0.2, 0.9, 1.0]" in report.line().splitlines()
    again = indexed(root)
    assert (again.unchanged, again.embedded, again.removed) == (4, 0, 0)


# -- poses.npz, image_splits


def poses(root: Path, names: tuple[str, ...], **columns: np.ndarray) -> None:
    joints = np.random.default_rng(0).normal(size=(len(names), 22, 3)).astype(np.float32)
    PoseTable(names, joints, np.zeros(len(names), np.float32), columns).save(root / "poses.npz")


def test_infinite_values_are_left_out_and_every_filter_goes_on(root: Path) -> None:
    psnr = np.array([30, np.inf, np.nan, 0.1], np.float32)
    kind, occluded = np.array(list("aabb")), np.array([True, False, False, True])
    poses(root, ("p0.jpg", "p1.jpg", r"sub\p0.jpg", "gone.jpg"), psnr=psnr, kind=kind, occluded=occluded)
    report = indexed(root)
    assert items(root)["p0.jpg"].meta == {"psnr": 30.0, "kind": "a", "occluded": True}
    assert items(root)["sub/p0.jpg"].meta == {"kind": "b", "occluded": False}
    assert found(root, "kind=a") == ["p0.jpg", "p1.jpg"] and found(root, "psnr=30") == ["p0.jpg"]
    assert found(root, "occluded=False") == ["p1.jpg", "sub/p0.jpg"]
    assert "  poses.npz: 1 values of the column psnr are infinite and left out" in report.line().splitlines()
    assert "  matches no picture: gone.jpg" in report.line()
    answer = Gallery.open(root.parent / "g", FakeModel()).search(text="sit", k=9).record()
    json.dumps(answer, allow_nan=False)


def test_dates_and_long_numbers_are_found_and_columns_of_other_types_named(root: Path) -> None:
    when = np.array(["2020-01-31", "NaT"], dtype="datetime64[D]")
    poses(root, ("p0.jpg", "p1.jpg"), when=when, number=np.array([2**62, 2**62 + 1]), phase=np.array([1j, 2j]))
    report = indexed(root)
    assert "  poses.npz: the column phase is left out (its type is complex128)" in report.line().splitlines()
    assert found(root, "when=2020-01-31") == ["p0.jpg"] and "when" not in items(root)["p1.jpg"].meta
    assert found(root, f"number={2**62}") == ["p0.jpg"] and found(root, f"number={2**62 + 1}") == ["p1.jpg"]


def test_two_poses_of_one_picture_are_named_and_the_later_wins(root: Path) -> None:
    poses(root, ("p0.jpg", "p0.jpg"), number=np.array([1, 2]))
    assert "  poses.npz: 1 rows come after another row of their picture and win: p0.jpg" in indexed(root).line()
    assert items(root)["p0.jpg"].meta == {"number": 2}


def test_a_pose_that_is_not_finite_is_no_pose(root: Path) -> None:
    poses(root, ("p0.jpg", "p1.jpg"))
    table = PoseTable.load(root / "poses.npz")
    table.joints[0, 3, 1] = np.inf
    table.save(root / "poses.npz")
    report = indexed(root)
    assert items(root)["p0.jpg"].joints is None and items(root)["p1.jpg"].joints is not None
    assert "1 poses hold numbers that are not finite" in report.line()


@pytest.mark.parametrize("content", ["3", "null", '{"a": 1}', "[1]", "[" * 100_000, '"train"', "NaN"])
def test_an_image_split_that_is_no_list_of_names_is_one_line(tmp_path: Path, content: str) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    (corpus.root / "image_splits" / "test.json").write_text(content)
    with pytest.raises(InputError, match=r"image_splits/test\.json: ") as raised:
        build(corpus.root, FakeModel(), tmp_path / "g")
    assert "\n" not in str(raised.value)


def test_names_of_a_split_without_a_picture_are_counted(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    name = corpus.galleries["test"][0]
    corpus.image_path(name).unlink()
    assert f"  matches no picture: {name}" in build(corpus.root, FakeModel(), tmp_path / "g").line()


def test_files_with_a_byte_order_mark_are_read(root: Path) -> None:
    (root / "boxes.json").write_bytes(b'\xef\xbb\xbf{"p0.jpg": [[10, 5, 50, 39]]}')
    (root / "metadata.csv").write_bytes(b"\xef\xbb\xbfpath,person\np0.jpg,anna\n")
    indexed(root)
    assert items(root)["p0.jpg"].box == (10, 5, 50, 39) and found(root, "person=anna") == ["p0.jpg"]


# -- pictures with other endings


def test_pictures_are_used_or_counted_whatever_their_ending(root: Path) -> None:
    for i, name in enumerate(("a.jfif", "b.JFIF", "c.jpe", "d.mpo", "e", "f.jpg_large")):
        picture(20 + i).save(root / name, "JPEG")
    for name in ("g.orf", "h.rw2", "i.raf", "j.tga", "k.svg", "l.cr2"):
        (root / name).write_bytes(b"II*\0" * 20)
    (root / "notes.txt").write_text("no picture")
    report = indexed(root)
    assert report.embedded == 10 and sum(report.tally.dropped.values()) == 6
    for name in ("g.orf", "h.rw2", "i.raf", "j.tga", "k.svg", "l.cr2"):
        assert name in report.line()


# -- galleries of earlier versions


def test_a_gallery_with_infinite_numbers_of_an_earlier_version_opens(root: Path) -> None:
    (root / "metadata.csv").write_text("path,kind\np0.jpg,a\np1.jpg,b\n")
    indexed(root)
    store = EmbeddedStore(root.parent / "g", "fake", write=True)
    old = '{"kind": "a", "psnr": Infinity, "loss": NaN, "occluded": false}'
    store._db.execute("UPDATE items SET meta = ? WHERE path = 'p0.jpg'", (old,))
    store._db.commit()
    store.close()
    assert items(root)["p0.jpg"].meta == {"kind": "a", "occluded": False}
    assert found(root, "kind=a") == found(root, "occluded=False") == ["p0.jpg"]
    assert EmbeddedStore(root.parent / "g", "fake").columns() == {"kind": ("a", "b"), "occluded": (False,)}


def test_columns_of_any_name_can_be_filtered_by() -> None:
    facts = Facts.of([(1, {'say "x"': "a", "a.b": 1}), (2, {'say "x"': "b"})])
    assert facts.select({'say "x"': ("a",), "a.b": ("1",)}).tolist() == [1]
    with pytest.raises(InputError, match=r"'c': the gallery has no such column; it has: a\.b, say"):
        facts.select({"c": ("1",)})


def test_names_with_half_a_surrogate_in_side_files_are_counted(root: Path) -> None:
    write_json(root / "boxes.json", {"\ud800.jpg": [[0, 0, 5, 5]]})
    line = indexed(root).line()
    assert "matches no picture" in line and line.encode("utf-8")


def test_a_side_file_elsewhere_is_named_by_its_address(root: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(root / "p0.jpg", "photos/p0.jpg")
        archive.writestr("photos/metadata.csv", "name\np0.jpg\n")
    address = f"zip://photos::{tmp_path / 'photos.zip'}"
    with pytest.raises(InputError, match=rf"^zip://photos/metadata\.csv::{tmp_path}/photos\.zip: no column 'path'"):
        build(address, FakeModel(), tmp_path / "g")
