"""Cheap exact checks on texts: which sides and parts are named, language, likeness, echoes, leaks, length."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from autocompose.describe.mllm.judging.faithful import unfaithful
from autocompose.describe.mllm.judging.own_sides import COLOUR_WORDS

__all__ = ["alike", "contradiction", "echoes", "family_of", "is_english", "leaks_colour", "mentions", "sides_named",
           "unfaithful"]  # fmt: skip

FAMILIES: dict[str, tuple[str, ...]] = {
    "arm": ("arm", "hand", "elbow", "wrist", "forearm", "fist", "palm", "finger", "fingertip", "shoulder", "upper arm"),
    "leg": ("leg", "knee", "foot", "ankle", "thigh", "toe", "heel", "shin", "calf", "sole"),
    "torso": ("torso", "trunk", "chest", "upper body", "back", "waist", "spine", "hip", "pelvis", "whole body", "body"),
    "head": ("head", "face", "gaze", "chin", "neck", "look", "eye"),
}
"""Words that count as naming a part of a family; a text may say "hand" where the list says "arm"."""
_FAMILY = {word: family for family, words in FAMILIES.items() for word in words} | {"feet": "leg", "calves": "leg"}
_PART = re.compile(
    r"\b(?:(?<=your )|(?<=the )|(?<=upper )|(?<=lower )|(?!back\b))("
    + "|".join(sorted(_FAMILY, key=len, reverse=True))
    + r")(s?)\b"
)
_AND = r"(?:,? and|,? or|,) (?:the |your )?"
_FILLER = r"(?:(?!left\b|right\b|both\b|with\b|and\b|while\b|as\b|to\b|until\b|so\b|by\b|of\b)[a-z'-]+ ){0,3}?"
_SIDED = re.compile(rf"\b(left|right|both(?: of)?)(?:{_AND}(left|right))? {_FILLER}(#\w+(?:{_AND}#\w+)*)")
_COMMON = """
    a an and are as at away back be behind bend bent bring by close closer down extend forward from front further
    hold in into is it its keep let lift lower make more move of off on onto other out over place point pull push put
    raise reach rest rotate same should side so step stand straight straighten stretch swing take that the then this
    tilt to together too toward towards turn twist until up upright upward upwards down downwards while with you your
    left right both outward outwards inward inwards slightly level height lean drop open closed apart squat sit them"""
COMMON = frozenset(_COMMON.split())
WORDS = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Mentions:
    """What a text names.

    :param limbs: (side, family) of limbs: ``("left", "arm")``.
    :param middle: families without a side: ``torso``, ``head``.
    :param directions: bare sides, as in "turn left".
    """

    limbs: frozenset[tuple[str, str]]
    middle: frozenset[str]
    directions: frozenset[str]


def mentions(text: str) -> Mentions:
    """Find the sides and parts that a text names.

    A side belongs to the parts right after it ("your left hand and elbow", "left and right arms", "both of your legs");
    a plural without a side means both; a side that belongs to no part is a direction.
    """
    limbs: set[tuple[str, str]] = set()
    middle: set[str] = set()

    def part(match: re.Match[str]) -> str:
        plural = match[2] or match[1] in ("feet", "calves")
        return f"#{_FAMILY[match[1]]}{'s' if plural else ''}"

    def sided(match: re.Match[str]) -> str:
        sides = ("left", "right") if match[1].startswith("both") else tuple(filter(None, match.group(1, 2)))
        for family in re.findall(r"#(arm|leg|torso|head)", match[3]):
            if family in ("arm", "leg"):
                limbs.update((side, family) for side in sides)
            else:
                middle.add(family)
        return " "

    rest = _SIDED.sub(sided, _PART.sub(part, text.lower()))
    for family, plural in re.findall(r"#(arm|leg|torso|head)(s?)\b", rest):
        if family in ("torso", "head"):
            middle.add(family)
        elif plural:
            limbs.update((side, family) for side in ("left", "right"))
    return Mentions(frozenset(limbs), frozenset(middle), frozenset(re.findall(r"\b(left|right)\b", rest)))


def family_of(part: str) -> tuple[str, str]:
    """(side, family) of a part in the person's own words; side '' for parts of the middle."""
    side, _, rest = part.partition(" ")
    if side in ("left", "right"):
        return side, _FAMILY[rest]
    return "", _FAMILY.get(part, "torso")


def contradiction(movements: list[tuple[str, str]]) -> str | None:
    """A left/right contradiction inside Stage I's answer, or None.

    The phrase of a limb that names the same kind of limb only on the other side is about the wrong limb; so is a part
    that is listed twice with opposite directions.
    """
    seen: dict[str, set[str]] = {}
    for part, phrase in movements:
        side, family = family_of(part)
        words = set(_WORD.findall(phrase.lower())) & OPPOSITE.keys()
        for word in seen.get(part, set()):
            if OPPOSITE[word] in words:
                return f"{part}: both {word} and {OPPOSITE[word]}"
        seen[part] = words
        first = _OBJECT.search(phrase)
        if side and first and first[1].lower() != side and _FAMILY.get(first[2].lower().rstrip("s")) == family:
            return f"{part}: the phrase speaks of the {first[1].lower()} side"
    return None


_OBJECT = re.compile(
    r"\b(?:raise|lower|lift|bend|straighten|move|extend|drop|bring) (?:the |your )?(left|right) (\w+)", re.I
)
OPPOSITE = {"raise": "lower", "lower": "raise", "lift": "drop", "drop": "lift", "bend": "straighten"}
OPPOSITE |= {"straighten": "bend", "forward": "backward", "backward": "forward", "up": "down", "down": "up"}


def is_english(text: str) -> bool:
    """Whether a text is English: mostly ASCII letters, with a fair share of the usual words of instructions."""
    letters = [c for c in text if c.isalpha()]
    words = WORDS.findall(text.lower())
    if not words or sum(c.isascii() for c in letters) < 0.9 * len(letters):
        return False
    return sum(w in COMMON or w.removesuffix("s") in _FAMILY for w in words) >= 0.3 * len(words)


def alike(one: str, other: str) -> bool:
    """Whether two wordings are nearly the same."""
    a, b = (_WORD.findall(t.lower()) for t in (one, other))
    return a == b or SequenceMatcher(None, a, b, autojunk=False).ratio() > 0.9


def echoes(text: str, prompt: str, run: int = 7) -> bool:
    """Whether ``run`` consecutive words of the text occur in the prompt's rules, or a placeholder is left."""
    if "<" in text and ">" in text:
        return True
    words, source = WORDS.findall(text.lower()), " ".join(WORDS.findall(prompt.lower()))
    return any(f" {' '.join(words[i : i + run])} " in f" {source} " for i in range(len(words) - run + 1))


def leaks_colour(text: str) -> bool:
    """Whether a text still names a tint."""
    return any(re.search(rf"\b{word}\b", text, re.I) for word in COLOUR_WORDS)


def sides_named(text: str) -> tuple[int, int]:
    """How often a text says left and right."""
    words = _WORD.findall(text.lower())
    return words.count("left"), words.count("right")
