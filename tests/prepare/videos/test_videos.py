from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import InputError, NothingLeftError
from autocompose.core.records import Split
from autocompose.corpus.format import Corpus
from autocompose.corpus.validate import validate
from autocompose.estimate.people_finder import Finder
from autocompose.estimate.videos import stretches
from autocompose.estimate.videos.sampling import Sampling
from autocompose.prepare.pairing.mined import Mining
from autocompose.prepare.photos.photographs import Wanted
from autocompose.prepare.videos import people as people_module
from autocompose.prepare.videos.videos import prepare_videos
from tests.fixtures.bar_finder import BarFinder
from tests.fixtures.tree import tree
from tests.fixtures.videos import SHARP, walkers, write_sound, write_video

WIDE = Mining(low=0.0, high=0.9999, texts=1)
SMALL = Wanted(height=20, side=64)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for i in range(6):
        write_video(root / f"day{i % 2}" / f"{i}.mkv", walkers(90, widths=(12 + 4 * i, 60 - 3 * i, 34)), **SHARP)
    write_sound(root / "song.mp4")
    (root / "broken.avi").write_bytes(b"nothing")
    (root / "notes.txt").write_text("hello")
    return root


def prepare(videos: Path, out: Path, **options: Any) -> Corpus:
    settings = {"sampling": Sampling(change=20), "wanted": SMALL, "mining": WIDE, "finder": BarFinder()}
    return prepare_videos(videos, out, **{**settings, **options})


def test_people_of_videos_become_pictures_poses_pairs_and_texts(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = prepare(videos, tmp_path / "out")
    table = corpus.poses
    assert table is not None
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "videos: 8 in, 6 kept" in said
        and "dropped 1: no video stream in it (only sound); choose a file with moving pictures" in said
    )
    assert "dropped 1: not a video that can be read" in said
    assert not [fault for check in validate(tmp_path / "out", images=True) for fault in check.faults]
    assert "day0/0.mkv/000000-1.jpg" in table.names
    assert set(table.columns["video"]) == {f"day{i % 2}/{i}.mkv" for i in range(6)}
    assert set(table.columns["sequence"]) == {f"day{i % 2}/{i}.mkv#{k}" for i in range(6) for k in (1, 2)}
    assert table.columns["time"].max() == pytest.approx(2.5, abs=0.5)
    pairs = [pair for split in Split for pair in corpus.pairs.get(split, ())]
    assert {pair.extra["sequence_relation"] for pair in pairs} == {"in", "out"}
    assert all(pair.texts["auto"] for pair in pairs)


def test_splits_are_of_whole_videos(videos: Path, tmp_path: Path) -> None:
    corpus = prepare(videos, tmp_path / "out")
    of = {split: {name.rpartition("/")[0] for name in names} for split, names in corpus.galleries.items()}
    assert len(of) >= 2 and sum(map(len, of.values())) == len(set().union(*of.values()))


def test_a_killed_run_goes_on_inside_a_video(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_module, "PART", 4)
    monkeypatch.setattr(stretches, "FRAMES", 4)
    prepare(videos / "day0", tmp_path / "whole")
    looked = BarFinder()
    killed = _Killed(looked, 18)
    with pytest.raises(KeyboardInterrupt):
        prepare(videos / "day0", tmp_path / "out", finder=killed)
    again = BarFinder()
    prepare(videos / "day0", tmp_path / "out", finder=again)
    assert again.looked <= 36 - 16, "what was recorded is not looked at again"
    whole, parts = tree(tmp_path / "whole"), tree(tmp_path / "out")
    for name in whole:
        if not name.startswith(("people/", "prepare", ".hashes")):
            assert whole[name] == parts[name], name


class _Killed:
    """Dies like a killed process after so many frames."""

    def __init__(self, finder: Finder, after: int) -> None:
        self.finder, self.left, self.fingerprint = finder, after, finder.fingerprint

    def find(self, picture: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.finder.find(picture)

    def follow(self, pictures: Any) -> Any:
        return [self.find(picture) for picture in pictures]


def test_one_video_is_a_corpus_too_and_nobody_is_nothing(videos: Path, tmp_path: Path) -> None:
    corpus = prepare(videos / "day0" / "0.mkv", tmp_path / "out")
    assert set(corpus.galleries) == {Split.TRAIN} and np.isfinite(corpus.poses.joints).all()  # type: ignore[union-attr]
    with pytest.raises(NothingLeftError, match="--height 94 instead of 500 keeps the first"):
        prepare(videos / "day0", tmp_path / "none", wanted=Wanted(height=500))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no videos in it"):
        prepare(tmp_path / "empty", tmp_path / "none2")


def test_the_verb(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prepare", "video", str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    assert "folder not found; name a folder of videos, or a video" in capsys.readouterr().err
    assert run(["prepare", "video", str(videos), str(tmp_path / "out"), "--rate", "0"]) == 2
    assert "expected 0.01 to 120 frames a second" in capsys.readouterr().err
