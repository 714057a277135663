"""Free English -> claims.

Tokens are folded to phrases (``phrases``: a part with its adjectives, a relation with its object, a source), phrases
are grouped to clauses (``clauses``), and each clause is read in the mode of its verb (``meaning``). What a text says
about the reference (adjectives, sources, "your left foot is up behind you: lower it") gives claims that are marked as
``start``; ``parse`` leaves them out. Negated clauses and clauses about things that are no body part give no claim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from autocompose.describe.reading.claims import STATED, Claim
from autocompose.describe.reading.clauses import Clause, clauses, is_imperative
from autocompose.describe.reading.meaning import PartClaim, actions_of
from autocompose.describe.reading.phrases import STAYING, Mod, limb_of
from autocompose.describe.reading.tokens import Entity, tokens

_PAIRS = (
    ("up", "down"), ("forward", "backward"), ("left", "right"), ("bend", "straighten"), ("closer", "apart"),
    ("lean-forward", "lean-backward"), ("lean-left", "lean-right"), ("turn-left", "turn-right"),
)  # fmt: skip
OPPOSITE = dict(_PAIRS) | {second: first for first, second in _PAIRS}
del OPPOSITE["straighten"]  # "don't stretch it out so far" asks for no bend


def parse(text: str) -> list[Claim]:
    """The claims of a text about the change and the goal, in text order, without repetitions.

    >>> [str(c) for c in parse("kick your left foot out in front of you")]
    ['left foot: forward']
    """
    return [claim for claim in read(text) if not claim.start]


def read(text: str) -> list[Claim]:
    """All claims of a text; those about the reference are marked as ``start``.

    >>> [str(c) for c in read("straighten your bent left knee")]
    ['left knee: straighten', 'left knee: bent, at first']
    """
    claims: list[Claim] = []
    said = clauses(tokens(text))
    starts = reference_clauses(said)
    for clause, start in zip(said, starts, strict=True):
        claims += _starts(clause)
        if start or clause.dropped:
            claims += [replace(c, start=True) for c in _claims(clause) if c.action in STATED]
        elif clause.opposite:
            claims += [replace(c, action=OPPOSITE[c.action]) for c in _claims(clause) if c.action in OPPOSITE]
        else:
            claims += _claims(clause)
    return _distinct(claims)


def _claims(clause: Clause) -> Iterator[Claim]:
    own = clause.verb is not None and not clause.lends
    if clause.lends and not (clause.goals or clause.lists):
        return
    for part in clause.parts:
        for part_claim in actions_of(clause.verb, own, part, clause.goals, clause):
            yield _claim(part_claim, clause.degree)


def _claim(part_claim: PartClaim, degree: str | None, start: bool = False) -> Claim:
    entity, action, other, *how = part_claim
    other_part, other_side = (other.part, other.side) if other else (None, "none")
    return Claim(entity.part, entity.side, action, other_part, other_side, degree, how[0] if how else "move", start)


def _starts(clause: Clause) -> Iterator[Claim]:
    """What adjectives and sources say about the reference."""
    initial = [(part, mod) for part in clause.parts for mod in clause.source] + clause.was
    for part, mod in initial:
        for part_claim in actions_of(None, False, part, [mod], None):
            if part_claim[1] in STATED:
                yield _claim(part_claim, None, start=True)


def reference_clauses(said: list[Clause]) -> list[bool]:
    """Which clauses describe the reference: "your foot is up behind you; lower it", "it is still bent", "too high"."""
    starts: list[bool] = []
    for i, clause in enumerate(said):
        following = said[i + 1 : i + 3]
        continues = bool(starts) and not (clause.opens or clause.named) and (clause.verb is None or clause.lends)
        if continues and clause.joined and (starts[-1] or _complains(said[i - 1])):
            starts.append(True)
            continue
        if _apposed(said, i):
            starts.append(True)
            continue
        describes = clause.copula and not (clause.due or clause.opposite or _changes(clause)) and clause.named
        mended = any((is_imperative(n) or n.due) and _same_limb(clause, n) for n in following)
        starts.append(describes and (clause.lasting or mended))
    return starts


def _apposed(said: list[Clause], i: int) -> bool:
    """ "The right arm, stretched wide sideways, folds in", "the knee, now bent, straightens"."""
    clause = said[i]
    still = clause.verb is not None and (clause.verb.passive or clause.verb_words in STAYING)
    lasting = clause.lasting if clause.lends else still
    if not lasting or clause.named or not clause.joined or i + 1 == len(said):
        return False
    after = said[i + 1]
    return after.joined and not after.named and after.verb_words.split(" ")[0].endswith("s") and not after.lends


def _complains(clause: Clause) -> bool:
    """ "The left foot is too high"."""
    return clause.copula and any(mod.words.startswith("too ") for mod in clause.goals)


def _changes(clause: Clause) -> bool:
    """Compares ("is higher", "too high"): then it speaks of a change after all."""
    return any(mod.kind == "dir" and _compares(mod) for mod in clause.goals)


def _compares(mod: Mod) -> bool:
    return any(word.endswith("er") or word in ("more", "less", "too", "not") for word in mod.words.split())


def _same_limb(one: Clause, other: Clause) -> bool:
    if other.pronoun:
        return True
    return any(_limb(a) == _limb(b) for a in one.parts for b in other.parts)


def _limb(part: Entity) -> tuple[str, str]:
    return limb_of(part.part) or part.part, part.side


def _distinct(claims: list[Claim]) -> list[Claim]:
    """Drop repetitions, claims without a side beside the same one with a side, and "to the body" beside "together"."""
    kept: dict[Claim, Claim] = {}
    for claim in claims:
        key = replace(claim, degree=None, how="")
        if key not in kept or (claim.degree and not kept[key].degree):
            kept[key] = claim
    keys = {(c.part, c.action, c.side, c.start) for c in kept.values()}
    plain = {(c.part, c.action, c.side, c.start) for c in kept.values() if c.other is None}
    return [
        c
        for c in kept.values()
        if not (c.side == "none" and any((c.part, c.action, s, c.start) in keys for s in ("left", "right", "both")))
        and not (c.other == "body" and (c.part, c.action, c.side, c.start) in plain)
    ]
