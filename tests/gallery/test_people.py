from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import InputError
from autocompose.core.files import read_json, write_json
from autocompose.corpus.pictures.folder import PictureFolder
from autocompose.corpus.poses import PoseTable
from autocompose.gallery.indexing.index import build, forget
from autocompose.gallery.indexing.people import read_people
from autocompose.gallery.indexing.picture_names import PictureNames
from autocompose.gallery.item import Item
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage.store import EmbeddedStore
from tests.fixtures.corpora import picture
from tests.gallery.fakes import FakeModel


def items(gallery: Path) -> list[Item]:
    return sorted(EmbeddedStore(gallery, "fake").items(), key=lambda item: (item.path, item.box or ()))


def poses(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 22, 3)).astype(np.float32)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A group of two, one that lies (by its EXIF orientation), and a landscape."""
    root = tmp_path / "photos"
    root.mkdir()
    group = Image.new("RGB", (200, 100))
    group.paste(picture(1, (50, 80)), (20, 10))
    group.paste(picture(2, (60, 90)), (120, 5))
    group.save(root / "group.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(3, (100, 60)).save(root / "turned.jpg", exif=exif)
    picture(4, (80, 40)).save(root / "landscape.png")
    return root


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """What ``prepare folder`` leaves of them."""
    boxes = np.array([[20, 10, 70, 90], [120, 5, 180, 95], [5, 10, 58, 99], [0, 0, 9, 9]])
    columns = {"box": boxes, "sequence": np.array(["group.png", "group.png", "turned.jpg", "gone.png"])}
    names = ("group.png-1.jpg", "group.png-2.jpg", "turned.jpg-1.jpg", "gone.png-1.jpg")
    (tmp_path / "corpus").mkdir()
    PoseTable(names, poses(4), np.zeros(4, np.float32), columns).save(tmp_path / "corpus" / "poses.npz")
    return tmp_path / "corpus"


def test_each_person_becomes_an_item_with_box_and_pose(photos: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "g"
    report = build(photos, FakeModel(), out, people=corpus)
    assert report.embedded == 4
    first, second, landscape, turned = items(out)
    assert (landscape.path, landscape.box, landscape.joints) == ("landscape.png", None, None)
    assert first.box == (14, 4, 76, 96) and second.box == (113, 0, 187, 100)  # 8 % of the longer side around them
    assert turned.box == (0, 3, 60, 100) and (turned.width, turned.height) == (60, 100)
    for item, pose in zip((first, second, turned), poses(4), strict=False):
        np.testing.assert_array_equal(item.joints, pose)
    with Gallery.open(out, FakeModel()).open_picture(second) as crop:
        assert crop.size == (74, 100)
    assert len(Gallery.open(out, FakeModel()).search(reference=first, text="sit", k=9).hits) == 3


def test_the_next_run_needs_not_be_told_again(photos: Path, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "g"
    build(photos, FakeModel(), out, people=corpus)
    before = items(out)
    again = build(photos, model := FakeModel(), out)
    assert (again.unchanged, again.embedded, again.removed, model.pictures) == (4, 0, 0, 0) and items(out) == before
    table = PoseTable.load(corpus / "poses.npz")
    PoseTable(table.names, poses(4, seed=1), table.yaw, table.columns).save(corpus / "poses.npz")
    assert build(photos, FakeModel(), out).described == 3
    assert forget(out, ["group.png"]) == ["group.png"] and [i.path for i in items(out)] == [
        "landscape.png",
        "turned.jpg",
    ]


def test_keypoints_make_boxes_too(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    for folder in ("images", "captions"):
        (root / folder).mkdir(parents=True)
    picture(1, (100, 100)).save(root / "images" / "a.png")
    points = np.full((1, 17, 2), 50.0, np.float32)
    points[0, 0], points[0, 1] = (40, 20), (60, 70)
    table = PoseTable(("a.png",), poses(1), np.zeros(1, np.float32), {"coco2d": points})
    table.save(root / "poses.npz")
    build(root, FakeModel(), tmp_path / "g", people=root)
    (item,) = items(tmp_path / "g")
    assert item.box == (34, 14, 66, 76)
    np.testing.assert_array_equal(item.joints, poses(1)[0])


def test_one_box_in_a_picture_with_a_pose_is_that_person(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    for name in ("one.png", "two.png", "none.png"):
        picture(len(name), (40, 40)).save(root / name)
    names = ("one.png", "two.png", "none.png")
    PoseTable(names, poses(3), np.zeros(3, np.float32)).save(root / "poses.npz")
    write_json(root / "boxes.json", {"one.png": [[0, 0, 20, 40]], "two.png": [[0, 0, 20, 40], [20, 0, 40, 40]]})
    build(root, FakeModel(), tmp_path / "g")
    none, one, *two = items(tmp_path / "g")
    assert none.joints is not None and one.joints is not None and [i.joints for i in two] == [None, None]


def test_people_that_cannot_be_used(photos: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pose file not found"):
        read_people(tmp_path / "none", PictureNames((), photos), PictureFolder(str(photos)))
    with pytest.raises(InputError, match="none of its people is in a picture below"):
        read_people(corpus, PictureNames((), tmp_path), PictureFolder(str(tmp_path)))
    PoseTable(("a",), poses(1), np.zeros(1, np.float32)).save(corpus / "poses.npz")
    with pytest.raises(InputError, match="has no positions of people"):
        build(photos, FakeModel(), tmp_path / "g", people=corpus)
    assert not (tmp_path / "g" / "gallery.json").exists()


def test_a_refused_run_does_not_change_what_is_remembered(photos: Path, corpus: Path, tmp_path: Path) -> None:
    build(photos, FakeModel(), tmp_path / "g", people=corpus)
    with pytest.raises(InputError, match="pose file not found"):
        build(photos, FakeModel(), tmp_path / "g", people=tmp_path / "none")
    assert read_json(tmp_path / "g" / "gallery.json")["people"] == str(corpus.resolve())
