"""What a text can say, and how several statements merge into one (entity, symmetry, side reversal)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple

MERGE = 0.95  # probability of each possible merge, from PoseFix
ENTITIES = {("hand", "elbow"): "arm", ("foot", "knee"): "leg"}
# level -> category of each kind of pair code
CATEGORIES: dict[str, dict[int, str]] = {
    "bend": {3: "unbend_much", 2: "unbend", 1: "unbend_bit", -1: "bend_bit", -2: "bend", -3: "bend_much", -4: "fold"},
    "gap": {2: "out", 1: "out_bit", -1: "in_bit", -2: "in"},
    "gap both": {2: "apart", 1: "apart_bit", -1: "together_bit", -2: "together"},
    "side": {2: "left", 1: "left_bit", -1: "right_bit", -2: "right"},
    "height": {2: "up", 1: "up_bit", -1: "down_bit", -2: "down"},
    "depth": {2: "front", 1: "front_bit", -1: "back_bit", -2: "back"},
    "straighten": {1: "straighten"},
    "turn": {
        4: "turn_around", 3: "turn_left_far", 2: "turn_left", 1: "turn_left_bit",
        -1: "turn_right_bit", -2: "turn_right", -3: "turn_right_far", -4: "turn_around",
    },
    "lean": {2: "lean_front", 1: "lean_front_bit", -1: "lean_back_bit", -2: "lean_back"},
    "tilt": {2: "lean_left", 1: "lean_left_bit", -1: "lean_right_bit", -2: "lean_right"},
    "twist": {2: "twist_right", 1: "twist_right_bit", -1: "twist_left_bit", -2: "twist_left"},
    "head": {2: "head_left", 1: "head_left_bit", -1: "head_right_bit", -2: "head_right"},
    "chin": {1: "chin_down", -1: "chin_up"},
}  # fmt: skip


class Statement(NamedTuple):
    """One statement of a text.

    :param kind: kind of pair code, or ``is`` for a state of the goal pose.
    :param category: key into the word bank.
    :param side: left, right, both, or "" for parts without a side.
    :param weight: how large the change is; 1 = the threshold of the strongest category.
    :param codes: names of the codes that it says.
    :param rare: never skipped at random.
    """

    kind: str
    category: str
    level: int
    side: str
    part: str
    side2: str
    part2: str
    weight: float
    codes: tuple[str, ...]
    rare: bool = False

    @property
    def absolute(self) -> bool:
        """Whether it states the target pose, not a change."""
        return self.kind == "is"

    @property
    def many(self) -> bool:
        """The subject is plural."""
        return self.side == "both"


def entity(statements: Iterable[Statement], rng: Random) -> list[Statement]:
    """Hand and elbow (foot and knee) of one side that move alike become the arm (leg); the stronger degree wins."""
    result = list(statements)
    places = {
        (s.kind, s.level > 0, s.side, s.part): i for i, s in enumerate(result) if not s.absolute and s.kind != "bend"
    }
    gone: set[int] = set()
    for (kind, grows, side, part), i in places.items():
        for (end, middle), whole in ENTITIES.items():
            j = places.get((kind, grows, side, middle)) if part == end else None
            if j is not None and rng.random() < MERGE:
                strong = max(result[i], result[j], key=lambda s: (abs(s.level), s.weight))
                weight = max(result[i].weight, result[j].weight)
                result[i] = strong._replace(part=whole, weight=weight, codes=result[i].codes + result[j].codes)
                gone.add(j)
    return [s for i, s in enumerate(result) if i not in gone]


def symmetry(statements: Iterable[Statement], rng: Random) -> list[Statement]:
    """The same said of the left and the right part becomes one plural statement; so do two second parts.

    The latter ("level with your hips") is ours: PoseFix would say the same of each hip.
    """
    first = _pair_up(statements, rng, lambda s: (s.category, s.part, s.part2), lambda s: s.side)
    return _pair_up(first, rng, lambda s: (s.category, s.side, s.part, s.part2), lambda s: s.side2)


def _pair_up(
    statements: Iterable[Statement],
    rng: Random,
    alike: Callable[[Statement], tuple[str, ...]],
    side: Callable[[Statement], str],
) -> list[Statement]:
    """Merge a left and a right statement with equal ``alike``; each is merged once at most."""
    result: list[Statement] = []
    places: dict[tuple[str, ...], int] = {}
    for s in statements:
        i = places.get(alike(s))
        sides = {side(s), side(result[i])} if i is not None else set()
        if i is None or sides != {"left", "right"} or rng.random() >= MERGE:
            places.setdefault(alike(s), len(result))
            result.append(s)
            continue
        other = result[i]
        result[i] = other._replace(
            side=other.side if other.side == s.side else "both",
            side2=other.side2 if other.side2 == s.side2 else "both",
            weight=max(other.weight, s.weight),
            codes=other.codes + s.codes,
        )
    return result


def reverse_sides(statements: Iterable[Statement], rng: Random) -> list[Statement]:
    """Left hand near right hand: let either be the subject, or say it of both hands."""
    result = []
    for s in statements:
        if s.part2 == s.part and s.side != s.side2:
            if rng.random() < 0.5:
                s = s._replace(side=s.side2, side2=s.side)
            if s.category == "is_near" and rng.random() < 0.5:
                s = s._replace(category="is_joined", side="both", side2="", part2="")
        result.append(s)
    return result


class Group(NamedTuple):
    """Statements told in one breath: several subjects with one predicate, or one subject with several predicates."""

    statements: tuple[Statement, ...]
    shared: str  # "" single, "predicate" several subjects, "subject" several predicates


def groups(statements: list[Statement], rng: Random) -> list[Group]:
    """Form same-interpretation and same-keypoint groups at random; distance statements stay alone.

    All possible groups are shuffled and walked through; each takes the members that are still free.
    """
    proposals: dict[tuple[str, ...], list[int]] = {}
    for i, s in enumerate(statements):
        if s.kind != "gap" and s.category != "is_joined" and s.part:
            proposals.setdefault(("predicate", s.category, s.side2, s.part2), []).append(i)
            proposals.setdefault(("subject", s.side, s.part), []).append(i)
    wanted = [(key[0], members) for key, members in proposals.items() if len(members) > 1]
    rng.shuffle(wanted)
    taken: set[int] = set()
    result = []
    for shared, members in wanted:
        free = [i for i in members if i not in taken]
        if len(free) > 1:
            rng.shuffle(free)
            taken.update(free)
            if rng.random() < MERGE:
                result.append(Group(tuple(statements[i] for i in free), shared))
            else:
                result += [Group((statements[i],), "") for i in free]
    return result + [Group((s,), "") for i, s in enumerate(statements) if i not in taken]
