"""Text edits that match picture edits: swapping left and right."""

from __future__ import annotations

import re

_OPPOSITE = {
    "left": "right", "lefts": "rights", "leftward": "rightward", "leftwards": "rightwards", "leftmost": "rightmost",
    "leftside": "rightside", "lefthand": "righthand", "clockwise": "counterclockwise", "lhs": "rhs", "l": "r",
}  # fmt: skip
_OPPOSITE |= {right: left for left, right in _OPPOSITE.items()}
_OPPOSITE |= dict.fromkeys(("counter-clockwise", "anticlockwise", "anti-clockwise"), "clockwise")
_OPPOSITE |= {"rigth": "left", "rihgt": "left", "lfet": "right", "letf": "right"}

_PART = "(?:hand|arm|leg|foot|knee|elbow|shoulder|hip|side|wrist|ankle|heel|thigh|shin|forearm|one|palm|toe|ear|cheek)"
_WORD = re.compile(
    r"(?<![a-z])(?:(?:counter-?|anti-?)?clockwise|(?:left|right)(?:wards?|most|side|hand|s)?|lhs|rhs|rigth|rihgt|lfet|letf"
    rf"|(?-i:[LR])(?=[\s.]+{_PART}))(?![a-z])",
    re.IGNORECASE,
)
# Left and right that are no sides. Every rule treats the two words alike: what is kept once is kept when swapping back.
_NEVER_AFTER = re.compile(
    r"[\s-]+angle[sd]?\b|[\s]*-?overs?\b|[\s]+(?:alone|hanging|unchanged|as[\s]+(?:it|they)|or[\s]+wrong)\b", re.I
)
_ANGLE = re.compile(r"[\s-]+angle", re.I)
_NEVER_BEFORE = re.compile(
    r"\b(?:all|just|quite|about|exactly|perfectly|seems?|that(?:'s|\u2019s|s|[\s]+is|[\s]+was)"
    r"|(?:what|nothing|anything|something|everything|time|space|room|who)(?:'s|[\s]+is|[\s]+was)?)[\s]+$",
    re.I,
)
_SIDE_AFTER_ALL = re.compile(rf"[\s-]+(?:{_PART}s?|of|side)\b", re.I)
_DEPARTED = re.compile(
    r"[\s]+(?:the|a|its|his|their|her)[\s]+(?:room|floor|ground|chair|house|stage|seat|bench|bed|sofa)\b"
)
_PLACE = re.compile(
    r"[\s]+(?:by|beside|next|above|below|behind|beneath|under|underneath|in[\s]+(?:front|line|between)|on[\s]+top)\b",
    re.I,
)
_ADVERB = re.compile(
    r"[\s]+(?:away|now|then|there|here|ahead|after|before|at|on[\s]+the|through|between|up|down|out|back|against|over|into)\b",
    re.I,
)
_GOOD = re.compile(r"[\s]+(?:way|thing|idea|amount|posture|track)\b", re.I)
_DETERMINER = re.compile(r"\b(?:the|a)[\s]+$", re.I)
# After these, "right behind" is a direction and a place, not "directly behind".
_JOINED = re.compile(r"\b(?:and|or)[\s]+$", re.I)
_DIRECTED = re.compile(
    r"\b(?:the|your|his|her|their|my|its|a|to|towards?|from|more|further|farther|far|slightly|bit|little|lot"
    r"|(?:turn|lean|mov|rotat|twist|fac|bend|step|shift|look|tilt|swing|pull|push|slid|point|pivot|go|swivel|spin|glanc"
    r"|reach|bring|shuffl|sway|hop|walk|head)(?:e|s|es|ed|ing|ing)?)[\s]+$",
    re.I,
)


def swap_sides(text: str) -> str:
    """Swap left and right for a mirrored picture; everything else stays, including letter case.

    Sides are left and right in all their forms, clockwise and counterclockwise, and L and R before a body part. "Right
    angle", "right away", "all right", "upright", "what is left" and the like are no sides.
    Applying it twice gives the text back (other spellings of counterclockwise become "counterclockwise", a mistyped
    "rigth" or "lfet" is put right).

    >>> swap_sides("Raise your LEFT hand to a right angle, right next to the right ear.")
    'Raise your RIGHT hand to a right angle, right next to the left ear.'
    """
    return _WORD.sub(lambda match: _other(match[0]) if _is_side(text, match) else match[0], text)


def without_false_sides(text: str) -> str:
    """The text without the lefts and rights that are no sides ("all right", "right behind you"); right angles stay."""

    def keep(match: re.Match[str]) -> bool:
        return _is_side(text, match) or _ANGLE.match(text, match.end()) is not None

    return _WORD.sub(lambda match: match[0] if keep(match) else " ", text)


def _is_side(text: str, match: re.Match[str]) -> bool:
    if match[0].lower() not in ("left", "right"):
        return True
    before, end = text[max(0, match.start() - 24) : match.start()], match.end()
    if _NEVER_AFTER.match(text, end) or _DEPARTED.match(text, end):
        return False
    if _NEVER_BEFORE.search(before):
        return _SIDE_AFTER_ALL.match(text, end) is not None
    if _DETERMINER.search(before) and _GOOD.match(text, end):
        return False
    if _DIRECTED.search(before):
        return True
    return not _PLACE.match(text, end) and (not _ADVERB.match(text, end) or _JOINED.search(before) is not None)


def _other(word: str) -> str:
    other = _OPPOSITE[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
