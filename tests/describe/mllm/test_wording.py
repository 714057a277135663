from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.describe.mllm.judging.wording import (
    alike,
    contradiction,
    echoes,
    is_english,
    leaks_colour,
    mentions,
    unfaithful,
)
from autocompose.describe.side_words import swap_sides

L_ARM, R_ARM, L_LEG, R_LEG = ("left", "arm"), ("right", "arm"), ("left", "leg"), ("right", "leg")


@pytest.mark.parametrize(
    ("text", "limbs", "middle", "directions"),
    [
        ("Raise your left arm and turn your head to the right.", {L_ARM}, {"head"}, {"right"}),
        ("Lift both of your arms, bend the left knee", {L_ARM, R_ARM, L_LEG}, set(), set()),
        ("Bring your right hand to your left hip and turn left", {R_ARM}, {"torso"}, {"left"}),
        ("Stretch your left and right legs", {L_LEG, R_LEG}, set(), set()),
        ("Step back with your feet; your upper body leans left", {L_LEG, R_LEG}, {"torso"}, {"left"}),
        ("Take your left hand and elbow up", {L_ARM}, set(), set()),
        ("Raise your straight left leg and bent right arm", {L_LEG, R_ARM}, set(), set()),
        ("Move it to the left of your head", set(), {"head"}, {"left"}),
        ("Put it back", set(), set(), set()),
    ],
)
def test_mentions(text: str, limbs: set, middle: set, directions: set) -> None:
    found = mentions(text)
    assert (found.limbs, found.middle, found.directions) == (limbs, middle, directions)


SENTENCES = st.lists(
    st.sampled_from(
        ["raise your left arm", "bend the right knee", "turn your head left", "lean right", "bring both hands together"]
    ),
    min_size=1,
    max_size=4,
).map(" and ".join)


@given(SENTENCES)
def test_swapping_sides_swaps_the_mentions(text: str) -> None:
    other = {"left": "right", "right": "left"}
    plain, swapped = mentions(text), mentions(swap_sides(text))
    assert swapped.limbs == {(other[s], f) for s, f in plain.limbs}
    assert swapped.directions == {other[s] for s in plain.directions}


MOVES = [("left arm", "raise it to shoulder height"), ("head", "turn it to the right")]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Raise your left arm to shoulder height and turn your head right.", None),
        ("Turn your head to the right while your left hand goes up.", None),
        ("Raise your right arm to shoulder height and turn your head right.", "the left arm is missing"),
        ("Raise both arms to shoulder height and turn your head right.", "the right arm is not in the list"),
        ("Raise your left arm to shoulder height.", "the head is missing"),
        ("Raise your left arm and turn your head to the left.", "the direction right is missing"),
        ("Raise your left arm, bend your left knee and turn your head right.", "the left leg is not in the list"),
    ],
)
def test_unfaithful(text: str, wrong: str | None) -> None:
    assert unfaithful(text, MOVES) == wrong


def test_a_limb_named_inside_a_phrase_may_be_named() -> None:
    moves = [("right hand", "bring it to the left knee")]
    assert unfaithful("Bring your right hand to your left knee.", moves) is None


def test_contradictions_inside_an_answer() -> None:
    assert contradiction([("left arm", "raise your right arm")])
    assert contradiction([("left arm", "raise it"), ("left arm", "lower it")])
    assert contradiction([("left arm", "raise it"), ("right arm", "lower it")]) is None


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("Raise your right arm.", True),
        ("Squat deeper", True),
        ("Levanta tu brazo derecho hasta el hombro.", False),
        ("Hebe deinen linken Arm auf Schulterhöhe.", False),
        ("把左手举起来", False),
        ("", False),
    ],
)
def test_is_english(text: str, yes: bool) -> None:
    assert is_english(text) is yes


def test_alike() -> None:
    assert alike("Raise your right arm up.", "raise your right arm, up!")
    assert not alike("Raise your right arm.", "Lift the arm on your right side higher.")


def test_echoes_and_leaks() -> None:
    prompt = "Every wording contains every movement of the list, with the same body part."
    assert echoes("every wording contains every movement of the list", prompt)
    assert echoes("<wording>", prompt)
    assert not echoes("Raise your left arm and bend the knee on the same side.", prompt)
    assert leaks_colour("Raise the Blue arm.") and not leaks_colour("Raise the left arm.")
