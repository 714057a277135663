"""Matching the joints of a BVH skeleton to SMPL-22.

Names only propose: a limb is a chain of the tree whose joints bear the right kinds of names, so that ``LeftLeg`` is a
shin below ``LeftUpLeg`` and a thigh above ``LeftKnee``. The pelvis is at or above the place where the legs part, the
neck where the arms part or between there and the head; of several joints, geometry takes the one at the right height.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np

from autocompose.bodies.bvh_aliases import read_name
from autocompose.bodies.convert import NECK_UP, PELVIS_UP
from autocompose.core.errors import PoseError

LIMBS = {"leg": ("hip", "knee", "ankle"), "arm": ("shoulder", "elbow", "wrist")}
_NECK = (0.8, 1.5)  # height of a neck's joint, as a share of the line from hips to shoulders
_PELVIS = 0.4  # how far the pelvis may be from the middle of the hips, as a share of that line
_BENT = 0.9  # cosine of shin and end site above which the site only prolongs the shin
_STRAIGHT = 0.999  # cosine of two halves of a bone
_LOOKED_AT = 200  # frames that geometry is measured on
_CANDIDATES = 24  # likeliest joints of one part and side to compare
_NAMED = 60  # joints that an error lists


class _Tree:
    def __init__(self, names: Sequence[str], parents: Sequence[int], ends: Sequence[bool]) -> None:
        self.names, self.parents, self.ends = names, parents, ends
        self.read = [("", dict[str, int]()) if end else read_name(n) for n, end in zip(names, ends, strict=True)]
        self.depth: list[int] = []
        self.children: list[list[int]] = [[] for _ in names]
        for i, parent in enumerate(parents):
            self.depth.append(0 if parent < 0 else self.depth[parent] + 1)
            if parent >= 0:
                self.children[parent].append(i)

    def way_up(self, joint: int) -> list[int]:
        """The joint, its parent, ... the root."""
        chain = []
        while joint >= 0:
            chain.append(joint)
            joint = self.parents[joint]
        return chain

    def below(self, joint: int) -> list[int]:
        """All descendants, nearer ones first."""
        joints = list(self.children[joint])
        for other in joints:
            joints += self.children[other]
        return joints

    def fork(self, a: int, b: int) -> int:
        """The last joint that both hang on; -1 when they are of different trees."""
        above = set(self.way_up(b))
        return next((joint for joint in self.way_up(a) if joint in above), -1)

    def candidates(self, part: str, side: str) -> list[int]:
        """Joints that may be this part, more certain and higher ones first."""
        joints = [i for i, (s, parts) in enumerate(self.read) if s == side and part in parts]
        return sorted(joints, key=lambda i: (self.read[i][1][part], self.depth[i]))[:_CANDIDATES]


def find_joints(
    names: Sequence[str], parents: Sequence[int], ends: Sequence[bool], joints: np.ndarray
) -> dict[str, int]:
    """Our joint name -> row of the file: hips to ankles and shoulders to wrists of both sides always; pelvis, neck,
    head and feet where there are joints (or end sites) for them.

    :param joints: ``(T, J, 3)`` positions, any unit.
    :raises PoseError: a limb is missing, or could be several joints.
    """
    tree = _Tree(names, parents, ends)
    some = joints[:: max(1, -(-len(joints) // _LOOKED_AT))]
    places: dict[str, int] = {}
    for side, limb in product(("left", "right"), LIMBS):
        chain = _below_collar(tree, some, _limb(tree, side, limb), side, limb)
        places |= {f"{side}_{part}": i for part, i in zip(LIMBS[limb], chain, strict=True)}
    figure = _Figure(some, places)
    trunk = tree.way_up(tree.fork(places["left_hip"], places["right_hip"]))
    near = [joint for joint in trunk if figure.from_hips(joint) < _PELVIS]
    if near:
        places["pelvis"] = min(near, key=lambda joint: abs(figure.height(joint) - PELVIS_UP))
    places |= _neck_and_head(tree, figure, places)
    for side in ("left", "right"):
        if (foot := _foot(tree, figure, side, places)) is not None:
            places[f"{side}_foot"] = foot
    return places


class _Figure:
    """Measures of some frames, as shares of the trunk: the line between the middles of hips and shoulders."""

    def __init__(self, joints: np.ndarray, places: dict[str, int]) -> None:
        self.joints = joints
        low, high = (
            (joints[:, places[f"left_{n}"]] + joints[:, places[f"right_{n}"]]) / 2 for n in ("hip", "shoulder")
        )
        self.low, self.trunk = low, high - low
        self.size = np.maximum(np.linalg.norm(self.trunk, axis=1), 1e-12)

    def from_hips(self, joint: int) -> float:
        return float(np.median(np.linalg.norm(self.joints[:, joint] - self.low, axis=1) / self.size))

    def height(self, joint: int) -> float:
        along = ((self.joints[:, joint] - self.low) * self.trunk).sum(1)
        return float(np.median(along / self.size**2))

    def apart(self, a: int, b: int) -> bool:
        """The bone between two joints has a length, so that it has a direction."""
        gaps = np.linalg.norm(self.joints[:, a] - self.joints[:, b], axis=1)
        return bool((gaps > 0.01 * self.size).all())

    def prolongs(self, a: int, b: int, c: int) -> bool:
        """The bone b - c lies in the direction of a - b."""
        first, second = self.joints[:, b] - self.joints[:, a], self.joints[:, c] - self.joints[:, b]
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        return bool(np.median(np.abs((first * second).sum(1)) / np.maximum(norms, 1e-12)) > _BENT)


def _limb(tree: _Tree, side: str, limb: str) -> tuple[int, int, int]:
    first, second, third = LIMBS[limb]
    uppers, middles = ([*tree.candidates(part, side)] for part in (first, second))
    chains = []
    for end in tree.candidates(third, side):
        above = tree.way_up(end)[1:]
        for middle in (m for m in middles if m in above):
            higher = above[above.index(middle) + 1 :]
            chains += [(upper, middle, end) for upper in uppers if upper in higher]
    if not chains:
        raise PoseError(_missing(tree, side, limb))
    ranks = {chain: _rank(tree, chain, LIMBS[limb]) for chain in chains}
    best = min(chains, key=ranks.__getitem__)
    if rivals := [chain for chain in chains if ranks[chain] == ranks[best] and chain != best]:
        mine, other = (" - ".join(repr(named(tree.names[i])) for i in chain) for chain in (best, rivals[0]))
        raise PoseError(
            f"the {side} {limb} may be {mine} or {other}; save one figure per file, with one joint of each name"
        )
    return best


def _below_collar(
    tree: _Tree, joints: np.ndarray, chain: tuple[int, int, int], side: str, limb: str
) -> tuple[int, int, int]:
    """The chain, or of ``shoulder 1`` (a collar) and ``shoulder 2`` the lower one; a twist of the upper arm, which has
    such names too, lies on a straight line."""
    upper, middle, end = chain
    part = LIMBS[limb][0]
    between = tree.way_up(middle)[1:]
    between = between[: between.index(upper)]
    for joint in between:
        if tree.read[joint][0] == side and tree.read[joint][1].get(part) == tree.read[upper][1][part]:
            first, second = joints[:, joint] - joints[:, upper], joints[:, middle] - joints[:, joint]
            norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
            if ((first * second).sum(1) < _STRAIGHT * norms).any():
                return joint, middle, end
    return chain


def _rank(tree: _Tree, chain: tuple[int, ...], parts: tuple[str, ...]) -> tuple[int, ...]:
    """Smaller is better: more certain names, then joints nearer to the trunk (an ankle before the foot below it)."""
    return sum(tree.read[i][1][part] for i, part in zip(chain, parts, strict=True)), *(tree.depth[i] for i in chain)


def _missing(tree: _Tree, side: str, limb: str) -> str:
    lacking = [part for part in LIMBS[limb] if not tree.candidates(part, side)]
    joints = [named(name) for name, end in zip(tree.names, tree.ends, strict=True) if not end]
    more = f" and {len(joints) - _NAMED:,} more" if len(joints) > _NAMED else ""
    what = ", ".join(f"{side}_{part}" for part in lacking or LIMBS[limb])
    hang = "" if lacking else " that hang on each other"
    return f"no joint for {what}{hang}; the file has {', '.join(joints[:_NAMED])}{more}"


def named(name: str) -> str:
    """A joint's name as errors show it."""
    return name if len(name) <= 40 else name[:37] + "..."


def _neck_and_head(tree: _Tree, figure: _Figure, places: dict[str, int]) -> dict[str, int]:
    chest = tree.fork(places["left_shoulder"], places["right_shoulder"])
    limbs = {joint for name in places if name != "pelvis" for joint in [places[name], *tree.below(places[name])]}
    heads = [joint for joint in tree.candidates("head", "") if joint not in limbs]
    heads.sort(key=lambda joint: chest not in tree.way_up(joint))  # a root at the head, as trackers have it, comes last
    chain = _upwards(tree, chest, limbs, heads[0] if heads else None)
    if not chain:
        return {}
    head = next(
        (i for i in (chain[-1], *tree.below(chain[-1])) if figure.height(i) > _NECK[0] and i not in limbs), None
    )
    necks = [i for i in chain[:-1] if _NECK[0] < figure.height(i) < _NECK[1]]
    necks += [chest] if chest >= 0 and 1 <= figure.height(chest) < _NECK[1] else []  # a biped's arms hang on its neck
    necks = [i for i in necks if head is not None and figure.apart(i, head)]
    neck = min(necks, key=lambda i: abs(figure.height(i) - 1 - NECK_UP), default=None)
    if neck is None and len(chain) == 1 and not heads:  # one joint without the name of a head is a neck
        neck, head = chain[0], next((i for i in tree.below(chain[0]) if figure.apart(i, chain[0])), None)
    return {name: i for name, i in (("neck", neck), ("head", head)) if i is not None}


def _upwards(tree: _Tree, chest: int, limbs: set[int], head: int | None) -> list[int]:
    """The joints from above the chest to the head: on the way to ``head``, else the only one that goes up."""
    if head is not None:
        way, back = tree.way_up(head), tree.way_up(chest) if chest >= 0 else []
        if chest in way:
            return way[: way.index(chest)][::-1]
        return [*back[1 : back.index(head) + 1]] if head in back else [head]
    chain: list[int] = []
    here = tree.children[chest] if chest >= 0 else []
    while True:
        arms = [i for i in here if limbs & {i, *tree.below(i)}]
        ahead = [i for i in here if not tree.ends[i] and not tree.read[i][0] and i not in arms]
        if len(ahead) != 1:
            return chain
        chain.append(ahead[0])
        here = tree.children[ahead[0]]


def _foot(tree: _Tree, figure: _Figure, side: str, places: dict[str, int]) -> int | None:
    """The toes: by name, else what hangs on the ankle; None when that has no length or only prolongs the shin."""
    knee, ankle = places[f"{side}_knee"], places[f"{side}_ankle"]
    below = tree.below(ankle)
    toes = [i for i in below if "foot" in tree.read[i][1] and tree.read[i][0] in (side, "")]
    toes.sort(key=lambda i: (tree.read[i][1]["foot"], tree.depth[i]))
    for toe in _each_with_what_follows(tree, toes[:_CANDIDATES]):
        if figure.apart(ankle, toe):
            return toe
    rest = (i for i in below if figure.apart(ankle, i) and "heel" not in tree.names[i].lower())
    site = next(rest, None)
    return None if site is None or figure.prolongs(knee, ankle, site) else site


def _each_with_what_follows(tree: _Tree, joints: Iterable[int]) -> Iterable[int]:
    for joint in joints:
        yield joint
        yield from tree.below(joint)[:_CANDIDATES]
