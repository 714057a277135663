"""Elementary codes, super-codes and states against the slow version, the published vectors and their symmetries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.bodies.kinematics import forward
from autocompose.bodies.points import POINTS35, normal_points
from autocompose.bodies.skeleton import SMPL22, mirror_joints, turn
from autocompose.core.errors import PoseError
from autocompose.describe.rules import Figures, RuleOptions
from autocompose.describe.rules.changes import ROW_NAMES, SUPER_NAMES, find_changes, measure_poses
from autocompose.describe.rules.codes import absolute
from autocompose.describe.rules.codes.pair_codes import (
    PAIR_CODES,
    PAIR_NAMES,
    THRESHOLDS,
    pair_codes,
    pair_levels,
    pair_measures,
)
from autocompose.describe.rules.codes.point_measures import bins, jitter, levels
from autocompose.describe.rules.codes.single_codes import (
    ALIGNMENTS,
    KINDS,
    NAMES,
    ROWS,
    SETS,
    all_codes,
    single_values,
)
from autocompose.describe.rules.codes.single_codes import SUPER_NAMES as SINGLE_SUPERS
from tests.describe.rules import slow
from tests.fixtures.people import pairs, people

EXACT = RuleOptions(noise=0.0, trunk=True)
SEEDS = st.integers(0, 10_000)


def changes(a: np.ndarray, b: np.ndarray, options: RuleOptions = EXACT):
    keys = np.arange(len(a), dtype=np.uint64)
    return find_changes(*(measure_poses(Figures(joints), options) for joints in (a, b)), keys, 0, options)


def other_side(name: str) -> str:
    return name.replace("left", "?").replace("right", "left").replace("?", "right")


# ---------------------------------------------------------------- tables


def test_numbers_of_codes() -> None:
    assert [sum(c.kind == k for c in PAIR_CODES) for k in THRESHOLDS] == [4, 12, 8, 10, 10]
    assert len(PAIR_CODES) == len(set(PAIR_NAMES)) == 44
    assert len(SUPER_NAMES) == len(set(SUPER_NAMES)) == 52
    counts = {"angle": 4, "distance": 70, "x": 55, "y": 63, "z": 58, "upright": 13, "ground": 6}
    assert {k: len(s) for k, s in SETS.items()} == counts
    assert len(NAMES) == len(set(NAMES)) == 269
    assert len(ALIGNMENTS) == 48
    assert len(SINGLE_SUPERS) == len(set(SINGLE_SUPERS)) == 154
    assert all_codes(normal_points(people(2))).shape == (423, 2)
    states = [s.category for s in absolute.STATEMENTS]
    assert len(absolute.ELEMENTARY) == 48
    assert states.count("is_level") == 48
    assert (
        sum(s.rare for s in absolute.STATEMENTS) == 4 + 2 + 18 + 4 + 4 + 2
    )  # folded, L/R, hand near, flat, upright, supers


# ---------------------------------------------------------------- against the slow version


def test_pair_codes_equal_the_slow_version() -> None:
    a, b = pairs(25, seed=5)
    points_a, points_b = normal_points(a), normal_points(b)
    expected = [
        [slow.pair_level(c.kind, c.points, p, q) for c in PAIR_CODES] for p, q in zip(points_a, points_b, strict=True)
    ]
    assert np.array_equal(pair_codes(a, b), expected)
    assert np.count_nonzero(expected) > 100


def test_single_codes_equal_the_slow_version() -> None:
    points = normal_points(people(12, seed=6))
    codes = all_codes(points)
    for kind, rows in ROWS.items():
        expected = [[slow.single_category(kind, s, pose) for pose in points] for s in SETS[kind]]
        assert np.array_equal(codes[rows], expected), kind


def test_batches_do_not_matter() -> None:
    a, b = pairs(30, seed=9)
    whole = pair_codes(np.tile(a, (80, 1, 1)), np.tile(b, (80, 1, 1)))
    assert np.array_equal(whole, np.tile(pair_codes(a, b), (80, 1)))


# ---------------------------------------------------------------- binning


@given(st.floats(-100, 100), st.sampled_from(sorted(KINDS)))
def test_bins(value: float, kind: str) -> None:
    limits = KINDS[kind].thresholds
    assert bins(np.array([[value]]), limits)[0, 0] == slow.category(value, list(limits))


@given(st.floats(-100, 100))
def test_levels_mirror_around_the_switch_off_the_thresholds(value: float) -> None:
    for limits in THRESHOLDS.values():
        if abs(value) not in limits:
            up, down = (levels(np.array([[v]]), limits)[0, 0] for v in (value, -value))
            assert up == -down


def test_unknown_values_say_nothing() -> None:
    assert bins(np.array([[np.nan]]), (1.0,))[0, 0] == -1
    assert levels(np.array([[np.nan]]), (1.0,))[0, 0] == 0


def test_a_value_on_a_threshold_is_in_the_lower_category() -> None:
    # start minus goal: 80 degrees is "bent more", -80 "bent much less"; 0.40 m "slightly lower", -0.40 "higher"
    assert levels(np.array([[80.0, -80.0]]), THRESHOLDS["bend"]).tolist() == [[-2, 3]]
    assert levels(np.array([[0.40, -0.40]]), THRESHOLDS["height"]).tolist() == [[-1, 2]]


def test_noise_is_uniform_and_depends_on_seed_row_and_key_only() -> None:
    keys = np.arange(5000, dtype=np.uint64)
    noise = jitter((10, 5000), keys, 3, 0)
    assert noise.min() >= -1 and noise.max() < 1
    assert abs(noise.mean()) < 0.02 and abs(noise.var() - 1 / 3) < 0.01
    assert np.array_equal(noise[:, 7:9], jitter((10, 2), keys[7:9], 3, 0))
    assert not np.array_equal(noise, jitter((10, 5000), keys, 4, 0))
    assert not np.array_equal(noise, jitter((10, 5000), keys, 3, 1))


# ---------------------------------------------------------------- published vectors


def measured(**values: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Measurements of one pair: everything neutral but the given codes (start, goal)."""
    neutral = {"bend": 120.0, "gap": 0.6}
    start = np.array([[neutral.get(c.kind, 0.0)] for c in PAIR_CODES])
    goal = start.copy()
    for name, (before, after) in values.items():
        row = PAIR_NAMES.index(name.replace("__", ":"))
        start[row], goal[row] = before, after
    return start, goal


def told(**values: tuple[float, float]) -> dict[str, int]:
    """The levels that remain after the super-codes, by name; a super-code's level is 1."""
    options = RuleOptions(absolute="none", noise=0.0)
    person = measure_poses(Figures(people(1, seed=2)), options)
    poses = [replace(person, pair=measurements) for measurements in measured(**values)]
    levels = find_changes(*poses, np.zeros(1, np.uint64), 0, options).levels[:, 0]
    gaps = [name for name in PAIR_NAMES if name.startswith("gap:")]
    supers = iter(SUPER_NAMES[-4 * len(gaps) :])
    gap_words = {(gap, level): next(supers) for gap in gaps for level in (2, 1, -1, -2)}
    result = {}
    for name, level in zip(ROW_NAMES, levels.tolist(), strict=True):
        if level:
            word = gap_words.get((name, level), name)
            result[word] = level if word == name and not name.startswith("straighten:") else 1
    return result


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"bend__left_elbow": (90, 150)}, {"straighten:left_arm": 1}),
        ({"bend__left_elbow": (90, 130)}, {"bend:left_elbow": 1}),
        ({"bend__right_knee": (170, 60)}, {"bend:right_knee": -3}),
        ({"bend__right_knee": (170, 90)}, {"bend:right_knee": -2}),
        ({"gap__hand": (0.15, 0.60)}, {"apart:hand": 1}),
        ({"gap__hand": (0.35, 0.60)}, {}),
        ({"gap__hand": (0.60, 0.15)}, {"together:hand": 1}),
        ({"gap__left_foot__torso": (0.15, 0.35)}, {"out_bit:left_foot": 1}),
        ({"gap__left_foot__torso": (0.55, 0.35)}, {}),
        ({"height__left_hand": (1.0, 1.5)}, {"height:left_hand": 2}),
        ({"side__left_hand": (0.30, 0.50)}, {"side:left_hand": 1}),
        ({"side__left_hand": (0.30, 0.40)}, {}),
    ],
)
def test_published_vectors(values: dict[str, tuple[float, float]], expected: dict[str, int]) -> None:
    values = {name.replace("foot__torso", "foot:torso"): pair for name, pair in values.items()}
    assert told(**values) == expected


def test_a_joint_that_bends_much_is_called_folded_only_when_it_ends_so() -> None:
    options = RuleOptions(absolute="none", noise=0.0)
    person = measure_poses(Figures(people(1, seed=2)), options)
    for goal, level in ((40.0, -4), (50.0, -3)):
        before, after = measured(bend__left_elbow=(170.0, goal), bend__right_knee=(goal + 20.0, goal))
        poses = [replace(person, pair=values) for values in (before, after)]
        found = find_changes(*poses, np.zeros(1, np.uint64), 0, options).levels
        assert found[PAIR_NAMES.index("bend:left_elbow")].tolist() == [level]
        assert found[PAIR_NAMES.index("bend:right_knee")].tolist() == [-1]  # folded, but hardly changed


@pytest.mark.parametrize(
    ("yaw", "level"), [(25, 1), (-90, -2), (170, 4), (-170, -4), (10, 0), (59, 1), (61, 2), (130, 3), (-130, -3)]
)
def test_turns(yaw: float, level: int) -> None:
    person = turn(people(1, seed=2), 15.0)
    found = changes(person, turn(person, yaw)).levels[ROW_NAMES.index("turn")]
    assert found.tolist() == [level]


def test_right_angle_and_straight_are_states_and_straighten_silences_one() -> None:
    a, b = people(400, seed=3), people(400, seed=4)
    found = changes(a, b)
    values = single_values(normal_points(b))
    for row, state in enumerate(absolute.ELEMENTARY):
        if state.statement.category == "is_square":
            angle = values[state.row]
            assert np.array_equal(found.states[row] > 0, (angle > 75) & (angle <= 105))
        if state.statement.category == "is_straight":
            limb = {"elbow": "arm", "knee": "leg"}[state.statement.part]
            straightened = found.levels[ROW_NAMES.index(f"straighten:{state.statement.side}_{limb}")] > 0
            assert straightened.any()
            assert np.array_equal(found.states[row] > 0, (values[state.row] > 160) & ~straightened)


def test_alignment_says_which_side() -> None:
    points = np.tile(normal_points(people(1)), (3, 1, 1))
    hand, knee = POINTS35.index("left_hand"), POINTS35.index("right_knee")
    points[:, hand] = points[:, knee] + np.array([[0, 0, 0.3], [0.01, 0, -0.3], [0, 0.3, 0.01]])
    held = absolute.states(single_values(points))
    about = [
        (i, s.category)
        for i, s in enumerate(absolute.STATEMENTS)
        if s.codes[0].endswith("aligned:left_hand:right_knee")
    ]
    said = [[c for i, c in about if held[i, k]] for k in range(3)]
    assert [[c for c in said_of if c != "is_level"] for said_of in said] == [["is_before"], ["is_behind"], ["is_above"]]


def test_kneeling_and_bending() -> None:
    rotations = np.zeros((3, 22, 3))
    for side in ("left", "right"):
        rotations[1, SMPL22.index(f"{side}_knee"), 0] = 1.6  # shins back: kneels upright
        rotations[1, SMPL22.index(f"{side}_ankle"), 0] = 1.3  # toes stretched
        rotations[2, SMPL22.index(f"{side}_hip"), 0] = -1.2  # bows: the trunk is turned forward, legs stay
    rotations[2, 0, 0] = 1.2
    codes = all_codes(normal_points(forward(rotations)[0]))[269:].astype(bool)
    names = [
        [SINGLE_SUPERS[i] for i in np.flatnonzero(codes[:, k]) if "aligned" not in SINGLE_SUPERS[i]] for k in range(3)
    ]
    assert "kneeling" in names[1] and "kneeling" not in names[0]
    assert "bent forward" in names[2] and "bent forward" not in names[0]


# ---------------------------------------------------------------- properties


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_swap_mirrors_every_category_around_its_switch(seed: int) -> None:
    a, b = pairs(3, seed)
    assert np.array_equal(pair_codes(a, b), -pair_codes(b, a))


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_mirrored_poses_exchange_left_and_right(seed: int) -> None:
    a, b = pairs(3, seed)
    found = changes(a, b)
    mirrored = changes(mirror_joints(a), mirror_joints(b))
    sideways = {"side", "turn", "tilt", "twist"}
    for row, name in enumerate(ROW_NAMES):
        sign = -1 if name.partition(":")[0] in sideways else 1
        assert np.array_equal(found.levels[row] * sign, mirrored.levels[ROW_NAMES.index(other_side(name))]), name
    told = [{_unordered(absolute.STATEMENTS[i]) for i in np.flatnonzero(found.states[:, k])} for k in range(3)]
    other = [
        {_unordered(absolute.STATEMENTS[i], True) for i in np.flatnonzero(mirrored.states[:, k])} for k in range(3)
    ]
    assert told == other


def _unordered(s: absolute.Statement, swap: bool = False) -> tuple[str, frozenset[str]]:
    parts = [f"{s.side}_{s.part}", f"{s.side2}_{s.part2}"]
    return s.category, frozenset(other_side(p) if swap else p for p in parts)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_equal_poses_give_no_change(seed: int) -> None:
    a = people(3, seed)
    noisy = RuleOptions(trunk=True)
    assert not changes(a, a).levels.any()
    assert not changes(a, a, noisy).levels.any()  # the noise is narrower than the ignored zone
    assert changes(a, a).states.max() <= 0.1  # states that held before have little weight


@given(SEEDS, st.floats(-170, 170), st.floats(-3, 3), st.floats(0.5, 2))
@settings(max_examples=25, deadline=None)
def test_place_yaw_and_size_of_each_pose_change_nothing(seed: int, yaw: float, place: float, size: float) -> None:
    a, b = pairs(3, seed)
    options = RuleOptions(noise=0.0, trunk=True, rotation=False)
    found, moved = changes(a, b, options), changes(turn(a, yaw) + place, turn(b * size, -yaw) - place, options)
    assert np.array_equal(found.levels, moved.levels)
    assert np.array_equal(found.states > 0, moved.states > 0)


def test_missing_joints_drop_their_codes_only() -> None:
    a, b = pairs(20)
    known = np.array([not n.endswith(("foot", "elbow")) for n in SMPL22])
    found = pair_levels(pair_measures(normal_points(a, known)) - pair_measures(normal_points(b, known)))
    full = pair_codes(a, b).T
    lost = np.array([any(p.endswith(("foot", "elbow", "hand")) for p in c.points) for c in PAIR_CODES])
    assert not found[lost].any() and np.array_equal(found[~lost], full[~lost])


def test_bad_joints() -> None:
    a, b = pairs(3)
    with pytest.raises(PoseError, match="got \\(3, 21, 3\\)"):
        pair_codes(a[:, :21], b)
    a[2, 0] = np.nan
    with pytest.raises(PoseError, match=r"joints\[2\]: NaN"):
        pair_codes(a, b)
