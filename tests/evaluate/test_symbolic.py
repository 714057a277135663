"""Search by claims on 3D poses, and the ceiling."""

from __future__ import annotations

import numpy as np
import pytest

from autocompose.core.errors import InputError, PoseError
from autocompose.describe.audit.measure import Poses
from autocompose.evaluate.symbolic import ceiling, rank, rank_all, rank_states
from tests.describe.audit.poses import random_joints, standing

LEFT_UP: dict[str, tuple[float, float, float]] = {"left_elbow": (0.22, 0.38, 0.1), "left_wrist": (0.30, 0.86, 0.1)}
RIGHT_UP = {name.replace("left", "right"): (-x, y, z) for name, (x, y, z) in LEFT_UP.items()}
KICK: dict[str, tuple[float, float, float]] = {
    "right_knee": (0, 0.1, 0.3),
    "right_ankle": (0, 0.2, 0.5),
    "right_foot": (0, 0.2, 0.5),
}


def _gallery() -> np.ndarray:
    moves = [{}, LEFT_UP, RIGHT_UP, LEFT_UP | RIGHT_UP, LEFT_UP | KICK, {"left_wrist": (0, 0.05, 0.35)}]
    return np.stack([standing(**move) for move in moves])


@pytest.mark.parametrize(
    ("reference", "text", "best"),
    [
        (0, "raise your left hand", 1),
        (0, "raise your right hand", 2),
        (0, "raise both hands", 3),
        (1, "lower your left arm", 0),
        (1, "raise your right hand", 3),
        (1, "kick your right foot out in front of you", 4),
        (0, "move your left hand forward", 5),
        (5, "raise your left hand and move it back", 1),
    ],
)
def test_the_text_and_the_reference_decide(reference: int, text: str, best: int) -> None:
    gallery = _gallery()
    assert rank(text, gallery[reference], gallery).argmax() == best


def test_many_queries_equal_one_by_one() -> None:
    gallery = random_joints(25, 5)
    texts = ["raise your left arm a bit", "bend over", "the sofa is red", "hands together, right knee straight"]
    together = rank_all(texts, [0, 3, 7, 24], Poses(gallery))
    assert together.shape == (4, 25) and together.dtype == np.float32
    for row, text, reference in zip(together, texts, (0, 3, 7, 24), strict=True):
        np.testing.assert_allclose(row, rank(text, gallery[reference], gallery), rtol=1e-4, atol=1e-3)


def test_without_claims_the_reference_itself_is_best() -> None:
    gallery = random_joints(30, 2)
    assert rank("hello there", gallery[17], gallery).argmax() == 17


def test_place_and_heading_of_candidates_do_not_matter() -> None:
    gallery = random_joints(12, 8)
    plain = rank("lift your right knee", gallery[0], gallery)
    np.testing.assert_allclose(plain, rank("lift your right knee", gallery[0] + 2, gallery - 1), atol=1e-3)


def test_degree_words_choose_between_candidates() -> None:
    gallery = np.stack([standing(), standing(left_wrist=(0, 0.16, 0)), standing(left_wrist=(0, 0.75, 0))])
    assert rank("raise your left hand slightly", gallery[0], gallery).argmax() == 1
    assert rank("raise your left hand a lot", gallery[0], gallery).argmax() == 2


def test_the_wrong_direction_is_worse_than_no_change_and_both_than_what_was_asked() -> None:
    halfway = {"left_elbow": (0.26, 0.24, 0.0), "left_wrist": (0.5, 0.5, 0.0)}
    kick_up = LEFT_UP | KICK | {"right_wrist": (0.0, 0.2, 0.4)}  # does what is asked, and much else
    gallery = np.stack([standing(**m) for m in (halfway, {}, halfway, LEFT_UP, kick_up)])
    scores = rank("raise your left arm", gallery[0], gallery)
    assert scores[1] < scores[2] < scores[4] < scores[3]


def test_the_weight_moves_the_balance() -> None:
    kick_up = LEFT_UP | KICK | {"right_wrist": (0.0, 0.2, 0.4)}
    gallery = np.stack([standing(**m) for m in ({}, {"left_wrist": (0, 0.08, 0)}, kick_up)])
    text = "raise your left arm"
    assert rank(text, gallery[0], gallery, weight=0).argmax() == 0
    assert rank(text, gallery[0], gallery, weight=0.05)[1:].argmax() == 0
    assert rank(text, gallery[0], gallery, weight=1).argmax() == 2
    np.testing.assert_array_equal(rank(text, gallery[0], gallery, weight=0), rank("", gallery[0], gallery))
    kept = [rank("", gallery[0], gallery, weight=w) for w in (0.5, 0.75)]
    np.testing.assert_array_equal(*kept)  # without a text there is nothing to balance
    with pytest.raises(InputError, match=r"weight 1\.5: expected 0"):
        rank(text, gallery[0], gallery, weight=1.5)


def test_uncertain_joints_decide_less() -> None:
    gallery = np.stack([standing(), standing(**LEFT_UP), standing(left_wrist=(0, -0.1, 0))])
    sure, unsure = (
        rank("raise your left arm", gallery[0], gallery, 1, np.full(22, u), np.full((3, 22), u)) for u in (0, 0.3)
    )
    assert sure.argmax() == unsure.argmax() == 1
    assert np.ptp(unsure) < np.ptp(sure)
    np.testing.assert_allclose(sure, rank("raise your left arm", gallery[0], gallery, 1))


def test_a_pose_is_found_without_a_reference() -> None:
    hips = {"left_elbow": (0.15, 0.1, 0.0), "left_wrist": (-0.1, 0.02, 0.05)}
    hips |= {name.replace("left", "right"): (-x, y, z) for name, (x, y, z) in hips.items()}
    gallery = np.stack([standing(**m) for m in ({}, LEFT_UP, LEFT_UP | RIGHT_UP, KICK, hips)])
    assert rank_states("both arms up", gallery).argmax() == 2
    assert rank_states("hands on the hips", gallery).argmax() == 4
    assert rank_states("right foot forward", gallery).argmax() == 3
    assert not rank_states("the sofa is red", gallery).any()


def test_ceiling_counts_levels_by_the_obvious_loop() -> None:
    rng = np.random.default_rng(0)
    codes, told = rng.integers(-3, 4, (40, 11), dtype=np.int8), rng.integers(-3, 4, 11, dtype=np.int8)
    slow = [-sum(abs(int(c) - int(t)) for c, t in zip(row, told, strict=True)) for row in codes]
    np.testing.assert_array_equal(ceiling(codes, told), slow)
    assert ceiling(np.vstack([codes, told]), told).argmax() == 40


def test_bad_input() -> None:
    with pytest.raises(InputError, match="ceiling: codes"):
        ceiling(np.zeros((3, 4), int), np.zeros(5, int))
    with pytest.raises(PoseError, match=r"expected \(N, 22, 3\)"):
        rank("raise your arm", standing()[:17], _gallery())
    for doubts in (np.zeros((6, 21)), np.full((6, 22), np.nan), np.full((6, 22), -1.0)):
        with pytest.raises(PoseError, match="uncertainty"):
            rank("raise your arm", standing(), _gallery(), gallery_uncertainty=doubts)
    broken = _gallery()
    broken[2, 0, 0] = np.inf
    with pytest.raises(PoseError, match="pose 2"):
        rank("raise your arm", standing(), broken)
