"""Pair mining: which poses of a pool make good (start, goal) pairs.

After PoseFix, section on pair mining: a goal pose looks for start poses that are similar as a whole but differ in
enough pose codes, either moments earlier in the same motion (in-sequence) or in another motion (out-of-sequence).
The pose feature is ours: the directions of all bones, which do not depend on body size, place or yaw.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field, model_validator

from autocompose.bodies.points import points_of
from autocompose.bodies.pose_frame import centre, check_joints, faults, remove_yaw, rescale
from autocompose.bodies.skeleton import SMPL22_PARENTS
from autocompose.core.config import Config
from autocompose.core.errors import CorpusError, PoseError
from autocompose.core.files import read_json, write_json
from autocompose.core.log import Limit, Tally, nothing_left, say, track
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import load_corpus, pair_to_json
from autocompose.corpus.poses import PoseTable
from autocompose.describe.rules.codes.single_codes import all_codes
from autocompose.prepare.pairing.groups import nearest_groups

CELLS = 1 << 24  # similarities held at once: 64 MB
CHUNK = 8192  # poses measured at once


class PairOptions(Config):
    """Constraints on a pair; the defaults follow PoseFix, with the similarity window re-tuned for our feature.

    :param low, high: the cosine similarity of the two poses lies strictly between them.
    :param nearest: the start pose is among the N poses most similar to the goal pose.
    :param in_codes, out_codes: more than N of the 423 pose codes differ (in-sequence, out-of-sequence).
    :param gap: longest time in seconds between the poses of an in-sequence pair.
    :param keep: start poses kept per goal pose, out of sequence.
    """

    low: float = Field(0.80, ge=-1, le=1)
    high: float = Field(0.97, ge=-1, le=1)
    nearest: int = Field(100, ge=1)
    in_codes: int = Field(15, ge=0)
    out_codes: int = Field(20, ge=0)
    gap: float = Field(0.5, gt=0)
    keep: int = Field(3, ge=1)

    @model_validator(mode="after")
    def _window(self) -> PairOptions:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be less than high {self.high}, the window of similarity")
        return self


class Mined(NamedTuple):
    """A pair of rows; ``two_way`` pairs are followed by their reverse."""

    start: int
    goal: int
    in_sequence: bool
    two_way: bool


class _Candidates(NamedTuple):
    """All (goal, start) that pass every constraint but the choice, ordered by goal, most similar first."""

    goal: np.ndarray
    start: np.ndarray
    in_sequence: np.ndarray


def pose_features(joints: np.ndarray) -> np.ndarray:
    """Directions of the 21 bones, ``(N, 63)`` float32 of length 1; cosine = mean cosine of the bones' angles.

    :param joints: ``(N, 22, 3)`` SMPL-22 joints, any place, yaw and size.
    :raises PoseError: NaN, wrong shape, zero-length bones.
    """
    posed = remove_yaw(rescale(centre(check_joints(joints))))
    bones = posed[:, 1:] - posed[:, np.array(SMPL22_PARENTS[1:])]
    bones /= np.linalg.norm(bones, axis=2, keepdims=True)
    return (bones.reshape(len(joints), -1) / np.sqrt(bones.shape[1])).astype(np.float32)


def pose_codes(joints: np.ndarray) -> np.ndarray:
    """The 423 pose codes ``(N, 423)`` int8 without noise, so that equal poses never differ."""
    return all_codes(points_of(remove_yaw(rescale(centre(check_joints(joints)))))).T.copy()


def mine_pairs(
    joints: np.ndarray,
    sequence: Sequence[str] | np.ndarray | None = None,
    time: np.ndarray | None = None,
    seed: int = 0,
    options: PairOptions | None = None,
) -> list[Mined]:
    """Choose pairs within one pool of poses; deterministic for a seed.

    Each pose is at most once the start and once the goal of in-sequence pairs, and at most once the goal of
    out-of-sequence pairs. Goal poses take their turn in the order of the rows (put diverse poses first).

    :param joints: ``(N, 22, 3)`` SMPL-22 joints, metres, scene frame.
    :param sequence: N names of motions; None: every pose is a motion of its own, so all pairs are out-of-sequence.
    :param time: ``(N,)`` seconds within the motion; None: no in-sequence pairs.
    :return: in-sequence pairs, then out-of-sequence pairs.
    :raises PoseError: bad joints, or arrays of other lengths.
    """
    options, n = options or PairOptions(), len(joints)
    for what, values in (("sequence", sequence), ("time", time)):
        if values is not None and len(values) != n:
            raise PoseError(f"{what}: {len(values)} values for {n} poses")
    if n < 2:
        return []
    motion = np.arange(n) if sequence is None else np.unique(np.asarray(sequence), return_inverse=True)[1]
    seconds = np.full(n, np.nan) if time is None else np.asarray(time, float)
    chunks = [joints[i : i + CHUNK] for i in range(0, n, CHUNK)]
    features = np.concatenate([pose_features(c) for c in chunks])
    codes = np.concatenate([pose_codes(c) for c in chunks])
    candidates = _candidates(features, codes, motion, seconds, options)
    return _in_sequence(candidates, seconds) + _out_of_sequence(candidates, n, options, np.random.default_rng(seed))


def widened(
    joints: np.ndarray, sequence: Sequence[str] | np.ndarray | None, time: np.ndarray | None, options: PairOptions
) -> Limit | None:
    """Which bound of the similarity window to move how far for a first pair; None when no window gives one.

    The arguments are those of ``mine_pairs``.
    """
    every = mine_pairs(joints, sequence, time, 0, options.model_copy(update={"low": -2.0, "high": 2.0}))
    if not every:
        return None
    features = pose_features(joints)
    similar = np.sum(features[[m.start for m in every]] * features[[m.goal for m in every]], axis=1)
    below, above = similar[similar <= options.low], similar[similar >= options.high]
    bounds = [Limit("--low", options.low, float(below.max()) - 0.01)] if len(below) else []
    bounds += [Limit("--high", options.high, float(above.min()) + 0.01)] if len(above) else []
    return min(bounds, key=lambda bound: abs(bound.enough - bound.now), default=None)


def _candidates(
    features: np.ndarray, codes: np.ndarray, motion: np.ndarray, seconds: np.ndarray, options: PairOptions
) -> _Candidates:
    n = len(features)
    k, step = min(options.nearest, n - 1), max(16, CELLS // n)
    parts = []
    for first in track(range(0, n, step), "mining pairs"):
        goals = np.arange(first, min(first + step, n))
        near, similarity = _nearest(features, goals, k)
        goal = np.repeat(goals, k).reshape(-1, k)
        window = (similarity > options.low) & (similarity < options.high)
        goal, start = goal[window], near[window]
        different = np.empty(len(goal), np.int16)
        for i in range(0, len(goal), CHUNK):
            part = slice(i, i + CHUNK)
            different[part] = (codes[goal[part]] != codes[start[part]]).sum(1)
        lag = seconds[goal] - seconds[start]
        same = motion[goal] == motion[start]
        inside = same & (lag > 0) & (lag < options.gap) & (different > options.in_codes)
        keep = inside | (~same & (different > options.out_codes))
        parts.append((goal[keep], start[keep], inside[keep]))
    return _Candidates(*(np.concatenate(p) for p in zip(*parts, strict=True)))


def _nearest(features: np.ndarray, goals: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar other poses of each goal, most similar first, ties by row: rows and similarities."""
    similarity = features[goals] @ features.T
    similarity[np.arange(len(goals)), goals] = -2.0
    near = np.argpartition(similarity, -k, axis=1)[:, -k:]
    near.sort(axis=1)
    values = np.round(np.take_along_axis(similarity, near, 1), 5)  # rounding: no dependence on the BLAS threads
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(near, order, 1), np.take_along_axis(values, order, 1)


def _in_sequence(candidates: _Candidates, seconds: np.ndarray) -> list[Mined]:
    """Per goal the start nearest in time, then per start the goal nearest in time."""
    goal, start = candidates.goal[candidates.in_sequence], candidates.start[candidates.in_sequence]
    lag = seconds[goal] - seconds[start]
    for key in (goal, start):
        order = np.lexsort((goal, start, lag, key))
        first = order[np.unique(key[order], return_index=True)[1]]
        chosen = np.zeros(len(goal), bool)
        chosen[first] = True
        lag = np.where(chosen, lag, np.inf)
    pairs = sorted((g, s) for g, s, ok in zip(goal.tolist(), start.tolist(), np.isfinite(lag), strict=True) if ok)
    return [Mined(s, g, True, False) for g, s in pairs]


def _out_of_sequence(candidates: _Candidates, n: int, options: PairOptions, rng: np.random.Generator) -> list[Mined]:
    """Keep the most similar starts of each goal and draw one, rarely kept ones first; two-way where both still wait."""
    choices: dict[int, list[int]] = {}
    for goal, start in zip(
        candidates.goal[~candidates.in_sequence].tolist(),
        candidates.start[~candidates.in_sequence].tolist(),
        strict=True,
    ):
        kept = choices.setdefault(goal, [])
        if len(kept) < options.keep:
            kept.append(start)
    uses = np.bincount([s for kept in choices.values() for s in kept], minlength=n) if choices else np.zeros(n)
    waiting = dict.fromkeys(sorted(choices))
    result = []
    while waiting:
        goal = next(iter(waiting))
        del waiting[goal]
        both = [s for s in choices[goal] if s in waiting]
        options_here = both or choices[goal]
        weights = 1.0 / uses[options_here]
        start = options_here[int(rng.choice(len(options_here), p=weights / weights.sum()))]
        result.append(Mined(start, goal, False, bool(both)))
        if both:
            result.append(Mined(goal, start, False, True))
            del waiting[start]
    return result


def pair_corpus(root: Path, *, seed: int = 0, options: PairOptions | None = None, replace_pairs: bool = False) -> Tally:
    """Write ``captions/SPLIT.json`` of a corpus that has pictures and poses but no pairs yet.

    Poses are mined within each split. The columns ``sequence`` and ``time`` (seconds) of poses.npz are used when there.
    Pairs of val and test get candidate groups of the nearest poses.

    :param replace_pairs: allow a split that has pairs already to lose them.
    :return: poses in and out: kept = goal of some pair.
    :raises CorpusError: no split, or a split has pairs; NothingLeftError: no pair is found; PoseError: no poses.npz.
    """
    root = Path(root)
    poses = PoseTable.load(root / "poses.npz")
    splits = [s for s in Split if (root / "image_splits" / f"{s}.json").exists()]
    if not splits:
        raise CorpusError(f"{root}/image_splits: no train.json, val.json or test.json, the names of the pictures")
    filled = [s for s in splits if (root / "captions" / f"{s}.json").exists() and load_corpus(root, [s]).pairs[s]]
    if filled and not replace_pairs:
        raise CorpusError(f"{root}/captions/{filled[0]}.json: already has pairs; use --replace to drop them")
    tally, pairs_of = Tally("poses"), {}
    for split in splits:
        names = read_json(root / "image_splits" / f"{split}.json")
        pairs_of[split] = _split_pairs(names, poses, seed, options or PairOptions(), tally)
    if not any(pairs_of.values()):
        raise nothing_left(root, [tally])
    for split, pairs in pairs_of.items():
        if split != Split.TRAIN:
            pairs = nearest_groups(pairs, poses)
        write_json(root / "captions" / f"{split}.json", [pair_to_json(p) for p in pairs])
        inside = sum(p.extra["sequence_relation"] == "in" for p in pairs)
        say(f"{split}: {len(pairs)} pairs, {inside} of them within one sequence")
    return tally


def _split_pairs(names: list[str], poses: PoseTable, seed: int, options: PairOptions, tally: Tally) -> list[Pair]:
    index, wrong = poses.index(), faults(poses.joints)
    rows = []
    for name in names:
        row = index.get(name)
        reason = "no 3D pose" if row is None else wrong[row]
        if row is None or reason:
            tally.drop(reason, name)
        else:
            rows.append(row)
    columns = {key: poses.columns[key][rows] if key in poses.columns else None for key in ("sequence", "time")}
    mined = mine_pairs(poses.joints[rows], columns["sequence"], columns["time"], seed, options)
    goals = {m.goal for m in mined}
    tally.keep(len(goals))
    if len(goals) < len(rows):
        limit = None if goals else widened(poses.joints[rows], columns["sequence"], columns["time"], options)
        tally.drop("no reference pose within the constraints", n=len(rows) - len(goals), limit=limit)
    return [
        Pair(
            poses.names[rows[m.start]],
            poses.names[rows[m.goal]],
            extra={"sequence_relation": "in" if m.in_sequence else "out"},
        )
        for m in mined
    ]
