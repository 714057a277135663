"""Texts: agreement with their statements, grammar by construction, budgets, variety, reproducibility."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.bodies.skeleton import turn
from autocompose.core.errors import ConfigError, PoseError
from autocompose.describe.rules import Figures, RuleOptions, describe, describe_pairs
from autocompose.describe.rules.bank import BANKS, agree, entries, gerund, load_bank, load_plan
from autocompose.describe.rules.changes import _PROTOTYPES
from autocompose.describe.rules.codes.absolute import STATEMENTS, on_moving_limbs
from autocompose.describe.rules.order import GRAPH, ordered, walk
from autocompose.describe.rules.plan import coach
from autocompose.describe.rules.speak import Clause, Speaker, noun, series
from autocompose.describe.rules.statement import (
    CATEGORIES,
    Group,
    Statement,
    entity,
    groups,
    reverse_sides,
    symmetry,
)
from autocompose.describe.rules.token_limit import count_tokens
from tests.fixtures.people import pairs, people, rotations

PARTS = (
    "upper arm",
    "forearm",
    "shoulder",
    "elbow",
    "hand",
    "arm",
    "hip",
    "thigh",
    "knee",
    "shin",
    "ankle",
    "foot",
    "leg",
)
SIDED = re.compile(rf"\b(left|right) ({'|'.join(PARTS)})\b")
# every use of left and right that is no direction; "right" also means "fully" or "square"
NOT_A_DIRECTION = re.compile(
    rf"\b(left|right) ({'|'.join(PARTS)}|one)\b|right (angle|out|up\b|in\b|by (your|the|their)|next|round"
    r"|over (your|the|their)|under|in front|behind|together)"
)


def statement(category: str, side: str = "left", part: str = "hand", **more: object) -> Statement:
    kind, level = next(
        ((k, lv) for k, levels in CATEGORIES.items() for lv, c in levels.items() if c == category), ("is", 0)
    )
    fields = {"side2": "", "part2": "", "weight": 1.0, "codes": (f"{category}:{side}_{part}",), "rare": False} | more
    return Statement(kind.removesuffix(" both"), category, level, side, part, **fields)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what texts say


@pytest.mark.parametrize("bank", BANKS)
@pytest.mark.parametrize("absolute", ["none", "all"])
def test_texts_name_the_parts_of_their_statements_and_no_others(bank: str, absolute: str) -> None:
    a, b = pairs(150, seed=11)
    options = RuleOptions(bank=bank, absolute=absolute, trunk=True)
    for description in describe(a, b, 1, 3, options):
        for text, said in zip(description.texts, description.said, strict=True):
            named = set(SIDED.findall(text.lower()))
            allowed, needed = set(), set()
            for s in said:
                parts = {(s.side, s.part.replace("upperarm", "upper arm"))}
                needed |= {p for p in parts if p[0] in ("left", "right")}
                allowed |= parts | {(s.side2, s.part2.replace("upperarm", "upper arm"))}
            assert named <= allowed, text
            if not any(s.kind in ("tilt", "twist") for s in said):
                assert needed <= named, text


@pytest.mark.parametrize("bank", BANKS)
def test_directions_agree_with_the_statements(bank: str) -> None:
    a, b = pairs(300, seed=12)
    sideways = ("side", "turn", "tilt", "twist")
    for description in describe(a, b, 1, 3, RuleOptions(bank=bank, absolute="none", trunk=True, noise=0)):
        for text, said in zip(description.texts, description.said, strict=True):
            rest = NOT_A_DIRECTION.sub(" ", text.lower())
            ways = {s.category.replace("lean_", "").split("_")[-2 if s.category.endswith(("bit", "far")) else -1]
                    for s in said if s.kind in sideways}  # fmt: skip
            ways.discard("around")
            spoken = {w for w in ("left", "right") if re.search(rf"\b{w}(wards?)?\b", rest)}
            clockwise = {("left" if "anti" in m else "right") for m in re.findall(r"\b(?:anti)?clockwise", rest)}
            assert spoken <= ways | clockwise, (text, ways)
            assert ways <= spoken | clockwise, (text, ways)


def test_the_largest_change_survives_the_budget() -> None:
    a, b = pairs(200, seed=13)
    for description in describe(a, b, 0, 2, RuleOptions(max_parts=2, absolute="none")):
        for said, left in zip(description.said, description.left_out, strict=True):
            assert len(said) <= 2
            assert not left or min(s.weight for s in said) >= max(s.weight for s in left)


# ---------------------------------------------------------------- budgets


@pytest.mark.parametrize("bank", BANKS)
def test_every_text_fits_clip(bank: str) -> None:
    a, b = people(120, seed=1), people(120, seed=2)  # everything changes
    found = describe(a, b, 0, 3, RuleOptions(bank=bank, trunk=True))
    assert max(count_tokens(t) for d in found for t in d.texts) <= 77
    assert sum(map(len, (left for d in found for left in d.left_out))) > 0
    unlimited = describe(a, b, 0, 1, RuleOptions(bank=bank, max_tokens=None))
    assert max(count_tokens(t) for d in unlimited for t in d.texts) > 100
    assert not any(left for d in unlimited for left in d.left_out)


def test_any_single_statement_fits_the_smallest_budget() -> None:
    prototypes = [s for s in _PROTOTYPES.values()] + [s for s in STATEMENTS]
    plural = [
        s._replace(side="both", side2="both" if s.part2 else "") for s in prototypes if s.side in ("left", "right")
    ]
    for bank in BANKS:
        for determiner in ("your", "the", "their"):
            for s in prototypes + plural:
                speaker = Speaker(bank, determiner, Random(0), simple=False, observe=load_plan(bank).style == "observe")
                for clause in (speaker.clauses(Group((s,), ""))[0] for _ in range(4)):
                    text = max(load_plan(bank).openers, key=len, default="") + (clause.claim or clause.imperative())
                    assert count_tokens(text + ".") <= 40, text


def test_missing_joints_are_never_mentioned() -> None:
    a, b = pairs(40, seed=2)
    known = np.ones((40, 22), bool)
    known[:, [10, 11]] = False
    for mirrored in (False, True):
        start, goal = (Figures(joints, None, known) for joints in (a, b))
        start, goal = (start.mirrored(), goal.mirrored()) if mirrored else (start, goal)
        told = [t for d in describe(start, goal, options=RuleOptions(trunk=True)) for t in d.texts]
        assert told and not any(re.search(r"\b(foot|feet)\b", t) for t in told)


def test_token_counts_equal_open_clip() -> None:
    tokenizer = pytest.importorskip("open_clip.tokenizer").SimpleTokenizer()
    a, b = pairs(40)
    texts = [t for bank in BANKS for found in describe_pairs(a, b, 0, 2, RuleOptions(bank=bank)) for t in found]
    for text in [*texts, "It's a half-turn, isn't it? 90 degrees; 3.5 cm (roughly)!"]:
        assert count_tokens(text) == len(tokenizer.encode(text)) + 2


# ---------------------------------------------------------------- variety and reproducibility


def test_wordings_of_a_pair_differ() -> None:
    a, b = pairs(100, seed=3)
    for texts in describe_pairs(a, b, 0, 5):
        words = [set(re.findall("[a-z]+", t.lower())) for t in texts]
        for i, first in enumerate(words):
            assert all(len(first & other) < 0.8 * len(first | other) for other in words[:i])


def test_a_pair_gets_the_same_texts_in_any_company() -> None:
    a, b = pairs(30, seed=4)
    keys = [f"pair {i}" for i in range(30)]
    whole = describe_pairs(a, b, 7, 3, keys=keys)
    assert whole[20:25] == describe_pairs(a[20:25], b[20:25], 7, 3, keys=keys[20:25])
    assert whole != describe_pairs(a, b, 8, 3, keys=keys)


def test_an_unchanged_pose_has_no_text_without_states() -> None:
    a = people(10)
    assert describe_pairs(a, a, options=RuleOptions(absolute="none")) == [[]] * 10
    assert describe_pairs(a, a, options=RuleOptions(absolute="filtered")) == [[]] * 10
    assert describe_pairs(a[:0], a[:0]) == []


def test_variants_skip_and_simplify() -> None:
    a, b = pairs(60, seed=5)
    for d in describe(a, b, 0, 3, RuleOptions(max_tokens=None, absolute="none")):
        codes = [{c for s in said for c in s.codes} for said in d.said]
        if len(d.texts) == 3:
            assert codes[1] <= codes[0] and codes[2] <= codes[0]
            assert not re.search(r"(?<!ave )(?<!aving )(?<!where )\b(it|them|they)\b", d.texts[2])
            assert {s.part for s in d.said[2]}.isdisjoint(
                {"arm", "leg"} - {s.part for s in d.said[2] if s.kind == "straighten"}
            )


def test_head_needs_rotations() -> None:
    a, b = people(4), people(4, seed=9)
    with pytest.raises(PoseError, match="head: joint rotations are needed"):
        describe(a, b, options=RuleOptions(head=True))
    turned_a, turned_b = rotations(4, 0) * 0, rotations(4, 0) * 0
    turned_b[:, 15, 1] = 0.6
    turned_b[:2, 15, 0] = 0.8
    options = RuleOptions(head=True, absolute="none", noise=0)
    found = describe(Figures(a, turned_a), Figures(a, turned_b), options=options)
    said = [{s.category for s in d.said[0]} for d in found]
    assert said[2:] == [{"head_left"}] * 2
    assert "chin_down" in said[0]


def test_bad_input() -> None:
    a, b = pairs(3)
    with pytest.raises(PoseError, match="3 reference poses but 2 target poses"):
        describe(a, b[:2])
    with pytest.raises(ConfigError, match="word bank 'pirate': expected one of coach"):
        load_bank("pirate")
    with pytest.raises(ConfigError, match="unknown key 'colour'"):
        RuleOptions.parse({"colour": 1})


# ---------------------------------------------------------------- merging


def test_entity_keeps_the_stronger_degree() -> None:
    hand, elbow = statement("up_bit"), statement("up", part="elbow", weight=0.5)
    merged = [entity([hand, elbow], Random(seed)) for seed in range(40)]
    whole = [m for m in merged if len(m) == 1]
    assert 30 < len(whole) < 40  # probability 0.95
    assert {(s.part, s.category, s.weight) for (s,) in whole} == {("arm", "up", 1.0)}
    assert set(whole[0][0].codes) == set(hand.codes + elbow.codes)
    for other in (statement("down", part="elbow"), statement("up", "right", "elbow"), statement("left", part="elbow")):
        assert len(entity([hand, other], Random(0))) == 2


def test_symmetry() -> None:
    left, right = statement("down"), statement("down", "right")
    (both,) = symmetry([left, right], Random(1))
    assert (both.side, both.part) == ("both", "hand")
    near = [
        statement("is_near", side, "hand", side2=other, part2="knee")
        for side, other in (("left", "right"), ("right", "left"))
    ]
    (both,) = symmetry(near, Random(1))
    assert (both.side, both.side2) == ("both", "both")
    assert len(symmetry([left, statement("up", "right")], Random(1))) == 2
    level = [statement("is_level", "left", "hand", side2=side, part2="hip") for side in ("left", "right")]
    (hips,) = symmetry(level, Random(1))
    assert (hips.side, hips.side2) == ("left", "both")


def test_side_reversal() -> None:
    hands = statement("is_near", "left", "hand", side2="right", part2="hand")
    found = {reverse_sides([hands], Random(seed))[0][1:7] for seed in range(60)}
    assert found == {
        ("is_near", 0, "left", "hand", "right", "hand"),
        ("is_near", 0, "right", "hand", "left", "hand"),
        ("is_joined", 0, "both", "hand", "", ""),
    }


@given(st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_groups_keep_every_statement_once(seed: int) -> None:
    rng = Random(seed)
    said = [
        statement(
            rng.choice(["up", "left", "bend", "out", "is_flat"]),
            rng.choice(["left", "right"]),
            rng.choice(["hand", "knee"]),
        )
        for _ in range(8)
    ]
    said = [s._replace(codes=(str(i),)) for i, s in enumerate(said)]
    found = groups(said, rng)
    assert sorted(s.codes for g in found for s in g.statements) == sorted(s.codes for s in said)
    for g in found:
        keys = {"predicate": lambda s: (s.category, s.side2, s.part2), "subject": lambda s: (s.side, s.part)}
        assert g.shared or len(g.statements) == 1
        assert not g.shared or len({keys[g.shared](s) for s in g.statements}) == 1
    ranks = ordered(found, rng)
    assert sorted(map(id, ranks)) == sorted(map(id, found))


def test_walk_visits_every_part_and_keeps_limbs_together() -> None:
    ranks = walk(Random(3))
    assert set(ranks) == set(GRAPH) | {child for children in GRAPH.values() for child in children}
    order = sorted(ranks, key=ranks.__getitem__)
    arms = [
        i for i, (side, part) in enumerate(order) if side == "left" and part in ("arm", "upperarm", "forearm", "hand")
    ]
    assert max(arms) - min(arms) < 8
    alien = Group((statement("up", "", "tail"),), "")
    assert ordered([alien], Random(0)) == [alien]  # unknown subjects come last, never lost


def test_filter_keeps_states_on_moving_limbs() -> None:
    elbow = statement("up", part="elbow")
    states = [
        statement("is_flat", part="forearm"),
        statement("is_flat", part="upperarm"),
        statement("is_flat", "right", "forearm"),
        statement("is_near", "right", "hand", side2="left", part2="elbow"),
        statement("is_straight", part="knee"),
        statement("is_flat", "", "torso"),
    ]
    assert on_moving_limbs([elbow, *states]) == [elbow, states[0], states[3]]
    both = statement("straighten", "both", "leg")
    assert states[4] in on_moving_limbs([both, *states])


# ---------------------------------------------------------------- grammar by construction


def test_every_bank_says_every_category() -> None:
    changes = {c for levels in CATEGORIES.values() for c in levels.values()}
    states = {s.category for s in STATEMENTS} | {"is_joined"}
    for name in BANKS:
        for determiner in ("your", "the", "their"):
            for many in (False, True):
                bank = load_bank(name, determiner, many)
                spoken = set(bank.wordings) | set(bank.states) | set(bank.clauses)
                assert changes | states == spoken, name


def test_the_coach_has_many_wordings() -> None:
    bank = entries("coach")
    for category in bank.keys() - {"plan", "determiners", "name", "neutral", "bit", "oblige"}:
        count = sum(len(v) for v in bank[category].values())
        frequent = category.split("_")[0] in (
            "up",
            "down",
            "left",
            "right",
            "front",
            "back",
            "bend",
            "unbend",
            "straighten",
        )
        assert count >= (8 if frequent else 4), category


def test_changes_claim_no_end_that_was_not_measured() -> None:
    ends = re.compile(
        r"as (far|much) as possible|all the way|tight|doubled|utmost|in front of|\bto \{your\} (left|right) side"
    )
    measured_ends = ("fold", "straighten", "in", "in_bit", "together", "out", "turn_around", "is_")
    for name in BANKS:
        for category, entry in entries(name).items():
            if isinstance(entry, dict) and not category.startswith(measured_ends):
                claimed = [t for k in ("say", "go", "be") for t in entry.get(k, []) if ends.search(t)]
                assert not [t for t in claimed if "more in front" not in t], (name, category)


def test_banks_share_no_wording() -> None:
    told = {
        name: {
            t
            for c, e in entries(name).items()
            if isinstance(e, dict) and c not in ("plan", "determiners")
            for k in e
            for t in e[k]
            if " " in t and k != "bit"
        }
        for name in BANKS
    }
    for i, first in enumerate(BANKS):
        for second in BANKS[:i]:
            assert not told[first] & told[second]


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("raise", "raising"),
        ("put", "putting"),
        ("tie", "tying"),
        ("free", "freeing"),
        ("sweep", "sweeping"),
        ("drop", "dropping"),
    ],
)
def test_gerund(verb: str, expected: str) -> None:
    assert gerund(verb) == expected


def test_gerunds_of_the_banks() -> None:
    spoken = {
        p.verbing for n in ("coach", "human") for w in load_bank(n).wordings.values() for g in w.groups for p in g
    }
    odd = {g for g in spoken if re.search(r"eing$|([bdfgmnprt])\1ing$", g)}
    doubled = ("add", "drop", "let", "get", "put", "tip", "hug", "dip", "spin", "sit", "flip")
    assert odd == {gerund(v) for v in doubled} & spoken
    assert len(odd) > 8


def test_agreement() -> None:
    assert agree("{x} {needs} to stay where {it is}", False) == "{x} needs to stay where it is"
    assert agree("{x} {needs} to stay where {it is}", True) == "{x} need to stay where they are"
    assert agree("{x} {has} moved, {it was} low", True) == "{x} have moved, they were low"
    assert noun("both", "foot", "your", 0.1) == "both feet"
    assert noun("both", "foot", "the", 0.5) == "the feet"
    assert noun("both", "hand", "their", 0.5) == "both their hands"
    assert noun("left", "upperarm", "your", 0) == "your left upper arm"
    assert series(["a", "b", "c"]) == "a, b and c"


def test_no_leftover_slots_or_doubled_words() -> None:
    a, b = people(150, seed=21), people(150, seed=22)
    for bank in BANKS:
        for texts in describe_pairs(a, b, 0, 3, RuleOptions(bank=bank, trunk=True)):
            for text in texts:
                assert not re.search(r"[{}]|  |\.\.| ,| \.|,,|\b(\w+) \1\b", text), text
                assert text[0].isupper() and text.endswith(".")
                assert all(s[0].isupper() for s in text.split(". ")), text


_ONE, _MANY = "hand|foot|knee|elbow|arm|leg|forearm|thigh|shin|shoulder", "hands|feet|knees|elbows|arms|legs|forearms"
_IS, _ARE = "is|has|needs|ends|winds|appears|comes", "are|have|need|end|wind|appear|come"
MISTAKES = (
    re.compile(rf"\b({_MANY}) ({_IS})\b"),
    re.compile(rf"(?<! and )\b(?:your|the|their|Your|The|Their) (?:left|right) ({_ONE}) ({_ARE})\b"),
    re.compile(rf"\b[Bb]oth (?:your |their )?({_ONE})\b"),
    re.compile(r"\b(it|It) (are|need|have)\b|\b(they|They) (is|needs|has)\b"),
    re.compile(r"(?<!where )(?<!so )\bthey\b"),  # an object is "them"; as a subject it opens a sentence
    re.compile(r"\b(an? (?:the|your|their)|an [bcdfghjklmnp]\w+|a [aeio]\w+)\b"),
    re.compile(r"\bwhile (?!\w+ing\b)"),
    re.compile(r"\b(\w+) \1\b"),
)


def mistakes(text: str) -> list[str]:
    return [m[0] for pattern in MISTAKES for m in pattern.finditer(text)]


@pytest.mark.parametrize(
    "wrong",
    [
        "Both hands needs to be straight.",
        "Your left knee are straight.",
        "Lift both knee a little.",
        "Lift it up. They is straight.",
        "Bring they up.",
        "Bend your knee an little.",
        "Move your hand to a the left.",
        "Lift your hand while bend your knee.",
        "Lift the the hand.",
    ],
)
def test_the_check_sees_planted_mistakes(wrong: str) -> None:
    assert mistakes(wrong)


@pytest.mark.parametrize("bank", BANKS)
def test_finished_texts_hold_no_mistake(bank: str) -> None:
    a, b = pairs(250, seed=31)
    for texts in describe_pairs(a, b, 3, 3, RuleOptions(bank=bank, trunk=True)):
        for text in texts:
            assert not mistakes(text), (mistakes(text), text)


def test_claims_agree_in_number() -> None:
    rng = Random(0)
    for determiner in ("your", "the", "their"):
        speaker = Speaker("coach", determiner, rng, simple=False, observe=False)
        for side, verbs in (
            ("left", r" (should be|needs|must be|is) | with "),
            ("both", r" (should be|need|must be|are) | with |to have "),
        ):
            for _ in range(60):
                (clause,) = speaker.clauses(Group((statement("is_straight", side, "knee"),), ""))
                assert re.search(verbs, clause.claim + " ") or clause.claim.startswith(
                    ("finish with", "aim to have")
                ), clause
                assert not re.search(r"knees (is|needs)\b|knee (are|need)\b", clause.claim)


def test_pronouns_are_objects() -> None:
    said = (
        statement("up", "both"),
        statement("front", "both"),
        statement("is_near", "both", side2="left", part2="knee"),
    )
    texts = set()
    for seed in range(200):
        speaker = Speaker("coach", "your", Random(seed), simple=False, observe=False)
        doing, being = speaker.clauses(Group(said, "subject"))
        texts.add(doing.imperative())
        assert not re.search(r"\b(they|it)\b", doing.imperative())
        assert being.claim.startswith("they ") and not re.search(r"they (is|needs)\b", being.claim)
        assert being.attached == ""
    assert any(" them " in t for t in texts)


def test_connectors() -> None:
    parts = [Clause([(v, gerund(v), x)]) for v, x in (("raise", "A"), ("lower", "B"), ("bend", "C"), ("move", "D"))]
    texts = {coach(parts, Random(seed)) for seed in range(300)}
    assert any("Raise A, lower B and bend C" in t for t in texts)
    assert any("Raise A while lowering B and bending C." in t for t in texts)
    for text in texts:
        for sentence in text.rstrip(".").split(". "):
            assert sentence.count(" while ") <= 1
            assert ", " not in sentence or " and " in sentence.rpartition(", ")[2] or ", then " in sentence, text


def test_determiners_follow_their_shares() -> None:
    plan = load_plan("coach")
    drawn = [plan.determiner(Random(seed)) for seed in range(3000)]
    shares = [drawn.count(d) / 3000 for d in ("your", "the", "their")]
    assert np.allclose(shares, [0.5, 0.3, 0.2], atol=0.04)


def test_a_move_of_the_camera_is_no_turn_of_the_person() -> None:
    joints = people(6)
    turned = turn(joints, 90)
    photos = np.array([f"{i}.jpg" for i in range(12)])
    options = RuleOptions(absolute="none", noise=0)
    start, goal = Figures(joints, scene=photos[:6]), Figures(turned, scene=photos[6:])
    assert all("turn" in f"{texts}".lower() for texts in describe_pairs(joints, turned, options=options))
    assert describe_pairs(start, goal, options=options) == [[]] * 6
    assert describe_pairs(start, goal._replace(scene=photos[:6]), options=options) == describe_pairs(
        joints, turned, options=options
    )
