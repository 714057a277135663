"""Claims against joints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.bodies.skeleton import mirror_joints, turn
from autocompose.core.errors import PoseError
from autocompose.describe.audit.changes import UNITS, large_changes, mentioned
from autocompose.describe.audit.judge import Verdict, agreement, judge, judge_pair
from autocompose.describe.audit.measure import FEATURES, LEG_LENGTH, Poses, normalise
from autocompose.describe.reading.claims import ACTIONS, PARTS, SIDES, Claim
from autocompose.describe.reading.parse import parse
from tests.describe.audit.poses import J, pair, random_joints, standing

YES, NO, FLAT, UNKNOWN = Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.UNSUPPORTED, Verdict.UNCHECKABLE

CLAIMS = st.builds(
    Claim,
    st.sampled_from(PARTS),
    st.sampled_from(SIDES),
    st.sampled_from(ACTIONS),
    st.sampled_from([None, "body", "head", "torso", "pelvis", "knee", "hand", "shoulder"]),
    st.sampled_from(["none", "left", "right", "both"]),
)


def verdicts(text: str, **moved: tuple[float, float, float]) -> list[Verdict]:
    return [j.verdict for j in judge_pair(parse(text), *pair(**moved))]


@pytest.mark.parametrize(
    ("text", "moved", "expected"),
    [
        ("raise your left hand", {"left_wrist": (0, 0.3, 0)}, YES),
        ("raise your left hand", {"left_wrist": (0, -0.2, 0)}, NO),
        ("raise your left hand", {"left_wrist": (0, 0.02, 0)}, FLAT),
        ("raise your left hand", {}, NO),
        ("bend your left elbow", {}, NO),
        ("your left arm hangs down", {}, YES),
        ("move your left hand to the left", {"left_wrist": (0.3, 0, 0)}, YES),
        ("move your left hand to the right", {"left_wrist": (0.3, 0, 0)}, NO),
        ("kick your right foot out in front of you", {"right_ankle": (0, 0.1, 0.4), "right_foot": (0, 0.1, 0.4)}, YES),
        ("raise both hands", {"left_wrist": (0, 0.3, 0), "right_wrist": (0, 0.3, 0)}, YES),
        ("raise both hands", {"left_wrist": (0, 0.3, 0)}, FLAT),
        ("raise both hands", {"left_wrist": (0, 0.3, 0), "right_wrist": (0, -0.3, 0)}, NO),
        ("raise your hand", {"right_wrist": (0, 0.3, 0)}, YES),
        ("bend your left elbow", {"left_wrist": (0, 0.25, 0.25)}, YES),
        ("straighten your left elbow", {"left_wrist": (0, 0.25, 0.25)}, NO),
        ("your left elbow should be at 90 degrees", {"left_wrist": (0, 0.25, 0.25)}, YES),
        ("bring your hands closer together", {"left_wrist": (-0.15, 0, 0), "right_wrist": (0.15, 0, 0)}, YES),
        ("bring your hands closer together", {"left_wrist": (0.3, 0, 0)}, NO),
        ("your feet should be shoulder width apart", {}, YES),
        ("put your left hand on your left knee", {"left_wrist": (-0.1, -0.5, 0.1)}, YES),
        ("put your left hand on your head", {}, NO),
        ("put your right foot on the floor", {}, YES),
        ("your right hand should be on the floor", {}, NO),
        ("lift your right hand to head level", {"right_wrist": (0, 0.75, 0.2)}, YES),
        ("stand upright", {}, YES),
        ("make your left arm horizontal", {"left_elbow": (0.28, 0.28, 0), "left_wrist": (0.53, 0.53, 0)}, YES),
        ("your torso is horizontal", {}, NO),
        ("cross your arms", {"left_wrist": (-0.4, 0.2, 0.2), "right_wrist": (0.4, 0.2, 0.2)}, YES),
        ("cross your arms", {}, NO),
        ("turn around", {}, UNKNOWN),
        ("turn your head to the left", {}, UNKNOWN),
        ("bend your left wrist", {}, UNKNOWN),
    ],
)  # fmt: skip
def test_verdicts(text: str, moved: dict[str, tuple[float, float, float]], expected: Verdict) -> None:
    found = verdicts(text, **moved)
    assert found and set(found) == {expected}


def test_trunk_and_head() -> None:
    rotated = standing()
    upper = [i for name, i in J.items() if not name.endswith(("pelvis", "hip", "knee", "ankle", "foot"))]
    for text, angle, axis in (
        ("lean forward", 30, (1, 0, 0)),
        ("bend your torso to the right", 20, (0, 0, 1)), ("lean back", 15, (-1, 0, 0)),
        ("twist your torso to the left", 25, (0, 1, 0)),
    ):  # fmt: skip
        joints = rotated.copy()
        joints[upper] = joints[upper] @ _rotation(np.array(axis, float), angle).T
        (claim,) = parse(text)
        a, b = Poses(standing()[None]), Poses(joints[None])
        assert judge_pair([claim], a, b)[0].verdict is YES, text
        assert judge_pair([claim], b, a)[0].verdict is NO, text


def _rotation(axis: np.ndarray, degrees: float) -> np.ndarray:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_turns_need_yaw_and_heads_need_faces() -> None:
    joints, ahead = standing()[None], np.array([[0, 0, 1.0]])
    for text, yaw, expected in (
        ("turn to the left", 40, YES), ("turn to the right", 40, NO), ("turn around", 170, YES),
        ("turn around", -175, YES),
        ("turn around", 20, NO), ("turn to the left", 350, NO),
    ):  # fmt: skip
        a, b = Poses(joints, np.zeros(1)), Poses(turn(joints, float(yaw)), np.array([yaw]))
        assert judge_pair(parse(text), a, b)[0].verdict is expected, text
    looks = {"look left": (1, 0, 1), "look right": (-1, 0, 1), "look up": (0, 1, 1), "look down": (0, -1, 1)}
    for text, face in looks.items():
        a, b = Poses(joints, None, ahead), Poses(joints, None, np.array([face], float))
        assert judge_pair(parse(text), a, b)[0].verdict is YES, text
        assert judge_pair(parse(text), b, a)[0].verdict is NO, text


def test_swaps_are_noticed() -> None:
    a, b = pair(left_wrist=(0, 0.3, 0))
    wrong = judge_pair(parse("raise your right hand"), a, b)[0]
    assert wrong.verdict is NO and wrong.swap
    assert not judge_pair(parse("raise your left hand"), a, b)[0].swap
    assert not judge_pair(parse("raise your right foot"), a, b)[0].swap


@given(st.integers(0, 10_000), CLAIMS)
@settings(max_examples=300, deadline=None)
def test_mirrored_poses_fit_the_swapped_claim(seed: int, claim: Claim) -> None:
    joints = random_joints(2, seed)
    mirrored = mirror_joints(joints)
    yaw, face = np.array([5.0, 60.0]), np.random.default_rng(seed).normal(size=(2, 3))
    a, b = (Poses(joints[i : i + 1], yaw[i : i + 1], face[i : i + 1]) for i in (0, 1))
    flip = np.array([-1.0, 1.0, 1.0])
    c, d = (Poses(mirrored[i : i + 1], -yaw[i : i + 1], face[i : i + 1] * flip) for i in (0, 1))
    np.testing.assert_allclose(agreement(claim, a, b)[0], agreement(claim.swapped(), c, d)[0], atol=1e-6)


@given(st.integers(0, 10_000), CLAIMS, st.floats(-180, 180), st.floats(0.5, 2.0))
@settings(max_examples=200, deadline=None)
def test_place_heading_and_size_change_nothing(seed: int, claim: Claim, yaw: float, scale: float) -> None:
    joints = random_joints(2, seed)
    moved = turn(joints * scale, yaw) + np.array([3.0, -2.0, 1.0])
    plain = agreement(claim, Poses(joints[:1]), Poses(joints[1:]))[0]
    np.testing.assert_allclose(plain, agreement(claim, Poses(joints[:1]), Poses(moved[1:]))[0], atol=1e-6)


@given(st.integers(0, 10_000), CLAIMS)
@settings(max_examples=100, deadline=None)
def test_many_pairs_at_once_equal_one_by_one(seed: int, claim: Claim) -> None:
    joints = random_joints(6, seed)
    a, b = Poses(joints[:1]), Poses(joints[1:])
    together = agreement(claim, a, b)[0]
    alone = [agreement(claim, a, Poses(joints[i : i + 1]))[0][0] for i in range(1, 6)]
    rows = [agreement(claim, a.row(0), b.row(i))[0][0] for i in range(5)]
    np.testing.assert_allclose(together, alone, atol=1e-9)
    np.testing.assert_allclose(together, rows, atol=1e-9)
    assert [j[0].agreement for j in judge([claim], a, b)] == pytest.approx(
        [None if np.isnan(x) else x for x in together]
    )


@given(
    st.integers(0, 10_000),
    st.sampled_from(["up", "down", "left", "right", "forward", "backward", "bend", "straighten"]),
)
@settings(max_examples=50, deadline=None)
def test_going_back_contradicts(seed: int, action: str) -> None:
    """Unless the pelvis and the floor, or the hips and the chest, disagree about the way."""
    joints = random_joints(2, seed)
    a, b = Poses(joints[:1]), Poses(joints[1:])
    claim = Claim("knee", "left", action)
    there, back = agreement(claim, a, b)[0], agreement(claim, b, a)[0]
    frames = [b.feature(k) - a.feature(k) for k in (("coordinate", "y", "knee", "left"), ("height", "knee", "left"))]
    if action not in ("up", "down") or np.prod(np.sign(frames)) > 0:
        assert np.sign(there) == -np.sign(back)


def test_normalised_poses() -> None:
    joints, _ = normalise(random_joints(20, 1) * 1.7 + 5)
    across = joints[:, J["left_hip"]] - joints[:, J["right_hip"]]
    np.testing.assert_allclose(joints[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(across[:, 2], 0, atol=1e-9)
    assert (across[:, 0] > 0).all()
    legs = np.linalg.norm(joints[:, J["left_hip"]] - joints[:, J["left_knee"]], axis=1) + np.linalg.norm(
        joints[:, J["left_knee"]] - joints[:, J["left_ankle"]], axis=1
    )
    np.testing.assert_allclose(legs, LEG_LENGTH, atol=1e-6)


def test_degenerate_bodies_give_no_crash() -> None:
    flat = np.zeros((1, 22, 3))
    for name in FEATURES:
        assert name  # every feature is reached below through some claim
    for part in PARTS:
        for action in ACTIONS:
            agreement(Claim(part, "left", action, "knee", "right"), Poses(flat), Poses(flat))


def test_unusable_joints_are_refused() -> None:
    with pytest.raises(PoseError, match=r"\(1, 17, 3\), expected \(N, 22, 3\)"):
        Poses(np.zeros((1, 17, 3)))
    joints = np.stack([standing(), standing()])
    joints[1, 4, 0] = np.nan
    with pytest.raises(PoseError, match="pose 1 has joints that are not finite"):
        Poses(joints)


def test_large_changes_and_their_mention() -> None:
    a, b = pair(left_wrist=(0, 0.45, 0), right_ankle=(0, 0.1, 0.1))
    assert [u for u, big in zip(UNITS, large_changes(a, b)[0], strict=True) if big] == ["left arm"]
    assert mentioned(judge_pair(parse("lift your left hand"), a, b)) == {"left arm"}
    assert mentioned(judge_pair(parse("lower your left hand"), a, b)) == set()
