"""Re-ranking over HTTP: a process that is killed, faults of the transport, and the verbs evaluate and compare."""

from __future__ import annotations

import json
import multiprocessing
import time
from pathlib import Path

import pytest

from autocompose.cli import learn as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.evaluate.questions import evaluate_model
from autocompose.evaluate.results import read_ranks
from autocompose.model.checkpoint import save_model
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.encoder import Encoder
from autocompose.model.model import Model
from autocompose.model.small import SmallSizes, small_config
from autocompose.rerank.evaluation import rerank_evaluation
from autocompose.rerank.settings import Reranker
from tests.rerank.fakes import answers, figures, reranker, write_wanted
from tests.simulator.process import simulator

pytestmark = pytest.mark.slow
TINY = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=16, text_width=32, text_layers=1, text_heads=4)
SLOTS = 4
FAULTS = {"500": 0.05, "429": 0.02, "cut": 0.05}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """60 queries over 40 figures."""
    return figures(tmp_path / "corpus", texts=3)


def _in_another_process(corpus: Corpus, model: Reranker) -> None:
    rerank_evaluation(answers(corpus), corpus, model)


def test_killed_it_continues_and_asks_nothing_twice(corpus: Corpus) -> None:
    with simulator(write_wanted(corpus), "chooser", latency=0.1, faults=FAULTS) as server:
        model = reranker(Limits(slots=SLOTS, backoff=0.05), Endpoint(base_url=server.url))
        process = multiprocessing.get_context("fork").Process(target=_in_another_process, args=(corpus, model))
        process.start()
        while server.stats()["answered"] < 15:
            assert process.is_alive()
            time.sleep(0.02)
        process.kill()
        process.join()
        begun = server.stats()["answered"]
        assert begun < 50
        ranked = rerank_evaluation(answers(corpus), corpus, model)
        assert ranked.reranking["unchanged"] == {}
        assert 61 <= server.stats()["answered"] <= 61 + SLOTS  # the probe; what was in flight may be asked again
        before = server.stats()["received"]
        rerank_evaluation(answers(corpus), corpus, model)
        assert server.stats()["received"] == before
    plain = answers(corpus).ranks.gallery
    assert ((ranked.ranks.gallery == 0) == (plain < 10)).all()


def test_evaluate_and_compare(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, plain, out = (str(tmp_path / name) for name in ("run", "plain", "out"))
    save_model(tmp_path / "run", Model(Encoder(small_config(TINY), seed=3), ElementwiseSum()))
    with simulator(write_wanted(corpus), "chooser") as server:
        options = ["--rerank", "mllm", "--rerank-model", "sim", "--rerank-url", server.url, "--top", "5"]
        assert run(["evaluate", model, str(corpus.root), "--out", out, *options]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["rerank"]["reranked"] == 60
    assert metrics["rerank"]["top"] == 5
    assert run(["evaluate", model, str(corpus.root), "--out", plain]) == 0
    before = evaluate_model(tmp_path / "run", corpus).ranks.gallery
    after = read_ranks(tmp_path / "out")[2].gallery
    assert ((after == 0) == (before < 5)).all()
    assert (after[before >= 5] == before[before >= 5]).all()
    capsys.readouterr()
    assert run(["compare", plain, out]) == 0
    assert any(line.startswith("recall_at1 ") and "+" in line for line in capsys.readouterr().out.splitlines())
