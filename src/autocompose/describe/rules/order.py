"""The order in which body parts are mentioned: a random depth-first walk over the body-part graph."""

from __future__ import annotations

from random import Random

from autocompose.describe.rules.statement import Group

_SIDED = {
    "torso": ("shoulder", "arm", "hip", "leg"),
    "arm": ("upperarm", "forearm"),
    "upperarm": ("elbow", "shoulder"),
    "forearm": ("elbow", "hand"),
    "leg": ("thigh", "shin"),
    "thigh": ("hip", "knee"),
    "shin": ("knee", "foot"),
}


def _graph() -> dict[tuple[str, str], list[tuple[str, str]]]:
    graph: dict[tuple[str, str], list[tuple[str, str]]] = {("", "body"): [("", "head"), ("", "torso")]}
    for parent, children in _SIDED.items():
        for side in ("left", "right"):
            key = ("", parent) if parent == "torso" else (side, parent)
            graph.setdefault(key, []).extend((side, child) for child in children)
    return graph


GRAPH = _graph()


def walk(rng: Random) -> dict[tuple[str, str], int]:
    """Rank of each (side, part) in one random depth-first walk; a part is ranked at its first visit."""
    ranks: dict[tuple[str, str], int] = {}
    stack = [("", "body")]
    while stack:
        part = stack.pop()
        if part not in ranks:
            ranks[part] = len(ranks)
            children = GRAPH.get(part, ())
            stack.extend(rng.sample(children, len(children)) if len(children) > 1 else children)
    return ranks


def ordered(groups: list[Group], rng: Random) -> list[Group]:
    """Sort groups by the walk's rank of their first subject; plural subjects join a randomly preferred side.

    Subjects outside the graph come last, none is lost.
    """
    ranks = walk(rng)
    rng.shuffle(groups)
    preferred = "left" if rng.random() < 0.5 else "right"
    present = {(g.statements[0].side, g.statements[0].part) for g in groups}

    def rank(group: Group) -> int:
        side, part = group.statements[0].side, group.statements[0].part
        if side == "both":
            other = "right" if preferred == "left" else "left"
            side = other if (other, part) in present and (preferred, part) not in present else preferred
        return ranks.get((side, part), len(ranks))

    return sorted(groups, key=rank)
