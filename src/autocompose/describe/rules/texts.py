"""Transition descriptions of pairs of 3D poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from random import Random
from typing import Any

import numpy as np

from autocompose.core.errors import PoseError
from autocompose.describe.rules import plan as plans
from autocompose.describe.rules.bank import load_plan
from autocompose.describe.rules.changes import Figures, find_changes, measure_poses
from autocompose.describe.rules.codes.absolute import on_moving_limbs
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.order import ordered
from autocompose.describe.rules.speak import Speaker
from autocompose.describe.rules.statement import Group, Statement, entity, groups, reverse_sides, symmetry
from autocompose.describe.rules.token_limit import count_tokens

BATCH = 2048
ATTEMPTS = 6  # draws per text before a near-duplicate is given up
ALIKE = 0.8  # share of common words (Jaccard) from which two texts count as the same wording
SHORTEST = 6  # CLIP tokens below which no statement can be said


@dataclass
class Description:
    """The texts of one pair, and what each leaves out.

    :param texts: different wordings; fewer than asked for when there is too little to say.
    :param said, left_out: for each text, the statements it makes, and those that did not fit.
    :param measured: the numbers behind all statements, when asked for.
    :param doubtful: those of the changes that are not told because the uncertainty of the poses may explain them.
    """

    texts: list[str] = field(default_factory=list)
    said: list[list[Statement]] = field(default_factory=list)
    left_out: list[list[Statement]] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)
    doubtful: list[dict[str, Any]] = field(default_factory=list)


def describe_pairs(
    joints_a: Figures | np.ndarray,
    joints_b: Figures | np.ndarray,
    seed: int = 0,
    n_texts: int = 3,
    options: RuleOptions | None = None,
    keys: Sequence[str | int] | None = None,
) -> list[list[str]]:
    """Texts that describe how to get from pose A to pose B.

    :param joints_a, joints_b: ``(P, 22, 3)`` SMPL-22 joints, metres, scene frame (yaw included), any place and size; or
        figures that also know their scene.
    :param n_texts: different wordings per pair; a pair with little to say gets fewer, an unchanged pair none.
    :param keys: a name or number per pair; with ``seed`` it decides everything random, whatever else is in the call.
        Default: the row number.
    :raises PoseError: shapes differ, NaN, zero-length bones.
    """
    return [d.texts for d in describe(joints_a, joints_b, seed, n_texts, options, keys)]


def describe(
    start: Figures | np.ndarray,
    goal: Figures | np.ndarray,
    seed: int = 0,
    n_texts: int = 3,
    options: RuleOptions | None = None,
    keys: Sequence[str | int] | None = None,
    numbers: bool = False,
) -> list[Description]:
    """Like ``describe_pairs``, with the statements behind each text and, on request, the measured values.

    :param start, goal: P poses each, as joints or with rotations and missing joints.
    :raises PoseError: as ``describe_pairs``, and when rotations are needed and missing.
    """
    options = options or RuleOptions()
    a, b = (f if isinstance(f, Figures) else Figures(f) for f in (start, goal))
    count = len(a.joints)
    if count != len(b.joints):
        raise PoseError(f"pairs: {count} reference poses but {len(b.joints)} target poses")
    if options.head and (a.rotations is None or b.rotations is None):
        raise PoseError("head: joint rotations are needed; pass them, or turn the option head off")
    hashes = np.array([_number(k) for k in (keys if keys is not None else range(count))], np.uint64)
    result: list[Description] = []
    for i in range(0, count, BATCH):
        part = slice(i, i + BATCH)
        poses = [measure_poses(f.rows(part), options) for f in (a, b)]
        if a.scene is not None and b.scene is not None:  # a move of the camera is no turn of the person
            elsewhere = a.scene[part] != b.scene[part]
            poses[1] = replace(poses[1], yaw=np.where(elsewhere, poses[0].yaw, poses[1].yaw))
        changes = find_changes(poses[0], poses[1], hashes[part], seed, options)
        descriptions = [
            _wordings(statements, Random((seed << 64) ^ int(key)), n_texts, options)
            for statements, key in zip(changes.statements(), hashes[part], strict=True)
        ]
        for k, description in enumerate(descriptions if numbers else ()):
            description.measured, description.doubtful = changes.numbers(k), changes.doubtful_numbers(k)
        result += descriptions
    return result


def _number(key: str | int) -> int:
    if isinstance(key, str):
        return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")
    return int(key) & (2**64 - 1)


def _wordings(statements: list[Statement], rng: Random, n_texts: int, options: RuleOptions) -> Description:
    """``n_texts`` different texts: the first states everything, others skip at random, every third is simplified."""
    result = Description()
    words: list[set[str]] = []
    statements = _filter(statements, options)
    for i in range(n_texts if statements else 0):
        for _ in range(ATTEMPTS):
            chosen = _select(statements, rng, options) if i else statements
            text, said, left = _write(chosen, rng, options, simple=i % 3 == 2)
            these = set(text.lower().replace(",", "").replace(".", "").split())
            if all(len(these & other) < ALIKE * len(these | other) for other in words):
                result.texts.append(text)
                result.said.append(said)
                result.left_out.append(left)
                words.append(these)
                break
    return result


def _select(statements: list[Statement], rng: Random, options: RuleOptions) -> list[Statement]:
    """Skip codes at random, never rare ones; if nothing remains, keep all."""
    kept = [
        s for s in statements if s.rare or rng.random() >= (options.skip_single if s.absolute else options.skip_pair)
    ]
    return _filter(kept, options) or statements


def _filter(statements: list[Statement], options: RuleOptions) -> list[Statement]:
    return on_moving_limbs(statements) if options.absolute == "filtered" else statements


def _write(
    statements: list[Statement], rng: Random, options: RuleOptions, simple: bool
) -> tuple[str, list[Statement], list[Statement]]:
    """Merge, keep the most important statements that fit, and speak: (text, said, left out)."""
    merged = statements if simple else symmetry(entity(statements, rng), rng)
    ranked = sorted(reverse_sides(merged, rng), key=lambda s: -s.weight)
    size = min(len(ranked), options.max_parts or len(ranked))
    if options.max_tokens is not None:
        size = max(1, min(size, options.max_tokens // SHORTEST))
    while True:
        text = _speak(ranked[:size], rng, options, simple)
        if options.max_tokens is None or size == 1 or count_tokens(text) <= options.max_tokens:
            return text, ranked[:size], ranked[size:]
        size -= 1


def _speak(said: list[Statement], rng: Random, options: RuleOptions, simple: bool) -> str:
    """Group, order, and make sentences; a change of direction of the whole body always comes first."""
    plan = load_plan(options.bank)
    speaker = Speaker(options.bank, plan.determiner(rng), rng, simple, plan.style == "observe")
    turn = [Group((s,), "") for s in said if s.kind == "turn"]
    rest = [s for s in said if s.kind != "turn"]
    blocks = [Group((s,), "") for s in rest] if simple else groups(rest, rng)
    if plan.style == "coach":
        opening = plans.coach([c for g in turn for c in speaker.clauses(g)], rng)
        body = plans.coach([c for g in ordered(blocks, rng) for c in speaker.clauses(g)], rng)
        return f"{opening} {body}".strip()
    blocks.sort(key=lambda g: -max(s.weight for s in g.statements))
    return plans.joined([c for g in turn + blocks for c in speaker.clauses(g)], plan, rng)
