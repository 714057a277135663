from collections import Counter

import pytest

from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus
from autocompose.demo.presets import DemoSettings
from autocompose.demo.wordings import rule_options, statistics, thin


def corpus(tmp_path):
    train = tuple(Pair(f"{c}-{i}", f"{c}-{i + 1}", extra={"cube": c}) for c in range(16) for i in range(48))
    return Corpus(tmp_path, {Split.TRAIN: train, Split.TEST: train[:3]}, {})


def test_thinning_keeps_as_many_pairs_of_every_cube(tmp_path):
    full = corpus(tmp_path)
    thinned = thin(full, 7, seed=3)
    assert set(Counter(p.extra["cube"] for p in thinned.split(Split.TRAIN)).values()) == {7}
    assert thinned.split(Split.TRAIN) == thin(full, 7, 3).split(Split.TRAIN)
    assert thinned.split(Split.TRAIN) != thin(full, 7, 4).split(Split.TRAIN)
    assert thinned.split(Split.TEST) == full.split(Split.TEST)


def test_statistics_count_words_and_runs_that_training_has_not(tmp_path):
    train = Pair("a", "b", texts={"auto": ("Raise your left arm a lot now.",)})
    test = Pair("c", "d", texts={"auto": ("Raise your left arm a bit.",), "sents": ("Lift it up high at once.",)})
    found = statistics(Corpus(tmp_path, {Split.TRAIN: (train,), Split.TEST: (test,)}, {}))
    assert found["auto"]["unseen_words"] == pytest.approx(100 / 6)  # bit
    assert found["auto"]["shared_5_grams"] == 50.0  # "raise your left arm a" of two
    assert found["sents"]["unseen_words"] == 100.0
    assert found["sents"]["mean_words"] == 6


def test_presets_take_one_seed_everywhere():
    for name in ("demo", "quick"):
        settings = DemoSettings.preset_file(name, seed=5)
        assert {settings.combiner.loop.seed, settings.finetune.loop.seed, settings.finetune.compose.seed} == {5}
        assert {settings.combiner.loop.seed, settings.combiner.compose.seed} == {5}
        assert rule_options(settings).absolute == "none"
