from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autocompose.corpus.videos.frame import Place
from autocompose.estimate.videos.stretches import FRAMES, GAP, Shown, stretches

PICTURE = Image.new("RGB", (4, 4))
LIGHT = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)


def frames(gaps: list[float], cuts: list[bool]) -> list[Shown]:
    """One more than the gaps; where a cut is, the picture is another."""
    times = np.cumsum([0.0, *gaps]).tolist()
    sides = np.cumsum([0, *cuts]) % 2
    return [
        Shown(Place(i, t, None), (4, 4), PICTURE, 255 - LIGHT if side else LIGHT)
        for i, (t, side) in enumerate(zip(times, sides.tolist(), strict=True))
    ]


@given(st.lists(st.tuples(st.sampled_from([0.25, 0.5, 1.0]), st.booleans()), max_size=40))
def test_stretches_hold_every_frame_once_and_end_at_cuts_and_gaps(steps: list[tuple[float, bool]]) -> None:
    shown = frames([gap for gap, _ in steps], [cut for _, cut in steps])
    parts = list(stretches(shown))
    assert [frame for part in parts for frame in part] == shown
    for part in parts:
        inside = steps[part[0].place.number : part[-1].place.number]
        assert 1 <= len(part) <= FRAMES and all(gap <= GAP and not cut for gap, cut in inside)
    for part in parts[:-1]:
        gap, cut = steps[part[-1].place.number]
        assert len(part) == FRAMES or gap > GAP or cut, "a stretch ends for a reason"


@given(st.lists(st.sampled_from([0.25, 1.0]), max_size=40), st.integers(0, 5))
def test_going_on_at_a_stretch_gives_the_same_stretches(gaps: list[float], which: int) -> None:
    shown = frames(gaps, [False] * len(gaps))
    parts = list(stretches(shown))
    begin = sum(map(len, parts[:which]))
    assert list(stretches(shown[begin:])) == parts[which:]
