from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.describe.mllm.asking.prompts import load_prompts
from autocompose.describe.mllm.asks import Answer
from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.judging.answers import Slip, read_parts, read_texts
from tests.describe.mllm.wild import READ, REFUSED

PARTS = load_prompts("v1").parts(Frame.COLOUR)
GOOD = json.dumps({"movements": [{"part": "blue_arm", "change": "raise it to shoulder height"}]})
MOVES = [("left arm", "raise it")]
SYSTEM = load_prompts("v1").system("texts", "English")


def parts(raw: str, finish: str = "stop", refusal: str = "") -> list[tuple[str, str]]:
    return read_parts(Answer(raw, finish, refusal), Frame.COLOUR, PARTS).movements


@pytest.mark.parametrize(
    "raw",
    [
        f"```json\n{GOOD}\n```",
        f"Sure! Here it is:\n{GOOD}\nI hope this helps.",
        GOOD.replace("}]}", "},]}"),
        f"  {GOOD}  trailing",
    ],
)
def test_common_slips_are_repaired_and_counted(raw: str) -> None:
    found = read_parts(Answer(raw), Frame.COLOUR, PARTS)
    assert found.movements == [("left arm", "raise it to shoulder height")] and found.repaired


def test_a_clean_answer_is_not_called_repaired() -> None:
    assert not read_parts(Answer(GOOD), Frame.COLOUR, PARTS).repaired


@pytest.mark.parametrize("raw", READ.values(), ids=READ.keys())
def test_answers_of_real_models_are_read(raw: str) -> None:
    found = read_parts(Answer(raw), Frame.WORDS, load_prompts("v1").parts(Frame.WORDS))
    assert len(found.movements) == 1 and found.movements[0][0] == "left arm"


@pytest.mark.parametrize(("raw", "finish", "kind"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_answer_is_named_and_a_draft_never_taken(raw: str, finish: str, kind: str) -> None:
    with pytest.raises(Slip) as caught:
        read_parts(Answer(raw, finish), Frame.WORDS, load_prompts("v1").parts(Frame.WORDS))
    assert caught.value.kind == kind


def movement(part: str = "blue_arm", change: str = "raise it") -> str:
    return json.dumps({"movements": [{"part": part, "change": change}]})


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("", "schema"),
        ("[]", "schema"),
        ('{"answer": 42}', "schema"),
        (GOOD[: len(GOOD) // 2], "schema"),
        ('{"movements": "none"}', "schema"),
        ('{"movements": []}', "empty"),
        (movement("tail"), "schema"),
        (movement("left_arm"), "schema"),
        (movement(change=" "), "schema"),
        (movement(change="<one phrase>"), "schema"),
        (json.dumps({"movements": [{"part": "head", "change": "lower it"}] * 9}), "schema"),
        (movement(change="move it to the left"), "sides"),
        (movement(change="levántalo hasta el hombro"), "language"),
        (movement(change="raise your orange arm up"), "contradiction"),
        ("I'm sorry, but I can't help with that.", "refused"),
    ],
)
def test_wrong_answers_are_named(raw: str, kind: str) -> None:
    with pytest.raises(Slip) as caught:
        parts(raw)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("finish", "refusal", "kind"),
    [("length", "", "length"), ("content_filter", "", "filtered"), ("stop", "I won't.", "refused")],
)
def test_finish_and_refusal_come_before_the_text(finish: str, refusal: str, kind: str) -> None:
    with pytest.raises(Slip) as caught:
        parts(GOOD, finish, refusal)
    assert caught.value.kind == kind


@given(st.text(max_size=60))
def test_no_text_whatever_breaks_the_reader(raw: str) -> None:
    with pytest.raises(Slip):
        parts(raw)


@given(st.integers(0, len(GOOD) - 1))
def test_a_truncated_object_is_never_completed(cut: int) -> None:
    with pytest.raises(Slip):
        parts(GOOD[:cut])


def texts(*wordings: str, known: tuple[str, ...] = ()) -> tuple[list[str], str | None]:
    found = read_texts(Answer(json.dumps({"texts": wordings})), MOVES, SYSTEM, list(known))
    return found.good, found.slip.kind if found.slip else None


@pytest.mark.parametrize(
    ("wording", "kind"),
    [
        ("Raise your left arm.", None),
        ("Raise your right arm.", "unfaithful"),
        ("Raise the blue arm.", "leak"),
        ("I'm sorry, I can't describe the left arm of people.", "refused"),
        ("Raise your left\ud83d arm.", "schema"),
        ("<think>Hm.</think> Raise your left arm.", "echo"),
        ("Levanta el brazo izquierdo.", "language"),
        ("Every wording contains every movement of the list, with the same body part.", "echo"),
        ("Raise your left arm " + "and then hold it there for a while " * 12, "long"),
    ],
)
def test_each_wording_is_checked(wording: str, kind: str | None) -> None:
    good, found = texts(wording)
    assert found == kind and good == ([] if kind else [wording])


def test_near_duplicates_are_left_out_within_and_across_answers() -> None:
    good, kind = texts("Raise your left arm.", "raise your left arm", "Lift the left hand up high.")
    assert (good, kind) == (["Raise your left arm.", "Lift the left hand up high."], "duplicate")
    assert texts("Raise your left arm!", known=("Raise your left arm.",)) == ([], "duplicate")


def test_a_text_too_long_is_kept_apart_not_cut() -> None:
    long = "Raise your left arm " + "and then hold it there for a while " * 12
    found = read_texts(Answer(json.dumps({"texts": [long]})), MOVES, SYSTEM, [])
    assert found.long == [long.strip()]
