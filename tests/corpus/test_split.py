from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import CorpusError
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.poses import PoseTable
from autocompose.corpus.split import carve_val, components_of
from autocompose.corpus.validate import validate
from tests.fixtures.corpora import make_corpus


def slow_components(labels: list[set[int]]) -> list[int]:
    """Grow each component from its first item until nothing changes."""
    result = [-1] * len(labels)
    for i in range(len(labels)):
        if result[i] < 0:
            members, found = {i}, set(labels[i])
            while True:
                more = {k for k, ls in enumerate(labels) if k in members or ls & found}
                if more == members:
                    break
                members, found = more, set().union(*(labels[k] for k in more))
            for k in members:
                result[k] = i
    return result


@given(st.lists(st.sets(st.integers(0, 12), max_size=3), max_size=14))
def test_components_equal_the_slow_way(labels: list[set[int]]) -> None:
    assert components_of(labels) == slow_components(labels)


def test_val_keeps_groups_whole_and_validates(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, train=10)
    carved = carve_val(corpus, 0.2, seed=1)
    assert len(carved.pairs[Split.VAL]) == 24  # two groups of 12 pairs of the 120
    assert len(carved.pairs[Split.TRAIN]) + 24 == len(corpus.pairs[Split.TRAIN])
    assert not [fault for check in validate(carved) for fault in check.faults]
    assert carved.pairs[Split.TEST] == corpus.pairs[Split.TEST]


def test_the_seed_decides(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, train=12)
    splits = [carve_val(corpus, 0.25, seed).galleries[Split.VAL] for seed in (0, 0, 1, 2)]
    assert splits[0] == splits[1]
    assert len(set(splits)) > 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_leaks(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 30))
    sequences = data.draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    names = tuple(f"{i}.png" for i in range(n))
    ends = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] != e[1])
    pairs = tuple(Pair(names[a], names[b]) for a, b in data.draw(st.lists(ends, min_size=1, max_size=20)))
    poses = PoseTable(names, np.zeros((n, 22, 3)), np.zeros(n), {"sequence": np.array(sequences)})
    corpus = Corpus(Path("x"), {Split.TRAIN: pairs}, {Split.TRAIN: names}, poses)
    try:
        carved = carve_val(corpus, data.draw(st.sampled_from([0.1, 0.3, 0.5])), data.draw(st.integers(0, 5)))
    except CorpusError:
        return
    ends_of = {s: {x for p in ps for x in (p.reference, p.target)} for s, ps in carved.pairs.items()}
    for a, b in ((Split.TRAIN, Split.VAL), (Split.VAL, Split.TRAIN)):
        assert ends_of[a] <= set(carved.galleries[a])
        assert not {sequences[names.index(x)] for x in carved.galleries[a]} & {
            sequences[names.index(x)] for x in carved.galleries[b]
        }
    assert carved.pairs[Split.VAL] and carved.pairs[Split.TRAIN]
    assert sorted(map(repr, carved.pairs[Split.VAL] + carved.pairs[Split.TRAIN])) == sorted(map(repr, pairs))


def test_what_cannot_be_divided_is_refused(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, train=1)
    with pytest.raises(CorpusError, match="cannot be divided"):
        carve_val(corpus)
    carved = carve_val(make_corpus(tmp_path / "b", train=4))
    with pytest.raises(CorpusError, match="a val split already exists"):
        carve_val(carved)
    with pytest.raises(CorpusError, match=r"share = 0\.9"):
        carve_val(corpus, 0.9)


def test_the_command_writes_the_split(tmp_path: Path) -> None:
    make_corpus(tmp_path, train=4)
    assert run(["split", str(tmp_path), "--share", "0.25", "--seed", "3"]) == 0
    assert len(load_corpus(tmp_path).pairs[Split.VAL]) == 12
    assert run(["split", str(tmp_path)]) == 2
