from __future__ import annotations

import json

import pytest

from autocompose.describe.mllm.asking.dialogue import Outcome, Stages, advance
from autocompose.describe.mllm.asking.prompts import load_prompts
from autocompose.describe.mllm.asks import Answer, Ask, Picture, Unanswered
from autocompose.describe.mllm.frames import QUESTION_FRAMES, Frame
from autocompose.describe.mllm.recipe import Recipe

MOVEMENTS = [("left arm", "goes up")]
WORDINGS = [
    "Raise your left arm.",
    "Lift that left arm well above where it was before.",
    "Your left arm: take it upwards.",
]
JUNK = "no object"


def said(*texts: str) -> str:
    return json.dumps({"texts": texts})


def collected(answers: list[str]) -> tuple[list[str], int]:
    """Wordings, and how many questions they took; the last answer is given for ever."""
    asked: list[Ask] = []
    steps = Stages(Recipe(model="m", texts=3), load_prompts("v1"))._texts(MOVEMENTS, "plain")
    found = advance(steps)
    while isinstance(found, Ask):
        asked.append(found)
        found = advance(steps, Answer(answers[min(len(asked), len(answers)) - 1]))
    assert [question.sample for question in asked] == list(range(len(asked)))  # each has a key of its own
    return found.good, len(asked)


def test_wordings_are_asked_for_while_they_come() -> None:
    one, two, three = (said(wording) for wording in WORDINGS)
    assert collected([one, JUNK, JUNK, two, JUNK, JUNK, three]) == (WORDINGS, 7)
    assert collected([said(*WORDINGS)]) == (WORDINGS, 1)


def test_three_answers_in_a_row_without_a_new_one_are_the_end() -> None:
    assert collected([said(WORDINGS[0])]) == (WORDINGS[:1], 4)
    assert collected([JUNK]) == ([], 3)


def test_a_question_without_an_answer_ends_its_stage_only() -> None:
    stages = Stages(Recipe(model="m", frame=Frame.WORDS), load_prompts("v1"))
    pictures = (Picture(b"a", "image/png"), Picture(b"b", "image/png"))
    parts = json.dumps({"movements": [{"part": "left_arm", "change": "raise it"}]})

    def outcome(*replies: Answer | Unanswered) -> Outcome:
        steps = stages.describe(pictures, "plain")
        found = advance(steps)
        for reply in replies:
            assert isinstance(found, Ask)
            found = advance(steps, reply)
        assert isinstance(found, Outcome)
        return found

    gone = Unanswered("transport", "reset")
    assert (outcome(gone).stage, outcome(gone).parts) == ("parts", [])
    late = outcome(Answer(parts), gone)
    assert (late.stage, late.kind, late.parts) == ("texts", "transport", [("left arm", "raise it")])
    done = outcome(Answer(parts), Answer(said(*WORDINGS)))
    assert (done.state, done.texts) == ("done", WORDINGS)


def asked_about_parts(frame: Frame, answer: str, moved: bool = False) -> tuple[Outcome, list[Ask]]:
    """The outcome when every Stage I question gets the same answer, and the questions."""
    asked: list[Ask] = []
    pictures = (Picture(b"a", "image/png"), Picture(b"b", "image/png"))
    steps = Stages(Recipe(model="m", frame=frame), load_prompts("v1")).describe(pictures, "plain", moved=moved)
    found = advance(steps)
    while isinstance(found, Ask):
        asked.append(found)
        found = advance(steps, Answer(answer))
    assert isinstance(found, Outcome)
    return found, asked


def seen(facing: str) -> str:
    moves = [{"part": "image_left_arm", "change": "raise it"}]
    return json.dumps({"facing_reference": facing, "facing_target": facing, "movements": moves})


def test_what_cannot_be_answered_is_not_asked_again() -> None:
    outcome, asked = asked_about_parts(Frame.PICTURE, seen("left_profile"))
    assert (outcome.kind, len(asked)) == ("profile", 1)


@pytest.mark.parametrize(("moved", "questions"), [(False, 1), (True, 2)])
def test_no_movement_is_doubted_only_where_something_moved(moved: bool, questions: int) -> None:
    outcome, asked = asked_about_parts(Frame.WORDS, json.dumps({"movements": []}), moved)
    assert (outcome.kind, len(asked)) == ("empty", questions)


@pytest.mark.parametrize("frame", QUESTION_FRAMES)
@pytest.mark.parametrize("answer", [JUNK, seen("left_profile"), seen("nowhere"), "{}", '{"movements": []}'])
def test_advice_for_the_user_never_reaches_the_model(frame: Frame, answer: str) -> None:
    for ask in asked_about_parts(frame, answer, moved=True)[1]:
        assert "--" not in ask.text + ask.system
