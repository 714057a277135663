"""The many names of joints in BVH files, parsed into the person's side and the possible body parts."""

from __future__ import annotations

import re

# part -> groups of words, most certain first; a word may mean several parts, and the tree of joints decides
_PARTS: dict[str, tuple[str, ...]] = {
    "hip": ("upleg upperleg uleg thigh thighbend femur", "hip", "leg hipjoint leg1"),
    "knee": ("lowleg lowerleg lleg shin shank calf knee tibia", "leg", "leg2"),
    "ankle": ("foot ankle talus",),
    "foot": ("toebase toe toes ball", "foot digit"),
    "shoulder": ("arm uparm upperarm uarm shldr shldrbend humerus", "shoulder", "arm1"),
    "elbow": ("forearm farm lowarm lowerarm larm elbow forearmbend ulna radius", "arm2"),
    "wrist": ("hand wrist palm",),
    "head": ("head",),
}
_RANKS: dict[str, dict[str, int]] = {}
for _part, _groups in _PARTS.items():
    for _rank, _group in enumerate(_groups):
        for _word in _group.split():
            _RANKS.setdefault(_word, {})[_part] = _rank
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_FILLERS = {"joint", "jnt", "bone", "bn", "jt", "stretch"}
_LEVELS = {"upper", "up", "lower", "low"}  # "arm_upper" is an upper arm
_SPLIT = re.compile(r"[LR](?=[A-Z][A-Za-z])|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_LONGEST = 80


def read_name(name: str) -> tuple[str, dict[str, int]]:
    """Side ("left", "right", "") and possible body parts -> rank, 0 best.

    >>> read_name("mixamorig:LeftLeg")
    ('left', {'hip': 2, 'knee': 1})
    >>> read_name("Bip01 R Toe0"), read_name("thigh.L")
    (('right', {'foot': 0}), ('left', {'hip': 0}))
    >>> read_name("L5"), read_name("LeftHandThumb1")
    (('left', {}), ('left', {}))
    """
    plain = re.split(r"[:|]", name[-_LONGEST:])[-1]
    pieces = [piece for piece in re.split(r"[^A-Za-z0-9]+", plain) if piece]
    words = [word.lower() for piece in pieces for word in _words(piece)]
    sides = {_SIDES[word] for word in words if word in _SIDES}
    if sides:
        ranks = _meaning([word for word in words if word not in _SIDES])
        return (sides.pop(), ranks) if len(sides) == 1 else ("", {})
    return _glued(words) or ("", _meaning(words))


def _words(piece: str) -> list[str]:
    """``LUpperArm2`` -> L, Upper, Arm, 2; ``LEFTARM2`` -> LEFTARM, 2."""
    return re.findall(r"[A-Z]+|[0-9]+", piece) if piece.isupper() else _SPLIT.findall(piece)


def _meaning(words: list[str]) -> dict[str, int]:
    """The longest end of the words that means something: with its number, then without, then without fillers."""
    if words and words[-1] in _LEVELS:
        words = [words[-1], *words[:-1]] if len(words) < 3 else [*words[:-2], words[-1], words[-2]]
    letters = [word for word in words if not word.isdigit()]
    bare = [word for word in letters if word not in _FILLERS]
    for some in (words, letters, bare):
        for i in range(len(some)):
            if ranks := _RANKS.get("".join(some[i:])):
                return ranks
    return {}


def _glued(words: list[str]) -> tuple[str, dict[str, int]] | None:
    """``lthigh``, ``rightupleg``, ``handr``: only where the rest is a word that is known."""
    letters = [word for word in words if not word.isdigit()]
    for i in range(len(letters)):
        word = "".join(letters[i:])
        for spelling, side in _SIDES.items():
            for rest in (word.removeprefix(spelling), word.removesuffix(spelling)):
                if rest != word and rest in _RANKS:
                    return side, _RANKS[rest]
    return None
