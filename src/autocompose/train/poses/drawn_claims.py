"""Claims without words: statements that hold for a change of pose, drawn from all that the parser can say.

Rule banks tell how measurements change; people also say where a hand ends up ("next to the left knee"). Claims are drawn
at random and kept where the joints support them, so that the claims of any text have been seen in training. No text is
involved: neither of a test bank nor of a multimodal LLM.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np

from autocompose.describe.audit.claims import STATES, Claim
from autocompose.describe.audit.judge import agreement
from autocompose.describe.audit.measure import Poses

TRIED = 90  # claims for each pair
FEWEST, MOST = 1, 5  # claims of a text
SLIGHT, LARGE = 4.0, 11.0  # changes in the judge's tolerances
NEW = 0.6  # agreement with the reference below which a claim tells something new
_ENDS, _MIDDLES = ("hand", "foot"), ("elbow", "knee")
_LIMBS = ("arm", "leg", "forearm", "upper arm", "shin", "thigh")
_OTHERS = ("head", "shoulder", "torso", "hip", "pelvis", "knee", "elbow", "foot", "hand")
_CENTRAL = ("head", "torso", "pelvis", "body")


def draw_claims(start: Poses, goal: Poses, rng: np.random.Generator) -> list[list[Claim]]:
    """Claims for N pairs of poses (yaws known); an empty list where none was found."""
    kinds, shares = _kinds()
    claims = [claim for kind in kinds for claim in kind]
    with np.errstate(invalid="ignore"):
        after = np.stack([agreement(claim, start, goal)[0] for claim in claims])
        before = np.stack([agreement(claim, start, start)[0] for claim in claims])
        holds = (after >= 1) & ~(before >= NEW)
    weights = np.concatenate([np.full(len(kind), share / len(kind)) for kind, share in zip(kinds, shares, strict=True)])
    result = []
    for pair in range(len(goal)):
        true = rng.choice(len(claims), TRIED, p=weights)
        true = true[holds[true, pair]]
        told = [_with_degree(claims[k], float(after[k, pair]), rng) for k in dict.fromkeys(true.tolist())]
        result.append(_apart(told)[: int(rng.integers(FEWEST, MOST + 1))])
    return result


def _with_degree(claim: Claim, size: float, rng: np.random.Generator) -> Claim:
    """:param size: the change in the judge's tolerances."""
    if claim.how != "move" or claim.other or claim.action in STATES or rng.random() < 0.4:
        return claim
    return replace(claim, degree="slight" if size < SLIGHT else "large" if size > LARGE else None)


def _apart(claims: list[Claim]) -> list[Claim]:
    """At most two statements about a limb of a side, one of each kind."""
    seen: dict[tuple[str, str], int] = {}
    kept = []
    for claim in claims:
        key = (claim.part, claim.side)
        if seen.get(key, 0) < 2:
            kept.append(claim)
        seen[key] = seen.get(key, 0) + 1
    return kept


@lru_cache(maxsize=1)
def _kinds() -> tuple[list[list[Claim]], np.ndarray]:
    """Claims by kind, and how likely each kind is."""
    sides = ("left", "right", "both")
    moves, limbs = ("up", "down", "left", "right", "forward", "backward"), (*_ENDS, *_MIDDLES, *_LIMBS)
    bends = ("bend", "straighten")
    kinds: list[tuple[float, list[Claim]]] = [
        (4, [Claim(p, s, a) for p, s, a in product(limbs, sides, moves)]),
        (2, [Claim(p, s, a, how=h) for p, s, a, h in product(limbs, sides, moves, ("place", "aim"))]),
        (2, [Claim(p, s, a, how=h) for p, s, a, h in product(("elbow", "knee", "arm", "leg"), sides, bends, ("move", "reach"))]),
        (2, [Claim(p, s, a) for p, s, a in product(("elbow", "knee", "arm", "leg"), sides, ("straight", "bent", "right-angle"))]),
        (4, _related(("near",), True)),
        (4, _related(("level", "above", "below"), False)),
        (3, _related(("in-front", "behind", "left-of", "right-of"), False)),
        (3, _related(("closer", "apart"), True)),
        (1, [Claim(p, "both", a) for p, a in product((*_ENDS, *_MIDDLES), ("closer", "apart", "near", "crossed", "shoulder-width"))]),
        (2, [Claim(p, s, a) for p, s, a in product((*_LIMBS, "hand", "foot", "knee"), sides, ("horizontal", "vertical", "on-floor", "near-floor"))]),
        (2, [Claim(p, "none", a) for p, a in product(_CENTRAL, ("lean-left", "lean-right", "lean-forward", "lean-backward", "turn-left", "turn-right", "up", "down", "left", "right", "forward", "backward"))]),
    ]  # fmt: skip
    shares = np.array([share for share, _ in kinds], float)
    return [claims for _, claims in kinds], shares / shares.sum()


def _related(actions: tuple[str, ...], body: bool) -> list[Claim]:
    """Relations of hands, feet, elbows and knees to other parts; ``body``: also to the body as such."""
    found = []
    for part, side, action, other in product((*_ENDS, *_MIDDLES), ("left", "right", "both"), actions, _OTHERS):
        if part == other:
            found += (
                [Claim(part, side, action, other, {"left": "right", "right": "left"}[side])] if side != "both" else []
            )
        elif other in ("head", "torso", "pelvis"):
            found.append(Claim(part, side, action, other))
        else:
            found += [
                Claim(part, side, action, other, s)
                for s in (("left", "right", "none") if side != "both" else ("none",))
            ]
    if body:
        found += [
            Claim(p, s, a, "body") for p, s, a in product((*_ENDS, *_MIDDLES), ("left", "right", "both"), actions)
        ]
    return found
