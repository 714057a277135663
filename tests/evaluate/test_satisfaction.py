"""Who fulfils a text: the planner's statements on hand-made poses, and the shares among the first results."""

from __future__ import annotations

import numpy as np

from autocompose.describe.rules.changes import Figures, measure_poses
from autocompose.describe.rules.texts import describe
from autocompose.evaluate.satisfaction import (
    DecidedQuestion,
    claim_questions,
    fulfilled,
    rule_options,
    rule_questions,
    satisfaction,
)
from tests.describe.audit.poses import random_joints, standing

UP: dict[str, tuple[float, float, float]] = {"left_elbow": (0.22, 0.38, 0.1), "left_wrist": (0.30, 0.86, 0.1)}


def test_a_text_is_fulfilled_by_its_target_and_not_by_the_opposite() -> None:
    poses = np.stack([standing(), standing(**UP), standing(left_wrist=(0, 0.1, 0.3)), standing()])
    options = rule_options(2)
    said = describe(poses[[0]], poses[[1]], 0, 1, options)[0].said[0]
    np.testing.assert_array_equal(fulfilled(said, measure_poses(Figures(poses), options), 0, options), [0, 1, 0, 0])


def test_every_question_of_rules_is_fulfilled_by_the_pair_that_it_was_written_about() -> None:
    joints = random_joints(60, 4)
    options = rule_options(1)
    measures = measure_poses(Figures(joints), options)
    told = 0
    for target in range(1, 40):
        description = describe(joints[[0]], joints[[target]], 0, 1, options)[0]
        if description.said:
            told += 1
            assert fulfilled(description.said[0], measures, 0, options)[target], description.texts[0]
    assert told > 30


def test_questions_can_be_fulfilled_and_are_the_same_again() -> None:
    joints = random_joints(80, 7)
    questions = rule_questions(joints, 6, seed=3)
    assert len(questions) == 6
    assert all(q.fulfils.sum() >= 5 and not q.fulfils[q.reference] for q in questions)
    assert [q.text for q in questions] == [q.text for q in rule_questions(joints, 6, seed=3)]


def test_free_texts_are_decided_by_supported_claims() -> None:
    poses = np.stack([standing()] + [standing(**UP)] * 6 + [standing(left_wrist=(0, 0.1, 0.4))] * 3)
    (question,) = claim_questions(["raise your left hand above your head", "the sofa is red"], [0, 0], poses)
    np.testing.assert_array_equal(question.fulfils, [False] + [True] * 6 + [False] * 3)


def test_shares_are_counted_without_the_reference() -> None:
    fulfils = np.array([False, True, False, True, False, False, True, True, True, False, False, False])
    scores = -np.arange(12.0)
    found = satisfaction([DecidedQuestion("", 0, fulfils)], lambda _: scores)
    assert found == {
        "satisfaction_at5": 40.0,  # rows 1 to 5
        "satisfaction_at10": 50.0,  # rows 1 to 10
        "chance": 100 * 5 / 11,
        "n_questions": 1,
    }
