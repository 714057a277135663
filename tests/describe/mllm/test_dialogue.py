from __future__ import annotations

import json

from autocompose.describe.mllm.asking.dialogue import Outcome, Stages, advance
from autocompose.describe.mllm.asking.prompts import load_prompts
from autocompose.describe.mllm.asks import Answer, Ask, Picture, Unanswered
from autocompose.describe.mllm.recipe import Frame, Recipe

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
