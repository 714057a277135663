"""Tokens -> phrases: what belongs together inside a clause.

    noun      a body part with what its adjectives say: "your bent left knee", "the knee of your raised right leg"
    mod       one direction, state or relation with its object: "up", "straight", "above your head"
    source    where something comes from: "from beside the hip", "out of its tight bend", "from where it hangs"

All other tokens stay as they are (verbs, conjunctions, pronouns, negations, punctuation). Adjectives after "the" or
"your" tell how the reference is; after "a" or "with" they tell the goal ("with a straight left leg").
"""

from __future__ import annotations

from typing import NamedTuple

from autocompose.describe.reading.claims import LIMB_PARTS
from autocompose.describe.reading.lexicon import word_set
from autocompose.describe.reading.tokens import Entity, Token


class Mod(NamedTuple):
    """A modifier of a clause: ``kind`` is ``dir``, ``state`` or ``rel``; relations have an object."""

    kind: str
    action: str
    other: Entity | None = None
    words: str = ""


class Noun(NamedTuple):
    """A part as the text names it.

    :param was: what its adjectives say about the reference.
    :param bare: no word such as "front" or "supporting" stands before it.
    :param resumed: "that", "its": a part of what was spoken of.
    """

    entity: Entity
    was: tuple[Mod, ...] = ()
    bare: bool = True
    resumed: bool = False


INDEFINITE = frozenset(("a", "an", "some", "any", "no", "another"))
PLACES = frozenset(("above", "below", "behind", "in-front", "near", "left-of", "right-of", "across"))
_ADJECTIVES = frozenset(("state", "verb", "dir", "degree", "word", "side"))
_STOPS = frozenset(("comma", "end", "break", "neg", "undo", "and", "with", "pron"))
_PERSON = {"behind": "backward", "in-front": "forward", "near": "beside", "above": "up"}
_ADDRESSED = ("him", "them", "you", "yourself")
_BODY = Entity("body", "none")
_WAYS = frozenset(
    ("up", "down", "forward", "forwards", "ahead", "upward", "upwards", "downward", "downwards", "back", "backward",
     "backwards", "sideways", "left", "right")
)  # fmt: skip
WAY = "straight down"  # words of a "straight" that may belong to a direction
_MAX_ADJECTIVES = 6


def limb_of(part: str) -> str:
    """``arm``, ``leg`` or nothing."""
    if part in LIMB_PARTS:
        return "arm" if part in LIMB_PARTS[:6] else "leg"
    return {"palm": "arm", "toe": "leg"}.get(part, "")


def phrases(tokens: list[Token]) -> list[Token]:  # noqa: C901 (one branch for each kind of phrase)
    """Fold tokens to phrases; linear in their number."""
    folded: list[Token] = []
    i = 0
    while i < len(tokens):
        kind = tokens[i].kind
        if starts_source(tokens, i, folded):
            i = _source(tokens, i, folded)
        elif kind == "det":
            i = _determined(tokens, i, folded)
        elif kind == "entity":
            i = _noun(tokens, i, folded, (), True)
        elif _relative(tokens, i, folded):
            i = _relative_clause(tokens, i, folded)
        elif _postmodifies(tokens[i], folded):
            i = _postmodifier(tokens, i, folded)
        elif _resumes(tokens, i, folded):
            folded.append(Token("noun", Noun(folded[-2].value.other, resumed=True), "which"))
            i += 1
        elif _while(tokens, i):
            folded.append(Token("break", None, "as"))
            i += 1
        elif kind == "rel" or (kind == "break" and tokens[i].words == "before"):
            i = _relation(tokens, i, folded)
        elif tokens[i].words == "straight" and i + 1 < len(tokens) and tokens[i + 1].words in _WAYS:
            folded.append(Token("mod", Mod("state", "straight", None, WAY), "straight"))
            i += 1
        elif kind in ("dir", "state"):
            if kind == "state" and folded and folded[-1].words == "back" and folded[-1].kind == "mod":
                folded.pop()  # "back on the floor" is no direction
            if tokens[i].value == "forward" and folded and folded[-1].words == "back":
                folded.pop()  # "back to the front"
            folded.append(Token("mod", Mod(kind, tokens[i].value, None, tokens[i].words), tokens[i].words))
            i += 1
        elif kind == "level":
            level = Mod("rel", "level", tokens[i].value, tokens[i].words)
            folded.append(Token("mod", level, tokens[i].words))
            i += 1
        else:
            folded.append(tokens[i])
            i += 1
    return folded


def _while(tokens: list[Token], i: int) -> bool:
    """Whether "as" joins two statements ("as the torso leans back"): a part and a finite verb follow."""
    if tokens[i].words != "as":
        return False
    for j in range(i + 1, min(i + 10, len(tokens))):
        token = tokens[j]
        if token.kind == "verb" and not participle(token):
            return any(t.kind in ("entity", "pron") for t in tokens[i + 1 : j])
        if token.kind in ("comma", "end", "break", "neg", "dir", "state") or token.words == "as":
            return token.kind in ("dir", "state") and j > i + 2 and tokens[j - 1].kind == "entity"
    return False


def _relative(tokens: list[Token], i: int, folded: list[Token]) -> bool:
    """ "The arm that reached forward", "your leg, which is stretched behind": how it was before."""
    noun = (
        folded[-2] if len(folded) > 1 and folded[-1].kind == "comma" and tokens[i].words.startswith("which") else None
    )
    if (noun or (folded or tokens)[-1]).kind != "noun":
        return False
    if tokens[i].words in _WAS or (tokens[i].words == "which" and tokens[i + 1 : i + 2] and tokens[i + 1].words in _IS):
        return True
    if noun or tokens[i].words not in ("that", "which", "who"):
        return False
    return i + 1 < len(tokens) and tokens[i + 1].kind == "verb" and tokens[i + 1].value.passive


_IS = ("is", "are")
_WAS = ("that was", "that were", "which was", "which were", "that is", "that are")


def _postmodifies(token: Token, folded: list[Token]) -> bool:
    """ "Lower the arm raised above your head", "bend the leg stretched behind": how the part of a command was."""
    if len(folded) < 2 or folded[-1].kind != "noun":
        return False
    still = token.kind == "verb" and (token.value.passive or token.words in STAYING)
    if not still and token.words != "bent":
        return False
    before = folded[-3:-1] if folded[-2].kind == "det" else folded[-2:-1]
    command = before[0]
    if command.kind != "verb" or command.value.neutral or participle(command):
        return False
    if token.words == "bent" and command.value.does != ("straighten",):
        return False
    return not command.words.split(" ")[0].endswith("s") and command.value.mode in ("move", "bend")


def _postmodifier(tokens: list[Token], i: int, folded: list[Token]) -> int:
    """Read such a participle, with what follows it, as a source."""
    end = _source(tokens, i, folded)
    folded[-1] = folded[-1]._replace(value=(*_said(tokens[i : i + 1]), *folded[-1].value))
    return end


STAYING = ("hanging", "resting", "hovering", "lying", "dangling")


def _resumes(tokens: list[Token], i: int, folded: list[Token]) -> bool:
    """ "Closer to the right foot, which slides in": the object of a relation acts."""
    before = folded[-2] if len(folded) > 1 and folded[-1].kind == "comma" else None
    if tokens[i].words != "which" or before is None or before.kind != "mod" or before.value.other is None:
        return False
    return _acts(tokens, i + 1)


def _relative_clause(tokens: list[Token], i: int, folded: list[Token]) -> int:
    """Read a relative clause as a source."""
    if folded[-1].kind == "comma":
        folded.pop()
    i += tokens[i + 1].words in _IS or tokens[i + 1].kind == "verb"
    while i + 1 < len(tokens) and tokens[i + 1].kind == "verb" and participle(tokens[i + 1]):
        i += 1
    end = _source(tokens, i, folded)
    return end + (end < len(tokens) and tokens[end].kind == "comma" and tokens[i].words not in _WAS)


def _adjectives(tokens: list[Token], i: int) -> int:
    """Index of the part that adjectives from ``i`` on belong to, -1 when they belong to none."""
    for j in range(i, min(i + _MAX_ADJECTIVES, len(tokens))):
        token = tokens[j]
        if token.kind == "entity":
            return j
        following = tokens[j + 1].kind if j + 1 < len(tokens) else "end"
        if token.kind in ("and", "comma") and j > i and following in ("state", "verb"):
            continue  # "the raised, outstretched foot"
        if token.kind not in _ADJECTIVES or (token.kind == "verb" and not participle(token)):
            return -1
    return -1


def participle(token: Token) -> bool:
    """Whether a verb may stand as an adjective: "raised", "hanging"."""
    first = token.words.split(" ")[0]
    ing = first.endswith("ing") and first not in ("bring", "swing", "wing", "spring", "fling", "cling")
    return token.value.passive or ing or first == "outstretched"


def _said(tokens: list[Token]) -> tuple[Mod, ...]:
    """What adjectives say; participles of moves say nothing that one picture could show."""
    mods = [Mod(t.kind, t.value, None, t.words) for t in tokens if t.kind in ("state", "dir")]
    for token in tokens:
        if token.kind == "verb":
            does = token.value.does
            named = {"bend": "bent", "straighten": "straight"}.get(does[0] if does else "")
            mods += [Mod("state", named, None, token.words)] if named else []
    return tuple(mods)


def _determined(tokens: list[Token], i: int, folded: list[Token], owned: bool = True) -> int:
    """A determiner and, when a part follows, its noun phrase."""
    j = _adjectives(tokens, i + 1)
    between = tokens[i + 1 : j] if j > 0 else []
    telling = [t for t in between if t.kind in ("state", "verb", "dir")]
    if j < 0 or not telling or (telling[0].kind == "dir" and telling[0].words in ("left", "right")):
        folded.append(tokens[i])
        return i + 1
    if tokens[i].words in INDEFINITE or (folded and folded[-1].words == "with" and tokens[i].words != "your"):
        i = _noun(tokens, j, folded, (), True, owned=owned)
        folded += [Token("mod", mod, mod.words) for mod in _said(between)]
        return i
    return _noun(tokens, j, folded, _said(between), False, tokens[i].words, owned)


def _noun(
    tokens: list[Token],
    i: int,
    folded: list[Token],
    was: tuple[Mod, ...],
    bare: bool,
    det: str = "",
    owned: bool = True,
) -> int:
    """The noun phrase whose part stands at ``i``, with an owner before or after it.

    :param owned: look for an owner after "of"; owners have none of their own, so that nothing nests.
    """
    entity: Entity = tokens[i].value
    last = folded[-1] if folded else Token("end", None, "")
    bare = bare and last.kind not in ("word", "degree")
    resumed = (det or last.words) in ("that", "its", "this")
    end, words = i + 1, tokens[i].words
    while end < len(tokens) and tokens[end].kind == "entity" and _owns(entity, tokens[end].value):
        entity = Entity(tokens[end].value.part, entity.side)  # "right leg's thigh"
        words, end = f"{words} {tokens[end].words}", end + 1
    owner, after = _owner(tokens, end) if owned else (None, end)
    if owner is not None and _owns(owner.value.entity, entity):
        entity = Entity(entity.part, owner.value.entity.side)
        was, resumed, end = was + owner.value.was, resumed or owner.value.resumed, after
    folded.append(Token("noun", Noun(entity, was, bare, resumed), words))
    return end


def _owns(limb: Entity, part: Entity) -> bool:
    """Whether "the knee of your right leg" names a knee of that leg."""
    same = limb_of(limb.part) == limb_of(part.part) != ""
    return same and part.side == "none" and limb.part in ("arm", "leg") and limb.side != "none"


def _owner(tokens: list[Token], i: int) -> tuple[Token | None, int]:
    """The noun phrase after "of"."""
    if i + 1 >= len(tokens) or tokens[i].words != "of":
        return None, i
    part: list[Token] = []
    j = i + 1
    if tokens[j].kind == "det":
        j = _determined(tokens, j, part, owned=False)
    if (not part or part[-1].kind == "det") and j < len(tokens) and tokens[j].kind == "entity":
        j = _noun(tokens, j, part, (), True, owned=False)
    return (part[-1], j) if part and part[-1].kind == "noun" else (None, i)


def _relation(tokens: list[Token], i: int, folded: list[Token]) -> int:
    """A relation and its object; without one it says nothing, or where the person stands ("behind you")."""
    token, j = tokens[i], i + 1
    if token.words == "between" and tokens[j : j + 1] and tokens[j].kind == "pron":
        return _skip_to_part(tokens, j)  # "with a gap between it and your body"
    action = "in-front" if token.kind == "break" else token.value
    addressed = token.kind == "rel" and j < len(tokens) and tokens[j].words in _ADDRESSED
    addressed = addressed or (tokens[j : j + 1] == [Token("det", None, "her")] and _adjectives(tokens, j + 1) < 0)
    if addressed and (action in _PERSON or action == "below"):
        beside = Mod("dir", _PERSON[action], None, f"{token.words} you") if action != "below" else None
        folded.append(Token("mod", beside or Mod("rel", "below", _BODY, token.words), token.words))
        return i + 2
    while j < len(tokens) and tokens[j].kind in ("det", "degree", "word", "state", "verb"):
        adjective = tokens[j].kind in ("det", "degree", "word") or (
            tokens[j - 1].kind in ("det", "degree") and _adjectives(tokens, j) > 0
        )
        if not adjective or (token.kind == "break" and tokens[j].kind == "word"):
            break
        j += 1
    target = tokens[j] if j < len(tokens) else Token("end", None, "")
    if target.kind in ("entity", "level") and not (token.kind == "break" and _acts(tokens, j + 1)):
        return _related(tokens, i, j, action, folded)
    if token.kind == "break":
        person = tokens[i + 1 : i + 2] and tokens[i + 1].words in ("you", "him", "her", "them", "yourself")
        folded.append(Token("mod", Mod("dir", "forward", None, "before you"), "before") if person else token)
        return i + 2 if person else i + 1
    if target.kind == "rel" and tokens[i].words != "from":
        if folded and folded[-1].words == "back" and folded[-1].kind == "mod" and action == "near?":
            folded.pop()
        return j
    if action == "behind" and (target.kind in ("comma", "end", "and", "break")) and j == i + 1:
        folded.append(Token("mod", Mod("dir", "backward", None, "behind"), "behind"))
        return i + 1
    folded.append(Token("to" if action == "near?" else "by", action, token.words))
    return i + 1


def _skip_to_part(tokens: list[Token], i: int) -> int:
    """Index after the next part, if one follows closely."""
    for j in range(i, min(i + 6, len(tokens))):
        if tokens[j].kind == "entity":
            return j + 1
        if tokens[j].kind in ("comma", "end"):
            return j
    return i


def _acts(tokens: list[Token], i: int) -> bool:
    """Whether a verb follows: "before the left arm moves" is no place."""
    return i < len(tokens) and tokens[i].kind == "verb" and not participle(tokens[i])


def _related(tokens: list[Token], i: int, j: int, action: str, folded: list[Token]) -> int:
    """A relation whose object stands at ``j``."""
    token, target = tokens[i], tokens[j]
    last = folded[-1] if folded else Token("end", None, "")
    if target.kind == "level":
        if action not in ("above", "below"):
            action = "" if action == "of" else "level"
        folded.append(Token("mod", Mod("rel", action or "of", target.value, target.words), target.words))
        return j + 1
    walks = any(t.kind == "verb" and t.value.part == "foot" for t in folded[-4:])
    if last.kind == "mod" and last.words == "back" and token.words in ("to", "on", "onto", "against") and not walks:
        folded.pop()  # "back to the hip" is no direction
        last = folded[-1] if folded else Token("end", None, "")
    if action == "of" and last.kind == "word" and token.words == "of" and len(folded) > 1 and folded[-2].kind == "rel":
        action = "of"
    held = next((t for t in reversed(folded[-3:]) if t.kind not in ("word", "degree")), last)
    held = held.kind == "mod" and held.value.action in ("near", "near?") and held.value.other is not None
    if held and action in ("above", "below", "behind", "in-front"):
        action = "of"  # "on the thighs just above the knees"
    part: list[Token] = []
    end = _noun(tokens, j, part, (), True, tokens[j - 1].words)
    noun = part[0].value
    folded.append(Token("mod", Mod("rel", action, noun.entity, token.words), f"{token.words} {part[0].words}"))
    return end


def starts_source(tokens: list[Token], i: int, folded: list[Token]) -> bool:
    """ "From", "out of its fold", "out from behind your back", "leaves the ribs"."""
    token = tokens[i]
    if token.words == "from" and token.kind == "rel":
        return True
    if token.kind == "verb" and token.words in ("leave", "leaves", "leaving") and folded and folded[-1].kind == "noun":
        return i + 1 < len(tokens) and tokens[i + 1].kind in ("det", "entity")
    if token.kind != "rel" or token.value != "apart" or i + 1 >= len(tokens):
        return False
    if tokens[i + 1].kind in ("rel", "dir"):
        return token.words.endswith(("from", "of")) and tokens[i + 1].words not in ("left", "right")
    noun = next((t for t in tokens[i + 1 : i + 5] if t.kind not in ("det", "degree", "word", "state", "dir")), None)
    return token.words == "out of" and (noun is None or noun.kind not in ("entity", "level"))


def _source(tokens: list[Token], i: int, folded: list[Token]) -> int:  # noqa: C901 (one branch for each kind of token)
    """Read a source phrase; what follows it is the way or the goal again."""
    j, mods, named, relation, thing = i + 1, list[Mod](), False, "", False
    whole = j < len(tokens) and tokens[j].words in ("where", "how")
    j += whole
    while j < len(tokens):
        token = tokens[j]
        if whole:
            if token.kind in ("comma", "end", "to"):
                break
        elif thing and (token.words in ("in front", "behind") or (token.kind == "rel" and not _goal(token))):
            named = thing = False  # "from the long step in front", "from its hang beside the waist"
            relation = token.value if token.kind == "rel" else relation
        elif token.words == "before" and j + 1 < len(tokens) and tokens[j + 1].kind in ("det", "entity"):
            relation = "in-front"
        elif token.words == "away" and tokens[j - 1].words == "far":
            j += 1
            continue  # "from far away", "from the ground far away"
        elif token.kind in _STOPS or _goal(token) or (named and token.kind not in ("word", "degree", "det")):
            break
        if token.kind == "det" and named:
            break
        if token.kind == "rel":
            relation = token.value
        elif token.kind in ("entity", "level"):
            if mods and not relation and token.kind == "entity" and not whole:
                break  # "from overhead the right arm descends"
            action = relation if relation and relation != "of" else "level" if token.kind == "level" else "near"
            mods.append(Mod("rel", action, token.value, token.words))
            named = True
        elif token.kind in ("dir", "state"):
            mods.append(Mod(token.kind, token.value, None, token.words))
        elif token.kind == "verb":
            bare = tokens[j - 1].kind in ("det", "degree", "dir", "state", "word", "thing")
            if not (participle(token) or bare or whole):
                break
            named = thing = not participle(token)  # "from its forward reach" is complete
        elif token.kind == "thing" or token.words in word_set("nouns"):
            named = thing = not (j + 1 < len(tokens) and tokens[j + 1].kind in ("verb", "thing", "state", "dir"))
        j += 1
    folded.append(Token("source", tuple(mods), "from"))
    return max(j, i + 1)


def _goal(token: Token) -> bool:
    """A word that ends a source: "to", "into", "towards"."""
    first = token.words.split(" ")[0]
    return token.kind in ("rel", "dir", "state") and first in _GOALS


_GOALS = frozenset(("to", "into", "onto", "until", "towards", "toward"))
