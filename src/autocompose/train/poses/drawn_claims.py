"""Claims without words: statements that hold for a change of pose, drawn from everything that the parser can express.

Rule banks describe how measurements change; people also say where a hand ends up ("next to the left knee"). Claims are
drawn at random and kept where the joints support them, so that the claims of any text have been seen in training. No
text of a test bank or a multimodal LLM is involved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np

from autocompose.describe.audit.judge import agreement
from autocompose.describe.audit.measure import Poses
from autocompose.describe.reading.claims import BENDS, CENTRAL_PARTS, MOVES, STATES, Claim

TRIED = 90  # claims for each pair
FEWEST, MOST = 1, 5  # claims of a text
SLIGHT, LARGE = 4.0, 11.0  # changes in the judge's tolerances
NEW = 0.6  # agreement with the reference below which a claim is new information
_ENDS, _MIDDLES = ("hand", "foot"), ("elbow", "knee")
_LIMBS = ("arm", "leg", "forearm", "upper arm", "shin", "thigh")
_OTHERS = ("head", "shoulder", "torso", "hip", "pelvis", "knee", "elbow", "foot", "hand")
SIDED = ("left", "right", "both")


def draw_claims(start: Poses, goal: Poses, rng: np.random.Generator) -> list[list[Claim]]:
    """Claims for N pairs of poses (yaws known); an empty list where none holds."""
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
        drawn = [_with_degree(claims[k], float(after[k, pair]), rng) for k in dict.fromkeys(true.tolist())]
        result.append(_apart(drawn)[: int(rng.integers(FEWEST, MOST + 1))])
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
    """Claims by kind, and the probability of each kind."""
    limbs, both = (*_ENDS, *_MIDDLES, *_LIMBS), (*_ENDS, *_MIDDLES)
    joints, flat = ("elbow", "knee", "arm", "leg"), ("horizontal", "vertical", "on-floor", "near-floor")
    trunk = ("lean-left", "lean-right", "lean-forward", "lean-backward", "turn-left", "turn-right", *MOVES)
    pairs = ("closer", "apart", "near", "crossed", "shoulder-width")
    kinds: list[tuple[float, list[Claim]]] = [
        (4, _plain(limbs, MOVES)),
        (2, [*_plain(limbs, MOVES, "place"), *_plain(limbs, MOVES, "aim")]),
        (2, [*_plain(joints, BENDS), *_plain(joints, BENDS, "reach")]),
        (2, _plain(joints, ("straight", "bent", "right-angle"))),
        (4, _related(("near",), body=True)),
        (4, _related(("level", "above", "below"))),
        (3, _related(("in-front", "behind", "left-of", "right-of"))),
        (3, _related(("closer", "apart"), body=True)),
        (1, [Claim(part, "both", action) for part, action in product(both, pairs)]),
        (2, _plain((*_LIMBS, "hand", "foot", "knee"), flat)),
        (2, [Claim(part, "none", action) for part, action in product(CENTRAL_PARTS, trunk)]),
    ]
    shares = np.array([share for share, _ in kinds], float)
    return [claims for _, claims in kinds], shares / shares.sum()


def _plain(parts: Sequence[str], actions: Sequence[str], how: str = "move") -> list[Claim]:
    return [Claim(part, side, action, how=how) for part, side, action in product(parts, SIDED, actions)]


def _related(actions: Sequence[str], body: bool = False) -> list[Claim]:
    """Relations of hands, feet, elbows and knees to other parts; ``body``: also to the body as such."""
    relations = []
    others = (*_OTHERS, "body") if body else _OTHERS
    for part, side, action, other in product((*_ENDS, *_MIDDLES), SIDED, actions, others):
        if part == other:
            sides = [{"left": "right", "right": "left"}[side]] if side != "both" else []
        elif side == "both" or other in ("head", "torso", "pelvis", "body"):
            sides = ["none"]
        else:
            sides = ["left", "right", "none"]
        relations += [Claim(part, side, action, other, other_side) for other_side in sides]
    return relations
