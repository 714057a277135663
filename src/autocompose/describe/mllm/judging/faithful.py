"""Does a merged wording keep the list of movements: every part, no other part, no direction reversed?

Sides and parts come from the audit's tokens, so that ellipsis is understood ("drop the left slightly", "the right
one"); directions come from its claims: the list and the wording may not say opposite things about one limb.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from autocompose.describe.reading.claims import LIMB_PARTS, Claim
from autocompose.describe.reading.parse import OPPOSITE, parse
from autocompose.describe.reading.tokens import tokens

Limb = tuple[str, str]  # side, family
SIDES = ("left", "right")
_FAMILIES = dict.fromkeys(LIMB_PARTS[:6], "arm") | dict.fromkeys(LIMB_PARTS[6:], "leg")
_FAMILIES |= {"palm": "arm", "toe": "leg", "hip": "torso", "head": "head", "chin": "head"}
_ADVERB = re.compile(
    r"(?<!\bthe )(?<!\byour )(?<!\bto )\bright (?=(?:in|next|by|beside|behind|under|below|before|above|over|at|up|down"
    r"|back|where|beneath|against)\b)",
    re.I,
)
_REMAINS = re.compile(r"\b((?:no|any|slight|small|little|some|of a|barely)\s(?:\w+ ){0,2}?bend) left\b", re.I)
_MUTUAL = re.compile(r"each other|one another|side by side|together|apart|between|narrow|wide|stance", re.I)
_REVERSED = {k: v for k, v in OPPOSITE.items() if k not in ("closer", "apart")} | {"straighten": "bend"}
HEAD_VERBS = re.compile(r"\b(look|gaze|face|facing|glance|chin|eyes)", re.I)
TRUNK_VERBS = re.compile(r"\b(lean|bend|turn|twist|sit|stand|squat|crouch|rotate|rotating|jump|step|straighten)", re.I)
"""Verbs that move the trunk or the whole body without naming it."""


@dataclass
class Named:
    """What a text names.

    :param limbs: with their side: ``("left", "arm")``.
    :param left_out: sides whose part the text leaves out ("the right one"), with the families it may mean.
    :param plural: families named in the plural, both sides.
    :param bare: families named without a side.
    :param middle: ``torso`` and ``head``.
    :param directions: sides that belong to no part.
    :param words: sides that occur anywhere.
    """

    limbs: set[Limb] = field(default_factory=set)
    left_out: set[Limb] = field(default_factory=set)
    plural: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    middle: set[str] = field(default_factory=set)
    directions: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)


def named(text: str) -> Named:
    """Find the sides and parts that a text names."""
    mentions = Named(words={side for side in SIDES if re.search(rf"\b{side}", text, re.I)})
    for token in tokens(text):
        if token.kind == "dir" and token.value in SIDES:
            mentions.directions.add(token.value)
        if token.kind not in ("entity", "level"):
            continue
        part, side = token.value
        family = _FAMILIES.get(part, "torso") if part else ""
        if not part and side in SIDES:
            known = {f for _, f in mentions.limbs} | mentions.plural | mentions.bare
            mentions.left_out |= {(side, f) for f in known or {"arm", "leg"}}
        elif family in ("torso", "head"):
            mentions.middle.add(family)
        elif side in SIDES and family:
            mentions.limbs.add((side, family))
        elif family:
            if side == "none":
                mentions.limbs |= {(s, family) for s in SIDES if f"on the {s}," in text.lower()}
            (mentions.plural if side == "both" else mentions.bare).add(family)
    return mentions


def unfaithful(text: str, movements: Sequence[tuple[str, str]]) -> str | None:
    """How a merged text departs from the list of movements, worded for the model; None when it does not.

    :param movements: (part, phrase), sides already the person's own.
    """
    text = _REMAINS.sub(r"\1", _ADVERB.sub("", text))
    stated, heads = named(text), [named(f"the {part}") for part, _ in movements]
    spoken = [named(phrase) for _, phrase in movements]
    limbs = set[Limb]().union(*(h.limbs | _both(h.plural) for h in heads))
    allowed = limbs.union(*(s.limbs | _both(s.plural) for s in spoken))
    directions = set[str]().union(*(s.directions for s in spoken))
    referred = {side for side, _ in allowed} | {side for s in spoken for side, _ in s.left_out}
    middle = set[str]().union(*(h.middle for h in heads))
    if "torso" in middle and TRUNK_VERBS.search(text):
        middle -= {"torso"}
    if HEAD_VERBS.search(text):
        middle -= {"head"}
    wrong = (
        *(f"the {side} {part} is missing" for side, part in sorted(limbs) if not _says(stated, (side, part), limbs)),
        *(f"the {side} {family} is not in the list" for side, family in sorted(_added(stated, allowed, text))),
        *(f"the {family} is missing" for family in sorted(middle - stated.middle)),
        *(f"the direction {side} is missing" for side in sorted(directions - stated.words)),
        *(f"the direction {side} is not in the list"
          for side in sorted(stated.directions - directions - referred)),
    )  # fmt: skip
    return wrong[0] if wrong else _moves(text, movements, limbs)


def _both(families: set[str]) -> set[Limb]:
    return {(side, family) for side in SIDES for family in families}


def _says(names: Named, limb: Limb, limbs: set[Limb]) -> bool:
    """Whether a text names a limb of the list: itself, in the plural, or by its side or its part alone."""
    side, family = limb
    if limb in names.limbs | names.left_out or family in names.plural:
        return True
    alone = ({"left": "right", "right": "left"}[side], family) not in limbs
    return alone and family in names.bare and side in names.words


def _added(names: Named, allowed: set[Limb], text: str) -> set[Limb]:
    """Limbs that a text names beyond the list; "feet next to each other" may name the one that stands still."""
    added = names.limbs - allowed
    for family in names.plural:
        listed = {limb for limb in _both({family}) if limb in allowed}
        if not (listed and _MUTUAL.search(text)):
            added |= _both({family}) - allowed
    return added


def _moves(text: str, movements: Sequence[tuple[str, str]], heads: set[Limb]) -> str | None:
    """A limb that the wording moves though the list only refers to it, or whose direction it reverses."""
    listed: dict[Limb, set[str]] = {}
    for part, phrase in movements:
        head = named(f"the {part}").limbs
        for limb, actions in _directions(parse(f"The {part}: {phrase}.")).items():
            owner = next((h for h in head if limb == ("none", h[1])), limb)
            listed.setdefault(owner, set()).update(actions)
    for (side, family), actions in sorted(_directions(parse(text)).items()):
        who = f"{side} {family}" if side in SIDES else family
        if side in SIDES and (side, family) not in heads | listed.keys():
            return f"the {who} is not in the list"
        limbs = [(side, family)] if side in SIDES or family == "torso" else [(s, family) for s in SIDES]
        known = set[str]().union(*(listed.get(limb, set()) for limb in limbs))
        for action in sorted(actions - known):
            if _REVERSED.get(action) in known:
                return f"the {who}: {action} contradicts the list"
    return None


def _directions(claims: Sequence[Claim]) -> dict[Limb, set[str]]:
    """The directions stated for each limb; claims about both sides do not count for either."""
    directions: dict[Limb, set[str]] = {}
    for claim in claims:
        if claim.action in _REVERSED and claim.side != "both":
            family = _FAMILIES.get(claim.part, "torso")
            directions.setdefault((claim.side, family), set()).add(claim.action)
    return directions
