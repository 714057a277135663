from __future__ import annotations

import asyncio
import json

from autocompose.describe.mllm.asking.dialogue import Stages
from autocompose.describe.mllm.asking.prompts import load_prompts
from autocompose.describe.mllm.asks import Answer, Ask
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

    async def ask(question: Ask) -> Answer:
        asked.append(question)
        return Answer(answers[min(len(asked), len(answers)) - 1])

    stages = Stages(Recipe(model="m", texts=3), load_prompts("v1"))
    found = asyncio.run(stages._texts(MOVEMENTS, "plain", ask))
    assert [question.sample for question in asked] == list(range(len(asked)))  # each has a key of its own
    return found.good, len(asked)


def test_wordings_are_asked_for_while_they_come() -> None:
    one, two, three = (said(wording) for wording in WORDINGS)
    assert collected([one, JUNK, JUNK, two, JUNK, JUNK, three]) == (WORDINGS, 7)
    assert collected([said(*WORDINGS)]) == (WORDINGS, 1)


def test_three_answers_in_a_row_without_a_new_one_are_the_end() -> None:
    assert collected([said(WORDINGS[0])]) == (WORDINGS[:1], 4)
    assert collected([JUNK]) == ([], 3)
