from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import InputError
from autocompose.corpus.videos.gate import Video
from autocompose.estimate.videos.cuts import glance, is_cut
from autocompose.estimate.videos.sampling import Sampling
from autocompose.estimate.videos.watching import Memory, Moment, watch
from tests.fixtures.bar_finder import DEADLY, BarFinder
from tests.fixtures.videos import SHARP, walkers, write_video


def seen(moments: list[Moment]) -> list[tuple[int, int, list[tuple[int, tuple[float, ...]]]]]:
    return [(m.place.number, m.shot, [(f.number, f.person.box) for f in m.people]) for m in moments]


def watched(path: Path, memory: Memory | None = None, **options: object) -> list[Moment]:
    with Video(path) as video:
        finder = options.pop("finder", BarFinder())
        return list(watch(video, finder, Sampling(**options), memory or Memory()))  # type: ignore[arg-type]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.mkv", walkers(90), **SHARP)


def test_a_person_is_kept_when_the_pose_changes(film: Path) -> None:
    moments = watched(film)
    assert [m.place.number for m in moments] == [0, 8, 15, 23, 30, 38, 45, 53, 60, 68, 75, 83]
    kept = {m.place.number: [f.number for f in m.people] for m in moments if m.kept}
    assert kept == {0: [1, 2], 15: [1], 30: [1], 45: [1], 60: [1], 75: [1]}, "who stands still is kept once"
    assert {m.place.number for m in watched(film, change=10_000) if m.kept} == {0}


def test_a_cut_begins_a_new_shot_with_new_people(tmp_path: Path) -> None:
    dark = [Image.fromarray(255 - np.asarray(p)[:, ::-1]) for p in walkers(30)]
    film = write_video(tmp_path / "a.mkv", [*walkers(30), *dark, *walkers(30)], **SHARP)
    moments = watched(film)
    assert [m.shot for m in moments] == [1] * 4 + [2] * 4 + [3] * 4
    assert {f.number for m in moments[8:] for f in m.people} == {3, 4}


def test_frames_without_anybody(tmp_path: Path) -> None:
    empty = Image.new("RGB", (64, 48), (10, 90, 60))
    film = write_video(tmp_path / "a.mkv", [empty] * 30, times=[float(i) for i in range(30)], **SHARP)
    kept = [m.place.seconds for m in watched(film, rate=1) if m.kept]
    assert kept == [0, 10, 20], "the first of the shot, then one every ten seconds"
    assert all(m.kept for m in watched(film, finder=None)), "nobody is looked for: frames cannot be thinned by poses"


def test_going_on_gives_what_one_pass_gives(film: Path) -> None:
    whole = watched(film)
    for stop in (1, 4, 7):
        memory = Memory()
        with Video(film) as video:
            moments = watch(video, BarFinder(), Sampling(), memory)
            first = [next(moments) for _ in range(stop)]
            again = Memory.of_record(json.loads(json.dumps(memory.record())))
        assert seen([*first, *watched(film, again)]) == seen(whole)


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same(film: Path) -> None:
    with Video(film) as video:
        assert seen(list(watch(video, BarFinder(), Sampling(), Memory(), 2))) == seen(watched(film))


def test_networks_that_fail_cost_one_frame(tmp_path: Path) -> None:
    pictures = walkers(60)
    pictures[30].paste(DEADLY, (0, 0, 200, 4))
    moments = watched(write_video(tmp_path / "a.mkv", pictures, **SHARP))
    assert [m.place.number for m in moments if m.failed] == [30]
    assert [m.place.number for m in moments if m.people] == [0, 15, 38, 45], "the pose is kept with the next frame"


def test_quick_movement_is_no_cut_and_another_place_is() -> None:
    *_, one, other = (glance(picture) for picture in walkers(16))
    assert not is_cut(one, other)
    assert is_cut(one, 255 - one) and is_cut(np.zeros_like(one), one)
    assert not is_cut(np.zeros_like(one), np.full_like(one, 3)), "noise in the dark"


@pytest.mark.parametrize("values", [{"rate": 0}, {"rate": 1000}, {"change": -1}, {"rate": float("nan")}])
def test_impossible_sampling(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        Sampling(**values)
