"""The uncertainty of joints as an uncertainty of measurements, and what is not told for it."""

import numpy as np

from autocompose.bodies.skeleton import turn
from autocompose.describe.rules.changes import N_PAIR, Figures, measure_poses
from autocompose.describe.rules.codes.pair_codes import PAIR_NAMES
from autocompose.describe.rules.codes.spread import spreads
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.texts import describe
from tests.describe.audit.poses import J, standing

OPTIONS = RuleOptions(noise=0.0, absolute="none", rotation=False)
UP = {"left_elbow": (0.12, 0.06, 0.0), "left_wrist": (0.3, 0.22, 0.0)}


def doubt(**metres: float) -> np.ndarray:
    result = np.full((1, 22), 0.01)
    for name, value in metres.items():
        result[0, J[name]] = value
    return result


def test_exact_joints_have_exact_measurements() -> None:
    spread = spreads(standing()[None], np.zeros((1, 22)))
    assert np.nanmax(spread) < 1e-9 and spread.shape == (N_PAIR + 5, 1)


def test_each_pose_of_a_batch_has_its_own() -> None:
    poses, doubts = np.stack([standing(), standing(**UP)]), np.concatenate([doubt(), doubt(left_wrist=0.3)])
    both = spreads(poses, doubts)
    one = [spreads(poses[i : i + 1], doubts[i : i + 1])[:, 0] for i in (0, 1)]
    assert np.allclose(both, np.stack(one, 1), equal_nan=True)


def test_an_uncertain_wrist_makes_its_height_uncertain_and_not_the_other() -> None:
    spread = spreads(standing()[None], doubt(left_wrist=0.3))[:, 0]
    left, right = (spread[PAIR_NAMES.index(f"height:{side}_hand")] for side in ("left", "right"))
    assert left > 0.1 > 0.03 > right


def test_depth_is_less_certain_than_what_the_picture_shows() -> None:
    facing = spreads(standing()[None], doubt(left_wrist=0.3))[:, 0]
    aside = spreads(turn(standing()[None], 90.0), doubt(left_wrist=0.3))[:, 0]
    forward, sideways = (PAIR_NAMES.index(f"{axis}:left_hand") for axis in ("depth", "side"))
    assert facing[forward] > 1.7 * facing[sideways] and aside[sideways] > 1.7 * aside[forward]


def test_what_the_uncertainty_explains_is_not_told_but_counted() -> None:
    start, goal = standing()[None], standing(**UP)[None]
    exact = describe(start, goal, 0, 1, OPTIONS, numbers=True)[0]
    vague = np.full((1, 22), 0.5)
    sure, unsure = (
        describe(Figures(start, uncertainty=by), Figures(goal, uncertainty=by), 0, 1, OPTIONS, numbers=True)[0]
        for by in (doubt(), vague)
    )
    codes = [entry["code"] for entry in exact.measured]
    assert "height:left_hand" in codes and exact.doubtful == []
    assert [entry["code"] for entry in sure.measured] == codes and sure.texts
    kept, left_out = ([entry["code"] for entry in entries] for entries in (unsure.measured, unsure.doubtful))
    assert "height:left_hand" in left_out and sorted(kept + left_out) == sorted(codes)
    assert {code for said in unsure.said for statement in said for code in statement.codes} <= set(kept)
    assert all(entry["uncertainty"] > 0 for entry in unsure.doubtful)


def test_uncertainty_follows_into_the_mirror() -> None:
    one = Figures(standing()[None], uncertainty=doubt(left_wrist=0.3)).mirrored()
    spread = measure_poses(one, OPTIONS).spread
    assert spread is not None
    assert spread[PAIR_NAMES.index("height:right_hand"), 0] > 3 * spread[PAIR_NAMES.index("height:left_hand"), 0]
