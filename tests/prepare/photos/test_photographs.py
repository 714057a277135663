from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.bodies.skeleton import SMPL22
from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import InputError, NothingLeftError, PoseError
from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.corpus.validate import validate
from autocompose.prepare.pairing.mined import Mining
from autocompose.prepare.photos import estimator, pose_worker
from autocompose.prepare.photos.estimator import Estimator, pose_python
from autocompose.prepare.photos.photographs import Wanted, crop_name, photo_files, prepare_folder
from tests.fixtures import fake_pose_worker_path
from tests.fixtures.photos import make_photos, photo
from tests.fixtures.tree import tree

WIDE = Mining(low=0.0, high=0.9999, texts=1)
SMALL = Wanted(height=20, side=64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOCOMPOSE_POSE_PYTHON", sys.executable)
    monkeypatch.setattr(pose_worker, "__file__", str(fake_pose_worker_path()))


@pytest.mark.usefixtures("fake")
def test_people_become_pictures_poses_pairs_and_texts(photos: Path, tmp_path: Path) -> None:
    corpus = prepare_folder(photos, tmp_path / "out", wanted=SMALL, mining=WIDE)
    assert corpus.poses is not None
    record = json.loads((tmp_path / "out/prepare.manifest.json").read_text())["tallies"]
    assert record["pictures"]["dropped"] == {"no person found": 1, "not a readable picture": 1}
    assert record["people"]["dropped"] == {"smaller than 20 pixels": 1, "fewer than 10 of 12 joints in sight": 1}
    assert len(corpus.poses.names) == record["people"]["kept"] == 25
    assert {"day0/p0.png-1.jpg", "day0/p0.png-2.jpg", "turned.jpg-1.jpg"} <= set(corpus.poses.names)
    assert corpus.poses.columns["score"].min() == pytest.approx(0.9)
    assert corpus.pairs[Split.TRAIN] and all(p.texts["auto"] for p in corpus.pairs[Split.TRAIN])
    assert not [fault for check in validate(tmp_path / "out", images=True) for fault in check.faults]
    photos_of = {s: {n.rpartition("-")[0] for n in g} for s, g in corpus.galleries.items()}
    assert not photos_of[Split.TRAIN] & photos_of[Split.TEST]  # two people of one photo are never divided


@pytest.mark.usefixtures("fake")
def test_crops_show_the_person_and_exif_rotation_is_applied(photos: Path, tmp_path: Path) -> None:
    prepare_folder(photos, tmp_path / "out", wanted=Wanted(height=20, side=64, margin=0), mining=WIDE)
    turned = np.asarray(Image.open(tmp_path / "out/images/turned.jpg-1.jpg"))
    assert turned.shape[0] in (49, 50, 51) and turned.shape[1] in (
        38,
        39,
        40,
        41,
    )  # 50 wide and 40 high before the camera's rotation
    assert (turned[5:-5, 5:-5, 0] > 180).all()
    assert max(Image.open(tmp_path / "out/images/day2/p11.png-1.jpg").size) <= 64


@pytest.mark.usefixtures("fake")
def test_left_is_the_persons_own_left(photos: Path, tmp_path: Path) -> None:
    """MediaPipe's left shoulder has positive x, and so has ours; y is up and the toes point to the camera."""
    corpus = prepare_folder(photos, tmp_path / "out", wanted=SMALL, mining=WIDE)
    joints = corpus.poses.joints[0]  # type: ignore[union-attr]
    at = {name: joints[i] for i, name in enumerate(SMPL22)}
    assert at["left_shoulder"][0] > 0 > at["right_shoulder"][0]
    assert at["neck"][1] > 0 > at["left_ankle"][1] and at["left_foot"][2] > at["left_ankle"][2]


@pytest.mark.usefixtures("fake")
def test_any_number_of_processes_and_an_interruption_give_the_same(photos: Path, tmp_path: Path) -> None:
    prepare_folder(photos, tmp_path / "one", wanted=SMALL, mining=WIDE)
    prepare_folder(photos, tmp_path / "two", wanted=SMALL, mining=WIDE, processes=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    half = tmp_path / "half"
    half.mkdir()
    (half / "prepare-started.manifest.json").write_bytes((tmp_path / "one/prepare-started.manifest.json").read_bytes())
    for name in ("people", "images"):
        for path in sorted((tmp_path / "one" / name).rglob("*.*"))[::2]:
            target = half / path.relative_to(tmp_path / "one")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    prepare_folder(photos, half, wanted=SMALL, mining=WIDE)
    assert tree(half) == tree(tmp_path / "one")


@pytest.mark.usefixtures("fake")
def test_a_worker_that_dies_costs_one_picture(photos: Path, tmp_path: Path) -> None:
    pixels = np.full((40, 40, 3), 128, np.uint8)
    pixels[0, 0] = (0, 0, 254)
    Image.fromarray(pixels).save(photos / "day1" / "deadly.png")
    corpus = prepare_folder(photos, tmp_path / "out", wanted=SMALL, mining=WIDE)
    record = json.loads((tmp_path / "out/prepare.manifest.json").read_text())["tallies"]
    assert record["pictures"]["dropped"]["MediaPipe failed on it"] == 1
    assert len(corpus.poses.names) == 25  # type: ignore[union-attr]


@pytest.mark.usefixtures("fake")
def test_without_a_pair_the_people_are_saved_and_can_be_searched(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = prepare_folder(photos, tmp_path / "strict", wanted=SMALL, mining=Mining(low=0.9999, high=1.0))
    said = capsys.readouterr().err
    bound = re.search(r"can be searched but not trained on; .*; --low (\S+) instead of 0.9999 keeps the first", said)
    again = load_corpus(tmp_path / "strict")
    assert bound and not any(again.pairs.values()) and again.galleries == corpus.galleries
    assert again.poses is not None and all(again.image_path(name).exists() for name in again.poses.names)
    prepare_folder(photos, tmp_path / "looser", wanted=SMALL, mining=Mining(low=float(bound[1]), high=1.0))
    assert any(load_corpus(tmp_path / "looser").pairs.values())  # the hint is true


@pytest.mark.usefixtures("fake")
def test_a_photo_that_was_repaired_is_looked_at_again(photos: Path, tmp_path: Path) -> None:
    path, out = photos / "damaged.jpg", tmp_path / "out"
    prepare_folder(photos, out, wanted=SMALL, mining=WIDE)
    dropped = json.loads((out / "prepare.manifest.json").read_text())["tallies"]["pictures"]["dropped"]
    assert dropped["not a readable picture"] == 1
    photo(path, [(40, 20, 50)])
    with pytest.raises(InputError, match=r"raw\.damaged\.jpg"):
        prepare_folder(photos, out, wanted=SMALL, mining=WIDE)
    shutil.rmtree(out / "captions")
    (out / "prepare.manifest.json").unlink()
    prepare_folder(photos, out, wanted=SMALL, mining=WIDE)
    dropped = json.loads((out / "prepare.manifest.json").read_text())["tallies"]["pictures"]["dropped"]
    assert "not a readable picture" not in dropped


@pytest.mark.usefixtures("fake")
def test_what_the_program_has_made_is_not_taken_for_photos(photos: Path, tmp_path: Path) -> None:
    first = prepare_folder(photos, photos / "corpus", wanted=SMALL, mining=WIDE)
    second = prepare_folder(photos, tmp_path / "out", wanted=SMALL, mining=WIDE)
    assert first.galleries == second.galleries


@pytest.mark.usefixtures("fake")
def test_bad_input(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder not found"):
        prepare_folder(tmp_path / "no", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        prepare_folder(tmp_path / "empty", tmp_path / "out")
    tall = replace(SMALL, height=10_000)
    with pytest.raises(NothingLeftError, match=r"nothing is left .*; --height \d+ instead of 10000 keeps the first"):
        prepare_folder(photos, tmp_path / "tall", wanted=tall)
    assert run(["prepare", "folder", str(photos), str(tmp_path / "cli"), "--height", "20", "--low", "0"]) == 0


def test_names(tmp_path: Path) -> None:
    for name in ("a.png", "b/a.png", "b/c d.JPG"):
        photo(tmp_path / "photos" / name, [])
    photo(tmp_path / "photos/out/x.png", [])
    assert list(photo_files(tmp_path / "photos", tmp_path / "photos/out")) == ["a.png", "b/a.png", "b/c d.JPG"]
    assert crop_name("b/a.png", 2) == "b/a.png-2.jpg"
    assert "/" not in crop_name("odd\n/name.png", 1) and crop_name("odd\n/name.png", 1).endswith("-1.jpg")


def test_the_environment_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOCOMPOSE_POSE_PYTHON", "/no/such/python")
    with pytest.raises(InputError, match="AUTOCOMPOSE_POSE_PYTHON = /no/such/python: no such program"):
        pose_python()
    monkeypatch.delenv("AUTOCOMPOSE_POSE_PYTHON")
    monkeypatch.setattr(estimator, "_base_python", lambda: "/no/such/python")
    with pytest.raises(InputError, match=r"could not be made .* connect .* make one by hand with Python"):
        pose_python(tmp_path)
    made = tmp_path / f"mediapipe-{estimator.MEDIAPIPE}"
    made.mkdir()
    (made / "complete").touch()
    assert pose_python(tmp_path).parent.parent == made
    with pytest.raises(PoseError, match="cannot run MediaPipe"), Estimator(Path(sys.executable)):
        pass


@pytest.mark.slow
def test_real_mediapipe_finds_two_rendered_people(tmp_path: Path) -> None:
    """Runs only where the environment for MediaPipe has been made before; tests never download."""
    made = estimator.find_cached(f"mediapipe-{estimator.MEDIAPIPE}/complete")
    if made is None and not estimator.os.environ.get(estimator.PYTHON_VARIABLE):
        pytest.skip("no MediaPipe environment; run: autocompose prepare folder once")
    from autocompose.prepare.rendering.renders import PoseSet, Style, render_poses

    rotations = np.zeros((2, 22, 3))
    rotations[:, [SMPL22.index("left_shoulder"), SMPL22.index("right_shoulder")], 2] = [[-0.9, 0.9], [0.6, -0.6]]
    render_poses(PoseSet(("a.png", "b.png"), rotations, np.zeros(2)), tmp_path, size=320, style=Style.PLAIN)
    both = Image.new("RGB", (640, 320))
    for k, name in enumerate(("a.png", "b.png")):
        both.paste(Image.open(tmp_path / name), (320 * k, 0))
    with Estimator(pose_python()) as worker:
        people = sorted(worker.people(both), key=lambda p: p.box[0])
    assert len(people) == 2
    wrists = [(15, 16), (15, 16)]
    for person, (left, right), up in zip(people, wrists, (False, True), strict=True):
        assert person.world[left, 0] > person.world[right, 0]  # the own left is on the picture's right
        assert (person.world[left, 1] < person.world[11, 1]) == up  # y points down
