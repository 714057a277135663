"""Edit cubes: independence of edits, what the codes tell, and what nobody can tell without the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.bodies.kinematics import forward
from autocompose.bodies.points import normal_points
from autocompose.bodies.sampling import limits
from autocompose.bodies.sampling import self_contact as selfhit
from autocompose.bodies.sampling.sampler import FAMILIES, sample
from autocompose.bodies.skeleton import SMPL22, turn
from autocompose.describe.rules.codes.pair_codes import NOISE, PAIR_CODES, THRESHOLDS, pair_codes, pair_measures
from autocompose.prepare.bodycpr import cube_codes, cubes
from autocompose.prepare.bodycpr.cube_codes import MASKS, USABLE, blind, cube_levels, told_apart
from autocompose.prepare.bodycpr.limb_edits import PARTS, Base, Plausible, States, compose, draw_states

TOLD = np.array([code.kind != "gap" for code in PAIR_CODES])


def base_of(family: str, seed: int) -> Base:
    angles = sample(family, 1, np.random.default_rng([seed, 1]), batch=16)
    return Base(limits.to_rotations(angles)[0], family, angles[0])


def some_cubes(count: int = 16) -> list[cubes.Cube]:
    found: list[cubes.Cube] = []
    for seed in range(100):
        family = list(FAMILIES)[seed % len(FAMILIES)]
        found += cubes.cluster(base_of(family, seed), np.random.default_rng(seed), 2)
        if len(found) >= count:
            break
    return found


@pytest.fixture(scope="module")
def made() -> list[cubes.Cube]:
    return some_cubes()


def test_masks_and_usable_pairs() -> None:
    assert USABLE.sum() == 48 and not USABLE.diagonal().any() and (USABLE == USABLE.T).all()
    distance = np.abs(MASKS[:, None] - MASKS[None]).sum(-1)
    assert (((distance == 1) | (distance == 2)) == USABLE).all()


def test_edits_are_independent_and_of_different_parts(made: list[cubes.Cube]) -> None:
    for cube in made:
        edited = [set(PARTS[part]) for part in cube.parts]
        assert len(set().union(*edited)) == sum(map(len, edited))
        for edit, part in enumerate(cube.parts):
            if part == "torso":
                continue  # its hinge moves the pelvis against the hips
            joints = [SMPL22.index(j) for j in PARTS[part] if not j.endswith("_hip")]
            off, on = (cube.rotations[MASKS[:, edit] == state][:, joints] for state in (0, 1))
            assert np.allclose(off, off[0], atol=1e-6) and np.allclose(on, on[0], atol=1e-6)
            assert not np.allclose(off[0], on[0], atol=0.05)


def test_every_usable_pair_is_told_beyond_threshold_and_noise(made: list[cubes.Cube]) -> None:
    """The obvious way: one pair after the other, with the strongest noise against it."""
    weakest = np.array([THRESHOLDS[code.kind][0] + NOISE[code.kind] for code in PAIR_CODES])[TOLD]
    for cube in made[:6]:
        joints = forward(cube.rotations)[0].astype(np.float64)
        measures = pair_measures(normal_points(joints))[TOLD]
        for reference, target in np.argwhere(USABLE):
            assert (np.abs(measures[:, reference] - measures[:, target]) > weakest).any()
            assert np.linalg.norm(joints[reference] - joints[target], axis=-1).mean() > cube_codes.MIN_MOVE


def test_levels_of_a_cube_agree_with_the_pair_codes(made: list[cubes.Cube]) -> None:
    joints = forward(made[0].rotations)[0]
    levels = cube_levels(joints)
    for reference in range(8):
        slow = pair_codes(np.repeat(joints[[reference]], 8, 0), joints)[:, TOLD]
        assert np.array_equal(levels[reference], slow)


def test_levels_do_not_depend_on_yaw(made: list[cubes.Cube]) -> None:
    joints = forward(made[1].rotations)[0]
    turned = turn(joints, 130.0)
    assert (cube_levels(joints) != cube_levels(turned)).mean() < 0.002  # values on a threshold may flip


def test_told_apart_agrees_with_the_obvious_way(made: list[cubes.Cube]) -> None:
    rng = np.random.default_rng(0)
    cases = [cube_levels(forward(cube.rotations)[0]) for cube in made[:3]]
    cases.append(rng.integers(0, 2, (8, 8, 2)).astype(np.int8))  # many equal sets
    for levels in cases:
        slow = np.zeros((8, 8), bool)
        for r in range(8):
            for t in range(8):
                others = [c for c in range(8) if c not in (r, t)]
                slow[r, t] = (
                    r != t and levels[r, t].any() and not any((levels[r, t] == levels[r, c]).all() for c in others)
                )
        assert np.array_equal(told_apart(levels), slow)


def test_nobody_finds_the_target_without_the_reference(made: list[cubes.Cube]) -> None:
    """The scorer has the candidates' true joints and the codes; written out here apart from the generator's own."""
    scale = np.array([THRESHOLDS[code.kind][0] for code in PAIR_CODES])
    hits, total = 0, 0
    for cube in made:
        joints = forward(cube.rotations)[0].astype(np.float64)
        usable = np.argwhere(USABLE)
        codes = pair_codes(joints[usable[:, 0]], joints[usable[:, 1]]).astype(float)
        measures = (pair_measures(normal_points(joints)) / scale[:, None]).T  # (8, 44)
        for (reference, target), levels in zip(usable.tolist(), codes, strict=True):
            candidates = [c for c in range(8) if c != reference]
            typical = measures[candidates].mean(0)
            scores = [float((levels * (measures[c] - typical))[TOLD].sum()) for c in candidates]
            hits += candidates[int(np.argmax(scores))] == target
            total += 1
    assert total == 48 * len(made) and len(made) >= 16
    assert hits / total <= 0.40
    assert max(blind(forward(cube.rotations)[0]) for cube in made) <= cubes.BLIND


def test_blind_counts_independent_edits_as_three_in_eight() -> None:
    """Three limbs that move apart from each other: 1/4 of the single edits and 1/2 of the double ones by luck."""
    angles = np.zeros((8, len(limits.ANGLES)))
    angles[:, limits.INDEX["left_arm_raise"]] = 90 * MASKS[:, 0]
    angles[:, limits.INDEX["right_arm_raise"]] = 90 * MASKS[:, 1]
    angles[:, limits.INDEX["left_leg_flex"]] = 70 * MASKS[:, 2]
    assert blind(forward(limits.to_rotations(angles))[0]) == pytest.approx(0.375)


def test_a_twist_that_carries_the_arms_gives_itself_away() -> None:
    """Edits that depend on each other must be noticed: with the arm raised, bending shows in other codes."""
    angles = np.zeros((8, len(limits.ANGLES)))
    angles[:, limits.INDEX["hinge"]] = 75 * MASKS[:, 0]
    angles[:, limits.INDEX["left_arm_raise"]] = 160 * MASKS[:, 1]
    angles[:, limits.INDEX["right_arm_raise"]] = 160 * MASKS[:, 2]
    assert blind(forward(limits.to_rotations(angles))[0]) > 0.40


def test_cubes_of_a_cluster_share_no_pose_and_stay_near_each_other() -> None:
    rng = np.random.default_rng(5)
    found = cubes.cluster(base_of("walking", 1), rng)
    assert len(found) >= 2
    joints = [forward(cube.rotations)[0] for cube in found]
    gaps = np.array([
        np.linalg.norm(a[:, None] - b[None], axis=-1).mean(-1).min()
        for i, a in enumerate(joints)
        for b in joints[:i]
    ])  # fmt: skip
    assert (gaps > 0.01).all() and gaps.min() < 0.12


def test_edited_poses_stay_plausible(made: list[cubes.Cube]) -> None:
    depths = np.concatenate([selfhit.depth(forward(cube.rotations)[0]) for cube in made])
    assert depths.max() <= 0.026


def test_compose_takes_the_states_and_keeps_the_legs_under_a_hinge() -> None:
    base = base_of("standing", 2)
    bent = limits.to_rotations(base.angles[None])  # type: ignore[index]
    torso = States("torso", np.concatenate([base.rotations[None], bent]), np.array([0.0, 40.0]))
    poses = compose(base.rotations, [torso], np.array([[0], [1]]))
    assert np.allclose(poses[0], base.rotations)
    one, two = forward(poses)[0]
    hips = [SMPL22.index("left_hip"), SMPL22.index("right_hip")]
    legs = [SMPL22.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
    assert np.allclose(one[legs] - one[hips].mean(0), two[legs] - two[hips].mean(0), atol=1e-5)
    assert two[SMPL22.index("head"), 2] > one[SMPL22.index("head"), 2] + 0.2


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=3)
def test_the_same_generator_gives_the_same_cluster(seed: int) -> None:
    base = base_of("dancing", 3)
    one, two = (cubes.cluster(base, np.random.default_rng(seed), 1, 20) for _ in range(2))
    assert len(one) == len(two) and all(np.array_equal(a.rotations, b.rotations) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(("family", "twins"), [("dancing", False), ("sitting", False), ("standing", True)])
def test_looking_at_many_cubes_together_finds_those_that_one_at_a_time_finds(
    family: str, twins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, after = [], []
    for ahead in ((1, 1), cubes.AHEAD):
        monkeypatch.setattr(cubes, "AHEAD", ahead)
        rng = np.random.default_rng(5)
        found.append(cubes.cluster(base_of(family, 3), rng, 4, twins))
        after.append(rng.random())
    assert found[0] and len(found[0]) == len(found[1])
    for one, many in zip(*found, strict=True):
        assert one.parts == many.parts
        np.testing.assert_array_equal(one.rotations, many.rotations)
    assert after[0] == after[1]  # nothing more has been drawn


def test_states_start_with_the_own_one_and_differ_clearly() -> None:
    base = base_of("sitting", 4)
    states = draw_states(base, "left leg", Plausible(base), np.random.default_rng(0))
    assert len(states.hinge) >= 2 and np.array_equal(states.rotations[0], base.rotations)
    poses = forward(compose(base.rotations, [states], np.arange(len(states.hinge))[:, None]))[0]
    differ = cube_codes.clearly_differ(poses, poses)
    assert differ[~np.eye(len(poses), dtype=bool)].all()


def test_limbs_of_the_same_motion_serve_as_edits() -> None:
    others = np.stack([base_of("lying", seed).rotations for seed in range(6)])
    base = Base(others[0], "motion capture", sequence="clip", others=others[1:])
    states = draw_states(base, "right leg", Plausible(base), np.random.default_rng(0))
    knee = SMPL22.index("right_knee")
    assert len(states.hinge) > 1
    assert all(np.isclose(others[1:, knee], rotation[knee]).all(-1).any() for rotation in states.rotations[1:])


def test_twins_have_the_same_states_and_other_cubes_of_a_cluster_do_not() -> None:
    base, rng = base_of("standing", 3), np.random.default_rng(3)
    for twins in (True, False):
        found = cubes.cluster(base, rng, 3, twins)
        assert len(found) == 3
        poses = np.stack([forward(cube.rotations)[0] for cube in found])  # (3, 8, 22, 3)
        poses = poses - poses[:, :, :1]
        gap = np.linalg.norm(poses[:, None, :, None] - poses[None, :, None, :], axis=-1).mean(-1)  # (3, 3, 8, 8)
        same = np.concatenate([np.diagonal(gap[a, b]) for a in range(3) for b in range(a)])
        assert (same < 0.05).all() if twins else (same > 0.05).any()
        assert (same > 0.002).all()  # twins are no copies


def test_looking_like_the_reference_does_not_find_the_target() -> None:
    """An exact eye that ignores the text meets the twins first, in a cluster of four cubes."""
    found: list[float] = []
    for seed, family in enumerate(list(FAMILIES)[:8]):
        made = cubes.cluster(base_of(family, seed), np.random.default_rng(seed), 4, twins=True)
        if len(made) < 4:
            continue
        joints = np.concatenate([forward(cube.rotations)[0] for cube in made])
        joints = joints - joints[:, :1]
        gap = np.linalg.norm(joints[:, None] - joints[None], axis=-1).mean(-1)
        np.fill_diagonal(gap, np.inf)
        rank = gap.argsort(1).argsort(1)
        found += [
            float(rank[8 * cube + r, 8 * cube + t] < 10) for cube in range(4) for r, t in np.argwhere(USABLE).tolist()
        ]
    assert len(found) >= 4 * 192
    assert 0.15 < np.mean(found) < 0.45
