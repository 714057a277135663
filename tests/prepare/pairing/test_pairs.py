"""Pair mining against the obvious version, its constraints, and its command."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from autocompose.bodies.kinematics import forward
from autocompose.bodies.skeleton import turn
from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.errors import ConfigError, CorpusError, NothingLeftError, PoseError
from autocompose.core.files import write_json
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import load_corpus
from autocompose.corpus.poses import PoseTable
from autocompose.prepare.pairing import pairs as mining
from autocompose.prepare.pairing.pairs import PairOptions, mine_pairs, pair_corpus, pose_codes, pose_features
from tests.fixtures.people import people, rotations


def motions(count: int, frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smooth random motions: joints, motion names, seconds (10 frames per second)."""
    ends = rotations(2 * count, seed).reshape(count, 2, 22, 3)
    share = np.linspace(0, 1, frames)[None, :, None, None]
    turned = ends[:, :1] * (1 - share) + ends[:, 1:] * share
    joints = forward(turned.reshape(-1, 22, 3))[0]
    return joints, np.repeat([f"m{i}" for i in range(count)], frames), np.tile(np.arange(frames) / 10, count)


def allowed(
    joints: np.ndarray, sequence: np.ndarray, time: np.ndarray, o: PairOptions
) -> dict[str, set[tuple[int, int]]]:
    """All (start, goal) that satisfy every constraint but the choice, pair by pair."""
    features, codes = pose_features(joints), pose_codes(joints)
    similar = np.round(features @ features.T, 5)
    np.fill_diagonal(similar, -2)
    result: dict[str, set[tuple[int, int]]] = {"in": set(), "out": set()}
    for goal in range(len(joints)):
        near = np.argsort(-similar[goal], kind="stable")[: o.nearest]
        for start in near.tolist():
            different = (codes[goal] != codes[start]).sum()
            if not o.low < similar[goal, start] < o.high:
                continue
            lag = time[goal] - time[start]
            if sequence[goal] == sequence[start]:
                if 0 < lag < o.gap and different > o.in_codes:
                    result["in"].add((start, goal))
            elif different > o.out_codes:
                result["out"].add((start, goal))
    return result


def test_constraints_and_choices() -> None:
    joints, sequence, time = motions(30, 12)
    options = PairOptions(low=0.6, high=0.99, nearest=40)
    found = mine_pairs(joints, sequence, time, 3, options)
    possible = allowed(joints, sequence, time, options)
    inside = [m for m in found if m.in_sequence]
    outside = [m for m in found if not m.in_sequence]
    assert len(inside) > 20 and len(outside) > 50
    assert {(m.start, m.goal) for m in inside} <= possible["in"]
    one_way = {(m.start, m.goal) for m in outside}
    assert all(p in possible["out"] or p[::-1] in possible["out"] for p in one_way)
    for name in ("start", "goal"):
        assert max(Counter(getattr(m, name) for m in inside).values()) == 1
    assert max(Counter(m.goal for m in outside).values()) == 1
    assert all((m.goal, m.start) in one_way for m in outside if m.two_way)
    goals = {g for _, g in possible["out"]}
    assert {m.goal for m in outside} >= goals  # every goal with a candidate gets a pair
    nearest = {g: min(time[g] - time[s] for s, h in possible["in"] if h == g) for _, g in possible["in"]}
    assert all(time[m.goal] - time[m.start] == pytest.approx(nearest[m.goal]) for m in inside)


def test_only_the_most_similar_starts_are_drawn() -> None:
    joints = people(200, seed=4)
    options = PairOptions(low=0.2, high=0.999, keep=2)
    similar = np.round(pose_features(joints) @ pose_features(joints).T, 5)
    possible = allowed(joints, np.arange(200), np.zeros(200), options)["out"]
    for m in mine_pairs(joints, options=options, seed=1):
        best = sorted((-similar[g, s], s) for s, g in possible if g == m.goal)[:2]
        back = sorted((-similar[g, s], s) for s, g in possible if g == m.start)[:2]
        assert m.start in [s for _, s in best] or (m.two_way and m.goal in [s for _, s in back])


def test_blocks_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    joints, sequence, time = motions(20, 10, seed=7)
    options = PairOptions(low=0.6, high=0.99)
    whole = mine_pairs(joints, sequence, time, 0, options)
    monkeypatch.setattr(mining, "CELLS", 16)
    monkeypatch.setattr(mining, "CHUNK", 37)
    assert mine_pairs(joints, sequence, time, 0, options) == whole
    assert mine_pairs(joints, sequence, time, 1, options) != whole


def test_features_do_not_depend_on_place_yaw_and_size() -> None:
    joints = people(6)
    assert np.allclose(pose_features(joints), pose_features(turn(joints, 50) * 0.7 + 2), atol=1e-6)
    assert np.allclose(np.linalg.norm(pose_features(joints), axis=1), 1)
    assert np.array_equal(pose_codes(joints), pose_codes(turn(joints, 50) * 0.7 + 2))


def test_small_pools_and_bad_input() -> None:
    joints = people(5)
    assert mine_pairs(joints[:1]) == []
    assert mine_pairs(np.tile(joints[:1], (4, 1, 1))) == []  # equal poses are no pairs
    with pytest.raises(PoseError, match="sequence: 3 values for 5 poses"):
        mine_pairs(joints, ["a", "b", "c"])
    joints[1] = np.nan
    with pytest.raises(PoseError, match=r"joints\[1\]: NaN"):
        mine_pairs(joints)


def pool(root: Path, count: int = 150) -> None:
    joints = people(count, seed=8).astype(np.float32)
    joints[3] = np.nan
    names = [f"{i}.png" for i in range(count)]
    PoseTable(tuple(names), joints, np.zeros(count, np.float32)).save(root / "poses.npz")
    write_json(root / "image_splits" / "train.json", [*names[:100], "lost.png"])
    write_json(root / "image_splits" / "test.json", names[100:])


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_verbs()
    pool(tmp_path)
    assert run(["pairs", str(tmp_path), "--low", "0.3", "--high", "0.99"]) == 0
    corpus = load_corpus(tmp_path)
    train, test = set(corpus.galleries[Split.TRAIN]), set(corpus.galleries[Split.TEST])
    assert corpus.pairs[Split.TRAIN] and corpus.pairs[Split.TEST]
    assert all(p.reference in train and p.target in train for p in corpus.pairs[Split.TRAIN])
    assert all(p.reference in test and set(p.img_set) <= test for p in corpus.pairs[Split.TEST])
    assert {len(p.img_set) for p in corpus.pairs[Split.TEST]} == {10}
    assert corpus.pairs[Split.TRAIN][0].extra == {"sequence_relation": "out"}
    assert "1: no 3D pose" in capsys.readouterr().err.replace("\n", " ")


def test_existing_pairs_are_not_lost(tmp_path: Path) -> None:
    pool(tmp_path)
    write_json(tmp_path / "captions" / "train.json", [{"reference": "1.png", "target": "2.png", "sents": ["x"]}])
    before = json.loads((tmp_path / "captions" / "train.json").read_text())
    with pytest.raises(CorpusError, match="already has pairs; use --replace"):
        pair_corpus(tmp_path)
    assert json.loads((tmp_path / "captions" / "train.json").read_text()) == before
    pair_corpus(tmp_path, replace_pairs=True)
    assert Pair("1.png", "2.png", (), {"sents": ("x",)}) not in load_corpus(tmp_path).pairs[Split.TRAIN]
    (tmp_path / "poses.npz").unlink()
    with pytest.raises(PoseError, match=r"poses.npz: file not found"):
        pair_corpus(tmp_path, replace_pairs=True)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^settings: low 0\.99 must be less than high 0\.5, the window"):
        PairOptions.parse({"low": 0.99, "high": 0.5})


def test_a_window_without_pairs_costs_no_pairs(tmp_path: Path) -> None:
    pool(tmp_path)
    pair_corpus(tmp_path, options=PairOptions(low=0.3, high=0.99))
    before = {p.name: p.read_text() for p in (tmp_path / "captions").iterdir()}
    with pytest.raises(NothingLeftError, match=r"151 in, 0 kept.*; --low 0\.\d+ instead of 0\.99999 keeps the first"):
        pair_corpus(tmp_path, options=PairOptions(low=0.99999, high=1), replace_pairs=True)
    assert {p.name: p.read_text() for p in (tmp_path / "captions").iterdir()} == before


def test_a_corpus_without_splits_is_refused(tmp_path: Path) -> None:
    pool(tmp_path)
    for path in (tmp_path / "image_splits").iterdir():
        path.unlink()
    with pytest.raises(CorpusError, match=r"image_splits: no train.json"):
        pair_corpus(tmp_path)
