from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autocompose.bodies.skeleton import SMPL22
from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import InputError, NothingLeftError
from autocompose.core.records import Split
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.validate import validate
from autocompose.estimate import people_finder
from autocompose.prepare.pairing.mined import Mining
from autocompose.prepare.photos.photographs import Wanted, crop_name, photo_files, prepare_folder
from tests.fixtures.bar_finder import DEADLY, BarFinder
from tests.fixtures.photos import make_photos, photo
from tests.fixtures.tree import tree

WIDE = Mining(low=0.0, high=0.9999, texts=1)
SMALL = Wanted(height=20, side=64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos")


def prepare(photos: Path, out: Path, **options: Any) -> Corpus:
    return prepare_folder(photos, out, **{"wanted": SMALL, "mining": WIDE, "finder": BarFinder(), **options})


def test_people_become_pictures_poses_pairs_and_texts(photos: Path, tmp_path: Path) -> None:
    corpus = prepare(photos, tmp_path / "out")
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


def test_crops_show_the_person_and_exif_rotation_is_applied(photos: Path, tmp_path: Path) -> None:
    prepare(photos, tmp_path / "out", wanted=Wanted(height=20, side=64, margin=0))
    turned = np.asarray(Image.open(tmp_path / "out/images/turned.jpg-1.jpg"))
    assert turned.shape[0] in (49, 50, 51) and turned.shape[1] in (
        38,
        39,
        40,
        41,
    )  # 50 wide and 40 high before the camera's rotation
    assert (turned[5:-5, 5:-5, 0] > 180).all()
    assert max(Image.open(tmp_path / "out/images/day2/p11.png-1.jpg").size) <= 64


def test_left_is_the_persons_own_left(photos: Path, tmp_path: Path) -> None:
    """The estimator's left shoulder has positive x, and so has ours; y is up and the toes point to the camera."""
    corpus = prepare(photos, tmp_path / "out")
    joints = corpus.poses.joints[0]  # type: ignore[union-attr]
    at = {name: joints[i] for i, name in enumerate(SMPL22)}
    assert at["left_shoulder"][0] > 0 > at["right_shoulder"][0]
    assert at["neck"][1] > 0 > at["left_ankle"][1] and at["left_foot"][2] > at["left_ankle"][2]


def test_any_number_of_processes_and_an_interruption_give_the_same(photos: Path, tmp_path: Path) -> None:
    prepare(photos, tmp_path / "one")
    prepare(photos, tmp_path / "two", processes=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    half = tmp_path / "half"
    half.mkdir()
    (half / "prepare-started.manifest.json").write_bytes((tmp_path / "one/prepare-started.manifest.json").read_bytes())
    for name in ("people", "images"):
        for path in sorted((tmp_path / "one" / name).rglob("*.*"))[::2]:
            target = half / path.relative_to(tmp_path / "one")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    prepare(photos, half)
    assert tree(half) == tree(tmp_path / "one")


def test_a_failing_network_costs_one_picture(photos: Path, tmp_path: Path) -> None:
    pixels = np.full((40, 40, 3), 128, np.uint8)
    pixels[0, 0] = DEADLY
    Image.fromarray(pixels).save(photos / "day1" / "deadly.png")
    corpus = prepare(photos, tmp_path / "out")
    record = json.loads((tmp_path / "out/prepare.manifest.json").read_text())["tallies"]
    assert record["pictures"]["dropped"]["pose estimation failed on it (RuntimeError)"] == 1
    assert len(corpus.poses.names) == 25  # type: ignore[union-attr]


def test_without_a_pair_the_people_are_saved_and_can_be_searched(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = prepare(photos, tmp_path / "strict", mining=Mining(low=0.9999, high=1.0))
    said = capsys.readouterr().err
    bound = re.search(r"can be searched but not trained on; .*; --low (\S+) instead of 0.9999 keeps the first", said)
    again = load_corpus(tmp_path / "strict")
    assert bound and not any(again.pairs.values()) and again.galleries == corpus.galleries
    assert again.poses is not None and all(again.image_path(name).exists() for name in again.poses.names)
    prepare(photos, tmp_path / "looser", mining=Mining(low=float(bound[1]), high=1.0))
    assert any(load_corpus(tmp_path / "looser").pairs.values())  # the hint is true


def test_a_photo_that_was_repaired_is_looked_at_again(photos: Path, tmp_path: Path) -> None:
    path, out = photos / "damaged.jpg", tmp_path / "out"
    prepare(photos, out)
    dropped = json.loads((out / "prepare.manifest.json").read_text())["tallies"]["pictures"]["dropped"]
    assert dropped["not a readable picture"] == 1
    photo(path, [(40, 20, 50)])
    with pytest.raises(InputError, match=r"raw\.damaged\.jpg"):
        prepare(photos, out)
    shutil.rmtree(out / "captions")
    (out / "prepare.manifest.json").unlink()
    prepare(photos, out)
    dropped = json.loads((out / "prepare.manifest.json").read_text())["tallies"]["pictures"]["dropped"]
    assert "not a readable picture" not in dropped


def test_what_the_program_has_made_is_not_taken_for_photos(photos: Path, tmp_path: Path) -> None:
    first = prepare(photos, photos / "corpus")
    second = prepare(photos, tmp_path / "out")
    assert first.galleries == second.galleries


def test_bad_input(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="folder not found"):
        prepare(tmp_path / "no", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        prepare(tmp_path / "empty", tmp_path / "out")
    tall = replace(SMALL, height=10_000)
    with pytest.raises(NothingLeftError, match=r"nothing is left .*; --height \d+ instead of 10000 keeps the first"):
        prepare(photos, tmp_path / "tall", wanted=tall)
    command = ["prepare", "folder", str(photos), str(tmp_path / "cli"), "--height", "20", "--low", "0"]
    assert run([*command, "--pose-weights", str(tmp_path / "none.safetensors")]) == 2
    monkeypatch.setattr(people_finder, "PeopleFinder", lambda weights: BarFinder())
    assert run(command) == 0


def test_names(tmp_path: Path) -> None:
    for name in ("a.png", "b/a.png", "b/c d.JPG"):
        photo(tmp_path / "photos" / name, [])
    photo(tmp_path / "photos/out/x.png", [])
    assert list(photo_files(tmp_path / "photos", tmp_path / "photos/out")) == ["a.png", "b/a.png", "b/c d.JPG"]
    assert crop_name("b/a.png", 2) == "b/a.png-2.jpg"
    assert "/" not in crop_name("odd\n/name.png", 1) and crop_name("odd\n/name.png", 1).endswith("-1.jpg")
