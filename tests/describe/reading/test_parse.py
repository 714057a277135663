"""Claims read from free English."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autocompose.describe import audit, reading
from autocompose.describe.reading.claims import ACTIONS, LIMB_PARTS, PARTS, SIDES, Claim
from autocompose.describe.reading.parse import parse, read
from autocompose.describe.reading.tokens import correct

HERE = Path(__file__).parent


def said(text: str) -> list[str]:
    return [str(claim) for claim in parse(text)]


def score(name: str) -> tuple[float, float]:
    """Precision and recall of (part, side, action, other part and side) over a file of sentences."""
    right = found = wanted = 0
    for line in (HERE / name).read_text("utf-8").splitlines():
        entry = json.loads(line)
        expected = {_key(Claim(**c)) for c in entry["claims"]}
        parsed = {_key(c) for c in parse(entry["text"])}
        right, found, wanted = right + len(expected & parsed), found + len(parsed), wanted + len(expected)
    return right / found, right / wanted


def _key(claim: Claim) -> tuple[str | None, ...]:
    return claim.part, claim.side, claim.action, claim.other, claim.other_side


@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [
        ("sentences.jsonl", 0.98, 0.98),
        ("heldout.jsonl", 0.93, 0.92),
        ("heldout2.jsonl", 0.92, 0.94),
        ("heldout3.jsonl", 0.92, 0.92),
        ("heldout4.jsonl", 0.93, 0.83),
        ("heldout5.jsonl", 0.86, 0.84),
        ("heldout6.jsonl", 0.90, 0.88),
    ],
)
def test_expected_claims_are_found(name: str, precision: float, recall: float) -> None:
    assert score(name) >= (precision, 0)
    assert score(name)[1] >= recall


def test_expectations_use_known_words() -> None:
    for file in HERE.glob("*.jsonl"):
        for line in file.read_text("utf-8").splitlines():
            for c in json.loads(line)["claims"]:
                assert c["part"] in PARTS and c["side"] in SIDES and c["action"] in ACTIONS, line
    assert len((HERE / "sentences.jsonl").read_text("utf-8").splitlines()) >= 150


@pytest.mark.parametrize("text", (HERE / "furniture.txt").read_text("utf-8").splitlines())
def test_furniture_gives_no_claim(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Raise your left arm and lower it a little.", ["left arm: up", "left arm: down, slight"]),
        ("Take the right foot back, then lift the other one.", ["right foot: backward", "left foot: up"]),
        ("left and right hand up", ["both hand: up"]),
        ("Have them rotate their shoulders to the left.", ["both shoulder: turn-left"]),
        ("Lower your lower leg", ["none"]),
        ("turn your torso left and your head to the right", ["torso: turn-left", "head: turn-right"]),
        ("Don't move your left arm but raise the right one", ["right arm: up"]),
        ("move your hand right next to your head", ["hand: near (head)"]),
        ("your right knee is bent too much", ["right knee: straighten"]),
        ("with your right hand, touch your left knee", ["right hand: near (left knee)"]),
        ("touch your left knee with your right hand", ["right hand: near (left knee)"]),
        ("Your feet should be 3 to 4 feet apart.", ["both foot: apart"]),
        ("Your palms face down.", []),
        ("Press down with the right palm.", ["right hand: down"]),
        ("roll the shoulders back", ["both shoulder: backward"]),
        ("The left hand passes the thigh.", []),
        ("don't raise your arm so high", ["arm: down"]),
        ("You are bending your left arm too much.", ["left arm: straighten"]),
        ("stop leaning to the right", ["torso: lean-left"]),
        ("Squat a bit less deeply.", ["body: up, slight"]),
        ("The right leg is no longer raised.", ["right leg: down"]),
        ("don't stretch your arm out so far", []),
        ("without bending and twisting your torso", []),
        ("His left hand moved from above the head to behind the back.", ["left hand: behind (torso)"]),
        ("The arm, which was raised, is bent.", ["arm: bent"]),
        ("straighten the arm that is bent", ["arm: straighten"]),
        ("Step the left foot back into a low lunge", ["left foot: backward"]),
        ("lower the left leg and drop the back knee", ["left leg: down", "knee: down"]),
        ("place your left foot against the inside of your right knee", ["left foot: near (right knee)"]),
        ("Get down on all fours.", ["both hand: on-floor", "both knee: on-floor"]),
        ("step back on your left foot", ["left foot: backward"]),
        ("bend deeply into the right knee", ["right knee: bend, large"]),
        ("lean forward with the front leg bent", ["torso: lean-forward", "leg: bent"]),
        ("bring your knee up, then have them lean left", ["knee: up", "torso: lean-left"]),
        ("turn your head to face left", ["head: turn-left"]),
        ("In the edited image she is leaning back.", ["torso: lean-backward"]),
        ("There is a dog sitting behind the couch.", []),
        ("Stretch the hands out in line with the shoulders and legs.", ["both hand: level (both shoulder)"]),
        ("The left arm is higher than before.", ["left arm: up"]),
        ("wind your torso round to the left", ["torso: turn-left"]),
        ("", []),
        ("!!! ...", []),
    ],
)
def test_reading(text: str, claims: list[str]) -> None:
    expected = ["shin: down"] if claims == ["none"] else claims
    assert said(text) == expected


VERBS = {"up": "raise {}", "down": "lower {}", "forward": "move {} forward", "backward": "move {} back",
         "left": "move {} to your left", "right": "move {} to your right", "bend": "bend {}",
         "straighten": "straighten {}"}  # fmt: skip
DRESS = ["{}", "Please {} now.", "you should {} a bit", "{}!", "Then {}, like that", "I want you to {}"]


@given(
    side=st.sampled_from(["left", "right"]),
    part=st.sampled_from(["hand", "elbow", "foot", "knee", "arm", "leg"]),
    action=st.sampled_from(sorted(VERBS)),
    dress=st.sampled_from(DRESS),
    determiner=st.sampled_from(["your", "the", "his", "her"]),
)
@settings(deadline=None)
def test_plain_commands_are_always_read(side: str, part: str, action: str, dress: str, determiner: str) -> None:
    assume(action != "straighten" or part not in ("hand", "foot"))  # says nothing
    text = dress.format(VERBS[action].format(f"{determiner} {side} {part}"))
    found = parse(text)
    assert [(c.part, c.side, c.action) for c in found] == [(part, side, action)]


@given(
    st.lists(st.sampled_from(["raise your left arm", "bend the right knee", "lean forward", "feet apart"]), max_size=4)
)
@settings(deadline=None)
def test_sentences_do_not_disturb_each_other(sentences: list[str]) -> None:
    alone = [claim for sentence in dict.fromkeys(sentences) for claim in parse(sentence)]
    assert parse(". ".join(sentences)) == alone


KINDS = [
    # what a text says about the reference
    ("Straighten the bent left knee.", ["left knee: straighten"], ["left knee: bent, at first"]),
    ("Lower the right foot from high above your hips.", ["right foot: down"], ["right foot: above (pelvis), at first"]),
    ("That arm is overhead and should come down.", ["arm: down"], ["arm: above (head), at first"]),
    ("Your left knee is still bent; straighten it.", ["left knee: straighten"], ["left knee: bent, at first"]),
    ("No more bend in the right elbow.", ["right elbow: straighten"], []),
    ("The left arm stops pointing ahead and hangs.", ["left arm: down"], []),
    ("Bring your torso up out of its forward lean.", ["torso: up"], []),
    ("Your right arm is too high; lower it.", ["right arm: down"], []),
    ("Lower the arm raised above your head.", ["arm: down"], ["arm: above (head), at first"]),
    ("Straighten the knee bent in front of you.", ["knee: straighten"], ["knee: bent, at first"]),
    ("Your left arm, hanging by the hip, lifts.", ["left arm: up"], ["left arm: near (hip), at first"]),
    ("The right hand is too close to the face.", ["right hand: apart (head)"], []),
    ("Your torso should be less tilted to the right.", ["torso: lean-left"], []),
    ("Reduce the bend of the left knee.", ["left knee: straighten"], []),
    ("with a straight left leg, sweep it to the left", ["left leg: straight", "left leg: left"], []),
    # predicates and their parts
    ("Lower your torso as the left leg extends backward.",
     ["torso: down", "left leg: straighten", "left leg: backward"], []),
    ("The right hand comes off the left hand and sinks.", ["right hand: apart (left hand)", "right hand: down"], []),
    ("Lift the left foot, knee bent, left elbow near the ribs.",
     ["left foot: up", "left knee: bent", "left elbow: near (torso)"], []),
    ("Straighten the knee of your raised right leg.", ["right knee: straighten"], []),
    # places and orientations
    ("Left hand waist-high in front of the belly.", ["left hand: level (pelvis)", "left hand: in-front (torso)"], []),
    ("Left foot just off the floor, toes forward.", ["left foot: near-floor"], []),
    ("Tuck the right foot underneath your body.", ["right foot: below (pelvis)"], []),
    # senses of words
    ("Right hand below shoulder level.", ["right hand: below (shoulder)"], []),
    ("Bring the left leg back to the front.", ["left leg: forward"], []),
    ("Let it drop to rib level.", [], []),
    ("Raise your left arm high above your head.", ["left arm: up", "left arm: above (head)"], []),
    ("Stand on one leg.", ["foot: up"], []),
    ("Heave your left arm.", ["left arm: up"], []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "claims", "starts"), KINDS)
def test_kinds_of_misreading(text: str, claims: list[str], starts: list[str]) -> None:
    assert said(text) == claims
    assert [str(c) for c in read(text) if c.start] == starts


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("raise your left hand", "move"),
        ("left hand up beside the left knee", "place"),
        ("the left forearm points up", "aim"),
        ("your left arm hangs", "aim"),
        ("extend your left leg", "reach"),
        ("keep the left foot high", "place"),
    ],
)
def test_how_a_direction_is_meant(text: str, how: str) -> None:
    assert parse(text)[0].how == how


WORDS = st.sampled_from(
    [
        "raise",
        "lower",
        "bend",
        "the",
        "your",
        "a",
        "left",
        "right",
        "both",
        "hand",
        "hands",
        "knee",
        "foot",
        "arm",
        "of",
        "from",
        "to",
        "out",
        "and",
        "with",
        "as",
        "that",
        "which",
        "is",
        "are",
        "not",
        "up",
        "down",
        "straight",
        "behind",
        "before",
        "in",
        "front",
        "beside",
        "it",
        "so",
        "far",
        "too",
        ",",
        ".",
        ";",
        ":",
        "bent",
        "raised",
        "hanging",
        "over",
        "one",
        "leg",
        "torso",
        "while",
        "stop",
        "no",
        "lunge",
        "head",
        "level",
        "high",
        "90",
        "degrees",
        "qwzx",
    ]
)


@given(st.lists(WORDS, max_size=60), st.text(max_size=40))
@settings(deadline=None, max_examples=150)
def test_any_words_are_read(words: list[str], noise: str) -> None:
    for claim in read(" ".join(words) + noise):
        assert claim.part in PARTS and claim.action in ACTIONS and claim.side in SIDES


@given(st.lists(WORDS, min_size=1, max_size=6))
@settings(deadline=None, max_examples=8)
def test_work_grows_with_the_length_only(words: list[str]) -> None:
    """Counted in calls, not in seconds: ten times the text is at most about ten times the work."""
    unit = " ".join(words) + " "
    short, long = (_calls(unit * (size // len(unit))) for size in (1_000, 10_000))
    assert long < 14 * short + 1000


def _calls(text: str) -> int:
    count = 0

    def tick(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(tick)
    try:
        read(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "unit", ["left hand and ", "of the hand ", "bent ", "from ", "((", "a", "the left knee of ", "\u00e9"]
)
def test_long_texts_are_read(unit: str) -> None:
    read((unit * 100_000)[:100_000])


@pytest.mark.slow
@given(st.text(min_size=1, max_size=30) | st.lists(WORDS, min_size=1, max_size=6).map(lambda words: " ".join(words)))
@settings(deadline=None, max_examples=12)
def test_a_hundred_thousand_characters_are_read(unit: str) -> None:
    """Ten times the text is at most about ten times the work, up to the longest texts."""
    short, long = (_calls((unit * size)[:size]) for size in (10_000, 100_000))
    assert long < 14 * short + 1000


def test_typing_slips() -> None:
    assert correct("rigth") == "right" and correct("straigthen") == "straighten" and correct("rase") == "raise"
    for word in ("night", "food", "chain", "couch", "through", "grass", "wait", "closed"):
        assert correct(word) == word


def test_claims_survive_json_and_swap_twice() -> None:
    for line in (HERE / "sentences.jsonl").read_text("utf-8").splitlines():
        for claim in parse(json.loads(line)["text"]):
            assert Claim(**claim.to_json()) == claim
            assert claim.swapped().swapped() == claim
            assert claim.sided or (claim.side not in ("left", "right") and claim.action not in ("left", "right"))
    assert not Claim("torso", "none", "vertical").sided
    assert Claim("knee", "left", "right-angle").swapped() == Claim("knee", "right", "right-angle")


def test_readers_and_judges_know_nothing_of_the_rules() -> None:
    for path in (path for package in (reading, audit) for path in Path(package.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any("describe.rules" in name or "describe.mllm" in name for name in names), path


def test_limb_parts_come_arms_first() -> None:
    assert set(LIMB_PARTS[:6]) == {"hand", "forearm", "elbow", "upper arm", "arm", "shoulder"}
