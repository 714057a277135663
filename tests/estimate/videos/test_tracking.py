from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from autocompose.estimate.videos.tracking import BEYOND, Track, Tracker, _cheapest, _cost, moved_by
from tests.fixtures.bar_finder import figure


def test_two_people_who_cross_keep_their_numbers() -> None:
    tracker = Tracker()
    seen = []
    for step in range(13):
        one = figure(20 + 15 * step, 20, 60 + 15 * step, 120)  # walks to the right, arms as wide as the bar
        other = figure(200 - 15 * step, 22, 215 - 15 * step, 122)
        pair = [one, other] if step % 2 else [other, one]
        numbers = [track.number for track in tracker.follow(step / 4, pair)]
        seen.append(dict(zip(("one", "other") if step % 2 else ("other", "one"), numbers, strict=True)))
    assert all(numbers == seen[0] for numbers in seen) and tracker.known == 2


def test_somebody_hidden_for_a_second_is_the_same_and_later_another() -> None:
    tracker = Tracker()
    tracker.follow(0, [figure(20, 20, 60, 120)])
    tracker.follow(0.5, [])
    assert tracker.follow(1.0, [figure(25, 20, 65, 120)])[0].number == 1
    assert tracker.follow(3.0, [figure(25, 20, 65, 120)])[0].number == 2


def test_somebody_far_away_or_of_another_size_is_another() -> None:
    for box in ((400, 20, 440, 120), (20, 20, 60, 420)):
        tracker = Tracker()
        tracker.follow(0, [figure(20, 20, 60, 120)])
        assert tracker.follow(0.25, [figure(*box)])[0].number == 2


def test_a_pose_is_measured_against_the_last_one_that_was_kept() -> None:
    tracker = Tracker()
    (track,) = tracker.follow(0, [figure(20, 20, 60, 120)])
    assert track.kept is None
    tracker.keep(track)
    (track,) = tracker.follow(0.25, [figure(20, 20, 70, 120)])
    assert track.kept is not None and moved_by(track.joints, track.kept) > 0.01
    (track,) = tracker.follow(0.5, [figure(20, 20, 60, 120)])
    assert track.kept is not None and moved_by(track.joints, track.kept) == 0


boxes = st.tuples(st.integers(0, 300), st.integers(0, 60), st.integers(20, 80), st.integers(60, 140))


@settings(max_examples=40, deadline=None)
@given(st.lists(boxes, max_size=4), st.lists(boxes, max_size=4))
def test_the_assignment_is_the_cheapest_of_all(before: list[tuple[int, ...]], after: list[tuple[int, ...]]) -> None:
    def people(places: list[tuple[int, ...]]) -> list:
        return [figure(x, y, x + w, y + h) for x, y, w, h in places]

    tracker = Tracker()
    tracks = tracker.follow(0, people(before))
    now = tracker.follow(0.25, people(after))
    assert len({track.number for track in now}) == len(now)
    found = people(after)
    costs = [[_cost(t, np.array(p.box, float), np.asarray(p.joints), 0.25) for t in tracks] for p in found]
    n = max(len(found), len(tracks))
    square = np.full((n, n), BEYOND)
    if found and tracks:
        square[: len(found), : len(tracks)] = costs
    best = min((sum(square[r, c] for r, c in enumerate(order)) for order in permutations(range(n))), default=0)
    chosen = {row: track.number - 1 for row, track in enumerate(now) if track.number <= len(tracks)}
    assert sum(costs[r][c] for r, c in chosen.items()) + BEYOND * (n - len(chosen)) == pytest.approx(best)


def test_a_track_survives_json_exactly() -> None:
    tracker = Tracker()
    tracker.follow(0.1, [figure(20, 20, 61, 120)])
    (track,) = tracker.follow(0.35, [figure(23, 20, 60, 120)])
    again = Track.of_record(json.loads(json.dumps(track.record())))
    assert again.number == track.number and again.seconds == track.seconds and again.kept is None
    for name in ("box", "speed", "joints"):
        assert np.array_equal(getattr(again, name), getattr(track, name))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 3), (2, 5)])
def test_one_person_alone_is_matched_as_several_are(shape: tuple[int, int]) -> None:
    costs = np.random.default_rng(sum(shape)).uniform(size=shape)
    rows, columns = linear_sum_assignment(costs)
    assert _cheapest(costs) == list(zip(rows, columns, strict=True))
