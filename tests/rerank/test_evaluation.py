"""Re-ranked evaluations against the simulated re-ranker: gains that can be calculated, and faults."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import AnnotationError, ConfigError
from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.asks import Answer, Ask, Fault, FaultKind
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.evaluate.metrics import compare, rank_scores
from autocompose.evaluate.results import read_ranks, write_evaluation
from autocompose.rerank.evaluation import Reranked, rerank_evaluation
from autocompose.rerank.settings import JOURNAL
from tests.rerank.fakes import Fake, answers, chooser, figures, reranker

REMOTE = Endpoint(base_url="https://models.example/v1", key_env="SIM_KEY")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """60 queries over 40 figures."""
    return figures(tmp_path_factory.mktemp("figures"), texts=3)


@pytest.fixture
def corpus(made: Corpus, tmp_path: Path) -> Corpus:
    """The same, with a journal of its own."""
    shutil.copytree(made.root, tmp_path / "corpus", ignore=shutil.ignore_patterns("*.sqlite*"))
    return replace(made, root=tmp_path / "corpus")


@pytest.mark.parametrize("wrong", [0.0, 0.4])
def test_the_measured_gain_is_the_calculated_one(tmp_path: Path, wrong: float) -> None:
    corpus = figures(tmp_path, texts=8)  # 160 queries
    plain = answers(corpus)
    simulated = chooser(corpus, wrong=wrong)
    ranked = rerank_evaluation(plain, corpus, reranker(top=10), send=Fake(simulated))
    shown = plain.ranks.gallery < 10
    assert shown.sum() > 20
    expected = shown * (1 - wrong + wrong / 10)  # named rightly, or drawn at random among ten
    spread = np.sqrt((expected * (1 - expected)).sum())
    found = (ranked.ranks.gallery == 0).sum()
    assert abs(found - expected.sum()) <= 2.6 * spread  # 99 %; with wrong = 0 exactly
    low, high = compare(plain.ranks, ranked.ranks, plain.clusters)["recall_at1"].ci95
    calculated = 100 * (expected - (plain.ranks.gallery == 0)).mean()
    assert low <= calculated <= high
    assert ((ranked.ranks.gallery < 10) == shown).all()
    assert (ranked.ranks.gallery[~shown] == plain.ranks.gallery[~shown]).all()
    assert ranked.reranking["reranked"] == len(plain.queries)


def test_candidates_are_shown_in_every_order(corpus: Corpus) -> None:
    """Else a model that always names the first picture would seem to be a good one."""
    simulated = chooser(corpus)
    plain = answers(corpus)
    rerank_evaluation(plain, corpus, reranker(top=10), send=Fake(simulated))
    assert len(simulated.places) > 5
    assert max(simulated.places.values()) < 0.4 * sum(simulated.places.values())


def test_one_candidate_at_a_time(corpus: Corpus) -> None:
    plain, simulated = answers(corpus), chooser(corpus)
    ranked = rerank_evaluation(plain, corpus, reranker(top=4, way="single"), send=Fake(simulated))
    shown = plain.ranks.gallery < 4
    assert (ranked.ranks.gallery[shown] == 0).all()
    pairs = {(query.reference, row) for query, rows in zip(plain.queries, plain.top(4)[0], strict=True) for row in rows}
    assert len(pairs) < simulated.counts["singles"] <= 4 * len(plain.queries)


def test_ranks_are_those_of_the_order_that_is_shown(corpus: Corpus) -> None:
    """The slow version: a score for every picture in the order of ``top``."""
    plain = answers(corpus)
    ranked = rerank_evaluation(plain, corpus, reranker(top=6), send=Fake(chooser(corpus, wrong=0.5)))
    rows, scores = ranked.top(len(plain.names))
    assert (np.diff(scores, axis=1) <= 0).all()
    places = np.zeros((len(rows), len(plain.names)))
    np.put_along_axis(places, rows, -np.arange(rows.shape[1], dtype=float), 1)
    slow = rank_scores(places, plain.rows)
    assert slow.group is not None
    np.testing.assert_array_equal(slow.gallery, ranked.ranks.gallery)
    np.testing.assert_array_equal(slow.group, ranked.ranks.group)
    np.testing.assert_array_equal(ranked.top(3)[0], rows[:, :3])


def test_what_is_not_answered_changes_nothing_and_is_counted(corpus: Corpus) -> None:
    plain = answers(corpus)
    simulated = chooser(corpus, refuse=0.2, none=0.2, bad_json=0.3)
    ranked = rerank_evaluation(plain, corpus, reranker(), send=Fake(simulated))
    unchanged = ranked.reranking["unchanged"]
    assert unchanged["none fits"] > 3
    assert unchanged["refused"] > 3
    assert ranked.reranking["reranked"] + sum(unchanged.values()) == len(plain.queries)
    same = (ranked.first == plain.top(10)[0]).all(1)
    assert same.sum() >= sum(unchanged.values())
    assert simulated.counts["bad"] > 3  # and most of them were asked again with success
    assert unchanged.get("schema", 0) < simulated.counts["bad"] / 2


def test_only_refusals_leave_the_evaluation_as_it_was(corpus: Corpus) -> None:
    plain = answers(corpus)
    ranked = rerank_evaluation(plain, corpus, reranker(), send=Fake(chooser(corpus, refuse=1)))
    np.testing.assert_array_equal(ranked.ranks.gallery, plain.ranks.gallery)
    np.testing.assert_array_equal(ranked.ranks.group, plain.ranks.group)


def test_nothing_is_asked_twice(corpus: Corpus) -> None:
    plain, first = answers(corpus), Fake(chooser(corpus))
    ranked = rerank_evaluation(plain, corpus, reranker(), send=first)
    again = rerank_evaluation(plain, corpus, reranker(), send=(second := Fake(chooser(corpus, wrong=1))))
    assert not second.asks
    np.testing.assert_array_equal(ranked.first, again.first)
    assert len({ask.key for ask in first.questions}) == len(first.questions) == len(plain.queries)


def test_a_budget_ends_the_run_and_more_of_it_finishes_it(corpus: Corpus) -> None:
    plain, fake = answers(corpus), Fake(chooser(corpus))
    with pytest.raises(AnnotationError, match=r"budget is reached, \d+ of 60 queries are left; the same command"):
        rerank_evaluation(plain, corpus, reranker(Limits(slots=4, max_tokens=30_000)), send=fake)
    asked = len(fake.questions)
    assert 5 < asked < 50
    journal = Journal(corpus.root / JOURNAL)
    assert journal.spent()[1] <= 30_000
    journal.close()
    rerank_evaluation(plain, corpus, reranker(), send=fake)
    assert len(fake.questions) == 60


def test_a_cost_limit_needs_a_price() -> None:
    with pytest.raises(ConfigError, match="the price of who-knows is unknown"):
        reranker(Limits(max_cost=1), REMOTE, model="who-knows")


def test_a_server_that_goes_away_ends_the_run_in_one_line(corpus: Corpus) -> None:
    def gone(ask: Ask, number: int) -> Answer | None:
        raise Fault(FaultKind.WAIT, "unreachable", "nothing listens at 127.0.0.1:9")

    with pytest.raises(AnnotationError, match="the server has gone away, 60 of 60 queries are left"):
        limits = Limits(slots=4, reconnect=0.1)
        rerank_evaluation(answers(corpus), corpus, reranker(limits), send=Fake(before=gone))


def test_transport_faults_are_tried_again(corpus: Corpus) -> None:
    failed: set[str] = set()

    def flaky(ask: Ask, number: int) -> Answer | None:
        if number % 3 == 0 and ask.key not in failed:
            failed.add(ask.key)
            raise Fault(FaultKind.RETRY, "transport", "cut")
        return None

    ranked = rerank_evaluation(answers(corpus), corpus, reranker(), send=Fake(chooser(corpus), flaky))
    assert ranked.reranking["reranked"] == 60
    assert len(failed) > 3


def test_pictures_leave_the_machine_only_with_consent(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIM_KEY", "secret")
    plain, fake = answers(corpus), Fake(chooser(corpus))
    model = reranker(endpoint=REMOTE)
    with pytest.raises(ConfigError, match=r"40 pictures would be sent to models.example \(sim, 60 requests, .*--yes"):
        rerank_evaluation(plain, corpus, model, send=fake)
    assert not fake.asks
    rerank_evaluation(plain, corpus, model, yes=True, send=fake)
    rerank_evaluation(plain, corpus, model, send=fake)  # the consent is remembered


def test_a_picture_that_is_gone_leaves_its_queries_as_they_were(corpus: Corpus) -> None:
    plain = answers(corpus)
    (corpus.root / "images" / plain.names[3]).write_bytes(b"no picture")
    ranked = rerank_evaluation(plain, corpus, reranker(), send=Fake(chooser(corpus)))
    touched = (plain.top(10)[0] == 3).any(1) | (plain.rows.reference == 3)
    assert ranked.reranking["unchanged"]["picture"] == touched.sum()
    np.testing.assert_array_equal(ranked.first[touched], plain.top(10)[0][touched])


def test_limbs_are_tinted_where_keypoints_are_known(corpus: Corpus) -> None:
    fake = Fake(chooser(corpus))
    rerank_evaluation(answers(corpus), corpus, reranker(), send=fake)
    assert all("Limbs are tinted" in ask.text for ask in fake.questions)
    assert corpus.poses is not None
    bare = replace(corpus, poses=replace(corpus.poses, columns={}))
    plain = Fake(chooser(corpus))
    rerank_evaluation(answers(corpus), bare, reranker(seed=1), send=plain)
    assert not any("Limbs are tinted" in ask.text for ask in plain.questions)


def test_files_say_who_re_ranked(corpus: Corpus, tmp_path: Path) -> None:
    ranked: Reranked = rerank_evaluation(answers(corpus), corpus, reranker(), send=Fake(chooser(corpus)))
    write_evaluation(tmp_path / "out", ranked)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["rerank"]["model"] == "sim"
    assert len(metrics["rerank"]["prompts"]) == 16
    assert metrics["rerank"]["reranked"] == 60
    np.testing.assert_array_equal(read_ranks(tmp_path / "out")[2].gallery, ranked.ranks.gallery)
