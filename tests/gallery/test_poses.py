"""People and poses that are found while indexing; the finder is one whose people are red bars."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import GalleryError, InputError
from autocompose.core.files import read_json, write_json
from autocompose.corpus.poses import PoseTable
from autocompose.estimate.estimator import Person
from autocompose.gallery.indexing.index import build
from autocompose.gallery.indexing.report import Report
from autocompose.gallery.item import Item
from autocompose.gallery.search import EARLIER, Gallery
from autocompose.gallery.storage.store import EmbeddedStore
from tests.fixtures.bar_finder import DEADLY, BarFinder, figure
from tests.fixtures.odd_pictures import ODD_EXIF, saved
from tests.fixtures.permissions import closed
from tests.fixtures.photos import photo
from tests.gallery.fakes import DIM, CrashingModel, FakeModel

TEXT = "Raise your left hand."


def items(gallery: Path) -> list[Item]:
    return sorted(EmbeddedStore(gallery, "fake").items(), key=lambda item: (item.path, item.box or ()))


def content(gallery: Path) -> tuple[list[Item], list[bytes]]:
    store = EmbeddedStore(gallery, "fake")
    found = list(store.items())
    return found, [vector.tobytes() for vector in store.vectors([item.id for item in found])]


def many(root: Path, count: int) -> Path:
    """Pictures of one large person each, and some of nobody."""
    for i in range(count):
        photo(root / f"{i:04d}.png", [(50, 8 + i % 40, 70)] if i % 5 else [], size=(160, 90 + i // 40))
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    photo(root / "one.png", [(60, 30, 84)])
    photo(root / "two.png", [(20, 20, 60), (100, 30, 40)])
    photo(root / "small.png", [(20, 6, 32)])
    photo(root / "nobody.png", [])
    return root


@pytest.fixture
def gallery(photos: Path, tmp_path: Path) -> Iterator[Gallery]:
    build(photos, FakeModel(), tmp_path / "g", finder=BarFinder())
    opened = Gallery.open(tmp_path / "g", FakeModel())
    opened.finder = BarFinder()
    yield opened
    opened.close()


def test_people_boxes_and_poses_come_in_the_same_pass(photos: Path, tmp_path: Path) -> None:
    report = build(photos, FakeModel(), tmp_path / "g", finder=BarFinder())
    assert (report.embedded, report.persons, report.people.kept) == (5, 4, 3)
    lines = report.line().splitlines()
    assert "pictures searched for people: 4; 4 people with a pose in 3 of them" in lines
    assert "  nobody was found; the picture stays whole: nobody.png" in lines
    nobody, one, small, first, second = items(tmp_path / "g")
    assert (nobody.box, nobody.pose, nobody.record()["pose"]) == (None, None, "none")
    assert nobody.about_pose == "nobody was found in it"
    assert one.box is None and one.record()["pose"] == "estimated"  # fills the picture
    assert small.box == (17, 26, 29, 64)  # 8 % of the longer side around the bar
    assert (first.box, second.box) == ((15, 10, 45, 80), (97, 22, 133, 68))
    bar = figure(60, 3, 90, 87)
    np.testing.assert_allclose(one.pose.joints, bar.joints, atol=1e-6)
    np.testing.assert_array_equal(one.pose.uncertainty, bar.uncertainty)
    np.testing.assert_allclose(one.pose.landmarks[:, :2], bar.points)


class SeeingModel(FakeModel):
    """Sees with a finder: where the joints of the person are."""

    @property
    def finder(self) -> str:
        return "bars"

    def embed_people(self, people: Sequence[Sequence[Person]]) -> np.ndarray:
        return np.array([seen[0].joints[: DIM // 3].ravel() if seen else np.ones(DIM) for seen in people], np.float32)


def test_a_model_that_sees_with_the_finder_looks_at_no_picture_again(photos: Path, tmp_path: Path) -> None:
    build(photos, model := SeeingModel(), tmp_path / "g", finder=BarFinder())
    assert model.pictures == 0
    with closing(Gallery.open(tmp_path / "g", model)) as gallery:
        rows = list(gallery.store.items())
        joints = [item.pose.joints[: DIM // 3].ravel() if item.pose else np.ones(DIM) for item in rows]
        np.testing.assert_allclose(gallery.store.vectors([item.id for item in rows]), np.array(joints), atol=1e-6)
        gallery.finder = BarFinder()
        with Image.open(photos / "one.png") as picture:
            reference = gallery.outside(picture.convert("RGB"))
        assert reference.pose and model.pictures == 0
        np.testing.assert_allclose(reference.vector, reference.pose.joints[: DIM // 3].ravel())
    build(photos, model, tmp_path / "other", finder=BarFinder("other"))
    assert model.pictures == 5


def test_without_poses_pictures_are_only_embedded(photos: Path, tmp_path: Path) -> None:
    build(photos, FakeModel(), tmp_path / "g")
    assert [item.about_pose for item in items(tmp_path / "g")] == ["no pose"] * 4
    again = build(photos, model := FakeModel(), tmp_path / "g", finder=BarFinder())
    assert again.persons == 4 and model.pictures == 5
    fresh = tmp_path / "fresh"
    build(photos, FakeModel(), fresh, finder=BarFinder())
    assert content(tmp_path / "g") == content(fresh)


def test_a_second_run_looks_at_nothing_again_and_another_finder_at_all(photos: Path, tmp_path: Path) -> None:
    build(photos, FakeModel(), tmp_path / "g", finder=BarFinder())
    again = build(photos, model := FakeModel(), tmp_path / "g", finder=(same := BarFinder()))
    assert (again.unchanged, again.embedded, model.pictures, same.looked) == (5, 0, 0, 0)
    build(photos, FakeModel(), tmp_path / "g", finder=(other := BarFinder("other")))
    assert other.looked == 4


def test_known_poses_and_boxes_win(photos: Path, tmp_path: Path) -> None:
    known = np.random.default_rng(0).normal(size=(2, 22, 3)).astype(np.float32)
    PoseTable(("one.png", "nobody.png"), known, np.zeros(2, np.float32)).save(photos / "poses.npz")
    write_json(photos / "boxes.json", {"two.png": [[10, 0, 60, 90]]})
    build(photos, FakeModel(), tmp_path / "g", finder=(finder := BarFinder()))
    nobody, one, small, two = items(tmp_path / "g")
    assert [item.record()["pose"] for item in (nobody, one, small, two)] == ["known", "known", "estimated", "estimated"]
    np.testing.assert_array_equal(one.pose.joints, known[0])
    assert two.box == (10, 0, 60, 90) and two.pose.landmarks[0, 0] == 30  # in pixels of the whole picture
    assert finder.looked == 2
    (photos / "poses.npz").unlink()  # then it is estimated
    build(photos, FakeModel(), tmp_path / "g", finder=BarFinder())
    assert [item.record()["pose"] for item in items(tmp_path / "g")] == ["none", "estimated", "estimated", "estimated"]


def test_duplicates_are_searched_once(photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "two.png", photos / "copy.png")
    report = build(photos, FakeModel(), tmp_path / "g", finder=(finder := BarFinder()))
    assert (report.copied, finder.looked) == (2, 4)
    copies = [item for item in items(tmp_path / "g") if item.path == "copy.png"]
    assert [item.box for item in copies] == [(15, 10, 45, 80), (97, 22, 133, 68)] and all(c.pose for c in copies)


def test_a_failing_network_costs_a_picture_its_pose_and_nothing_else(photos: Path, tmp_path: Path) -> None:
    pixels = np.full((90, 160, 3), 128, np.uint8)
    pixels[0, 0] = DEADLY
    Image.fromarray(pixels).save(photos / "deadly.png")
    report = build(photos, FakeModel(), tmp_path / "g", finder=BarFinder())
    assert "  pose estimation failed; the picture stays whole: deadly.png" in report.line().splitlines()
    assert {item.path: item.about_pose for item in items(tmp_path / "g")}["deadly.png"] == "no pose"
    again = build(photos, FakeModel(), tmp_path / "g", finder=(finder := BarFinder()))
    assert finder.looked == 1 and again.unchanged == 5  # it is tried again


def test_bad_pictures_have_one_reason_each_and_the_rest_is_used(photos: Path, tmp_path: Path) -> None:
    """What a phone's folder may hold, as ``prepare folder`` meets it too."""
    bar = Image.open(photos / "one.png")
    Image.new("RGB", (1, 1), (128, 128, 128)).save(photos / "pixel.png")
    Image.new("RGB", (20_000, 50), (128, 128, 128)).save(photos / "strip.png")
    bar.convert("RGBA").save(photos / "four.png")
    bar.convert("CMYK").save(photos / "cmyk.jpg", quality=95)
    Image.fromarray(np.asarray(bar.convert("L"), np.uint16) * 257).save(photos / "deep.png")
    (photos / "cut.png").write_bytes((photos / "one.png").read_bytes()[:200])
    (photos / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(60))
    (photos / "odd.jpg").write_bytes(saved(bar, exif=ODD_EXIF["resolution as byte"][0], quality=95))
    Path(os.fsdecode(os.fsencode(photos) + b"/\xe4.png")).write_bytes((photos / "one.png").read_bytes())
    shutil.copy(photos / "one.png", photos / "private.png")
    with closed(photos / "private.png"):
        report = build(photos, FakeModel(), tmp_path / "g", finder=BarFinder())
    dropped = report.tally.record()["dropped"]
    assert sum(dropped.values()) == 4 and dropped["unusable name"] == dropped["unreadable picture"] == 1
    assert (
        dropped["format that is not read (convert it to JPEG)"] == 1
        and "  unreadable picture: cut.png" in report.line()
    )
    assert "private.png" in report.line()
    poses = {item.path: item.record()["pose"] for item in items(tmp_path / "g")}
    assert {path for path, pose in poses.items() if pose == "none"} == {
        "nobody.png",
        "pixel.png",
        "strip.png",
        "deep.png",
    }
    assert {path for path, pose in poses.items() if pose != "none"} == {
        "one.png", "two.png", "small.png", "four.png", "cmyk.jpg", "odd.jpg",
    }  # fmt: skip


def test_an_interrupted_run_ends_equal(tmp_path: Path) -> None:
    root = many(tmp_path / "photos", 50)
    with pytest.raises(KeyboardInterrupt):
        build(root, CrashingModel(after=16), tmp_path / "g", finder=BarFinder())
    build(root, FakeModel(), tmp_path / "g", finder=(finder := BarFinder()))
    build(root, FakeModel(), tmp_path / "fresh", finder=BarFinder())
    assert content(tmp_path / "g") == content(tmp_path / "fresh") and finder.looked < 50


# -- searching


def test_an_uploaded_or_foreign_reference_gets_its_pose_at_once(gallery: Gallery, tmp_path: Path) -> None:
    path = photo(tmp_path / "mine.png", [(10, 26, 50), (100, 8, 40)])
    reference = gallery.reference(path)
    assert reference.kind == "estimated" and reference.box == (6, 16, 40, 74)
    answer = gallery.search(reference=path, text=TEXT)
    assert answer.engine == "learned + symbolic" and answer.record()["reference_pose"] == "estimated"
    assert answer.hits[-1].item.path == "nobody.png"
    nobody = photo(tmp_path / "empty.png", [])
    answer = gallery.search(reference=nobody, text=TEXT)
    assert (answer.engine, answer.why) == ("learned", "nobody was found in the reference picture")
    with pytest.raises(InputError, match="symbolic engine cannot answer: nobody was found in the reference"):
        gallery.search(reference=nobody, text=TEXT, engine="symbolic")


def test_a_failing_network_costs_the_reference_its_pose_only(gallery: Gallery) -> None:
    answer = gallery.search(reference=Image.new("RGB", (50, 50), DEADLY), text=TEXT)
    assert (answer.engine, answer.why) == ("learned", "pose estimation failed on the reference picture")


def test_a_model_made_for_renders_says_so_on_photographs(gallery: Gallery) -> None:
    model = FakeModel()
    assert not gallery.search(text=TEXT).notes
    model.card = {"pictures": "renders"}
    opened = Gallery(gallery.folder, gallery.config, gallery.store, model)
    (note,) = opened.search(text=TEXT).notes
    assert "only seen rendered bodies" in note


def test_a_gallery_of_an_earlier_version_opens_searches_and_says_what_to_do(photos: Path, tmp_path: Path) -> None:
    known = np.random.default_rng(0).normal(size=(2, 22, 3)).astype(np.float32)
    PoseTable(("one.png", "two.png"), known, np.zeros(2, np.float32)).save(photos / "poses.npz")
    out = tmp_path / "g"
    build(photos, FakeModel(), out)
    config = read_json(out / "gallery.json")
    write_json(out / "gallery.json", {k: v for k, v in config.items() if k not in ("poses", "pose_weights")})
    with sqlite3.connect(out / "items.sqlite") as db:
        for column in ("estimate", "searched"):
            db.execute(f"ALTER TABLE items DROP COLUMN {column}")
    old = Gallery.open(out, FakeModel())
    answer = old.search(reference="one.png", text=TEXT)
    assert answer.engine == "learned + symbolic" and EARLIER in answer.notes and len(answer.hits) == 3
    old.close()
    build(photos, FakeModel(), out, finder=BarFinder())
    again = Gallery.open(out, FakeModel())
    assert EARLIER not in again.search(text=TEXT).notes
    assert {i.path: i.record()["pose"] for i in again.store.items()} == {
        "one.png": "known", "two.png": "known", "small.png": "estimated", "nobody.png": "none",
    }  # fmt: skip


class SlowFinder(BarFinder):
    def find(self, picture):  # type: ignore[no-untyped-def]
        time.sleep(0.02)
        return super().find(picture)


@pytest.mark.slow
def test_kill_9_while_people_are_looked_for(tmp_path: Path) -> None:
    root, out = many(tmp_path / "photos", 160), tmp_path / "g"
    spawn = multiprocessing.get_context("spawn")
    for done in (30, 90):
        process = spawn.Process(target=build, args=(root, FakeModel(), out), kwargs={"finder": SlowFinder()})
        process.start()
        deadline = time.monotonic() + 120
        while process.is_alive() and time.monotonic() < deadline and _count(out) < done:
            time.sleep(0.01)
        assert process.is_alive()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    report: Report = build(root, FakeModel(), out, finder=(finder := BarFinder()))
    assert finder.looked < 90 and report.unchanged >= 90
    build(root, FakeModel(), tmp_path / "fresh", finder=BarFinder())
    assert content(out) == content(tmp_path / "fresh")


@pytest.mark.slow
def test_any_number_of_processes_finds_the_same(tmp_path: Path) -> None:
    root = many(tmp_path / "photos", 60)
    build(root, FakeModel(), tmp_path / "one", finder=BarFinder())
    build(root, FakeModel(), tmp_path / "two", finder=BarFinder(), processes=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def _count(out: Path) -> int:
    try:
        return EmbeddedStore(out, "fake").count()
    except GalleryError:  # the table is not there yet
        return 0
