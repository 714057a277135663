"""Several correct targets and hard negatives: a slow, obvious version, hand-made poses, and whole runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autocompose.core.errors import InputError
from autocompose.core.records import Question
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable
from autocompose.describe.audit.judge import agreement
from autocompose.describe.audit.measure import Poses
from autocompose.describe.reading.parse import parse
from autocompose.describe.side_words import swap_sides
from autocompose.evaluate.questions import Evaluation
from autocompose.evaluate.results import read_ranks, write_evaluation
from autocompose.evaluate.robust.files import compare_robustness, read_judged
from autocompose.evaluate.robust.judged import NAMES, GalleryPoses, average_precision, judge
from tests.describe.audit.poses import random_joints, standing

TEXTS = ("Raise your left hand.", "lower the right arm a bit", "bend both knees", "the sofa is red", "")
UP = {"left_elbow": (0.22, 0.38, 0.1), "left_wrist": (0.30, 0.86, 0.1)}
RIGHT_UP = {"right_elbow": (-0.22, 0.38, 0.1), "right_wrist": (-0.30, 0.86, 0.1)}


def slow_average_precision(correct: list[bool], top: list[int]) -> float:
    """By the definition, place by place."""
    total = sum(correct)
    if not total or not top:
        return float("nan")
    precisions = [
        sum(correct[row] for row in top[: place + 1]) / (place + 1) for place in range(len(top)) if correct[top[place]]
    ]
    return sum(precisions) / min(total, len(top))


@given(arrays(bool, st.integers(1, 12)), st.data())
def test_average_precision_is_the_slow_one(correct: np.ndarray, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(correct))))
    top = order[: data.draw(st.integers(0, len(order)))]
    expected = slow_average_precision(correct.tolist(), top)
    assert average_precision(correct, np.array(top, int)) == pytest.approx(expected, nan_ok=True)


def test_a_perfect_list_has_1_and_a_late_one_less() -> None:
    correct = np.array([True, True, False, False])
    assert average_precision(correct, np.array([1, 0, 2])) == 1
    assert average_precision(correct, np.array([2, 3, 1])) == pytest.approx(1 / 6)


def slow_fulfils(text: str, a: np.ndarray, b: np.ndarray) -> bool | None:
    """One pair of poses at a time."""
    scores = [
        float(agreement(dataclasses.replace(claim, degree=None), Poses(a[None]), Poses(b[None]))[0][0])
        for claim in parse(text)
    ]
    checked = [score for score in scores if not np.isnan(score)]
    return all(score >= 1 for score in checked) if checked else None


def slow_gap(a: np.ndarray, b: np.ndarray) -> float:
    one, two = Poses(a[None]).joints[0], Poses(b[None]).joints[0]
    return float(np.mean([np.linalg.norm(x - y) for x, y in zip(one, two, strict=True)]))


def slow_judged(joints: np.ndarray, text: str, reference: int, target: int, top: list[int]) -> list[float]:
    nan = float("nan")
    known = [bool(np.isfinite(pose).all()) for pose in joints]
    decided = known[reference] and known[target]
    if not decided or slow_fulfils(text, joints[reference], joints[target]) is None:
        return [nan] * 6
    others = [i for i in range(len(joints)) if i != reference and known[i]]
    fulfils = {i for i in others if slow_fulfils(text, joints[reference], joints[i])}
    swapped = swap_sides(text)
    opposite = {i for i in others if slow_fulfils(swapped, joints[reference], joints[i])} - fulfils - {target}
    correct = {i for i in fulfils if slow_gap(joints[i], joints[target]) <= 0.05} | {target}
    alike = {i for i in others if slow_gap(joints[i], joints[reference]) <= 0.05} - fulfils - correct
    share = [len(set(top[:k]) & wrong) / len(top[:k]) for wrong in (alike, opposite) for k in (1, len(top))]
    precision = slow_average_precision([i in correct for i in range(len(joints))], top)
    if swapped == text:
        share[2:] = [nan, nan]
    return [precision, len(set(top) & fulfils) / len(top), *share]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TEXTS), st.data())
def test_judgements_are_the_slow_ones(seed: int, text: str, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    joints = random_joints(6, seed)
    joints = np.concatenate([joints, joints[:3] + rng.normal(0, 0.01, (3, 22, 3)), joints[:2]])  # near ones and ties
    joints[rng.random(len(joints)) < 0.1] = np.nan
    reference, target, *rest = data.draw(st.permutations(range(len(joints))))
    top = data.draw(st.permutations([target, *rest]))[: data.draw(st.integers(1, len(rest)))]
    judged = GalleryPoses(joints).judged(text, reference, target, np.array(top))
    assert list(judged) == pytest.approx(slow_judged(joints, text, reference, target, top), nan_ok=True)


def corpus_of(root: Path, poses: np.ndarray | None) -> tuple[Corpus, tuple[str, ...]]:
    names = tuple(f"{i}.png" for i in range(6))
    table = None if poses is None else PoseTable(names, poses.astype(np.float32), np.zeros(6, np.float32))
    return Corpus(root, {}, {}, table), names


def evaluation_of(names: tuple[str, ...], text: str, order: list[int]) -> Evaluation:
    """One query from picture 0 to picture 1 that finds the gallery in this order."""
    gallery = np.zeros((6, 2))
    angles = np.empty(6)
    angles[order] = np.linspace(0.1, 1.2, 6)
    gallery[:, 0], gallery[:, 1] = np.cos(angles), np.sin(angles)
    query = Question(names[0], text, names[1], (), 0)
    return Evaluation([query], names, gallery, np.array([[1.0, 0.0]]), np.array([0]))


@pytest.fixture
def poses() -> np.ndarray:
    near_target = standing(**{**UP, "right_wrist": (-0.2, -0.2, 0.05)})
    return np.stack([standing(), standing(**UP), near_target, standing(**RIGHT_UP), standing(), standing()])


def test_hand_made_poses(tmp_path: Path, poses: np.ndarray) -> None:
    corpus, names = corpus_of(tmp_path, poses)
    text = "raise your left hand above your head"
    judged = judge(evaluation_of(names, text, [4, 1, 3, 2, 5, 0]), corpus)
    assert judged is not None
    values = {name: float(value[0]) for name, value in judged.values.items()}
    assert values == pytest.approx(
        {
            "average_precision_at10": (1 / 2 + 2 / 4) / 2,  # the target and the pose near it, second and fourth
            "satisfaction_at10": 2 / 5,
            "look_alikes_at1": 1.0,
            "look_alikes_at10": 2 / 5,
            "opposites_at1": 0.0,
            "opposites_at10": 1 / 5,
        }
    )


def test_what_cannot_be_judged_is_left_out_and_counted(tmp_path: Path, poses: np.ndarray) -> None:
    order = [4, 1, 3, 2, 5, 0]
    corpus, names = corpus_of(tmp_path, poses)
    without_claims = judge(evaluation_of(names, "the sofa is red", order), corpus)
    assert without_claims is not None
    assert set(without_claims.summary()["n"].values()) == {0}
    no_side = judge(evaluation_of(names, "raise both hands", order), corpus)
    assert no_side is not None
    assert no_side.summary()["n"] == {name: int(not name.startswith("opposites")) for name in NAMES}
    assert judge(evaluation_of(names, "raise both hands", order), corpus_of(tmp_path, None)[0]) is None
    poses[1] = np.nan
    assert corpus.poses is not None
    unknown = dataclasses.replace(corpus, poses=dataclasses.replace(corpus.poses, joints=poses))
    hidden = judge(evaluation_of(names, "raise your left hand", order), unknown)
    assert hidden is not None
    assert set(hidden.summary()["n"].values()) == {0}


def test_files_keep_the_measures_and_compare_reads_them(tmp_path: Path, poses: np.ndarray) -> None:
    corpus, names = corpus_of(tmp_path, poses)
    text = "raise your left hand above your head"
    for name, order in (("one", [4, 1, 3, 2, 5, 0]), ("two", [1, 2, 3, 4, 5, 0])):
        evaluation = evaluation_of(names, text, order)
        judged = judge(evaluation, corpus)
        write_evaluation(tmp_path / name, evaluation, 0, judged=judged)
        stored = read_judged(tmp_path / name)
        assert judged is not None
        assert stored is not None
        for measure, values in judged.values.items():
            np.testing.assert_allclose(stored.values[measure], values, rtol=1e-5)
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())["judged"]
        assert metrics["near_metres"] == 0.05
        assert metrics["ci95"]["look_alikes_at10"] == [metrics["look_alikes_at10"]] * 2
    differences = compare_robustness(tmp_path / "one", tmp_path / "two")
    assert differences["average_precision_at10"].value == pytest.approx(50)
    assert differences["look_alikes_at1"].value == pytest.approx(-100)
    assert read_ranks(tmp_path / "one")[2].gallery.tolist() == [1]


def test_a_measure_that_is_no_share_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ranks.csv"
    path.write_text("reference,target,text,cluster,rank,group_rank,look_alikes_at1\na,b,t,c,1,,1.5\n")
    with pytest.raises(InputError, match=r"ranks.csv: '1.5' is no measure"):
        read_judged(path)
