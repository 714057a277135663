"""`evaluate --rerank` as a process against the simulated re-ranker over HTTP: kill -9, and faults of the transport."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autocompose.evaluate.questions import evaluate_model
from autocompose.evaluate.results import read_ranks
from autocompose.model.checkpoint import save_model
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.encoder import Encoder
from autocompose.model.model import Model
from autocompose.model.small import SmallSizes, small_config
from tests.rerank.fakes import figures, write_wanted
from tests.simulator.process import Simulator, simulator

pytestmark = pytest.mark.slow
TINY = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=16, text_width=32, text_layers=1, text_heads=4)
SLOTS = 4


def command(run: Path, corpus: Path, model: Simulator, out: Path) -> list[str]:
    options = ["--rerank", "mllm", "--rerank-model", "sim", "--rerank-url", model.url, "--slots", str(SLOTS)]
    return [sys.executable, "-m", "autocompose", "evaluate", str(run), str(corpus), *options, "--out", str(out)]


def test_killed_it_continues_and_asks_nothing_twice(tmp_path: Path) -> None:
    corpus = figures(tmp_path / "corpus", texts=3)
    wanted = write_wanted(corpus)
    save_model(tmp_path / "run", Model(Encoder(small_config(TINY), seed=3), ElementwiseSum()))
    faults = {"500": 0.05, "429": 0.02, "cut": 0.05}
    with simulator(wanted, "chooser", latency=0.15, faults=faults) as model:
        started = command(tmp_path / "run", corpus.root, model, tmp_path / "out")
        process = subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while model.stats()["answered"] < 15:
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "out" / "metrics.json").exists()
        done = subprocess.run(started, capture_output=True, text=True, check=True)
        metrics = json.loads(done.stdout)
        assert metrics["rerank"]["unchanged"] == {}
        assert metrics["rerank"]["reranked"] == 60
        assert 61 <= model.stats()["answered"] <= 61 + SLOTS  # the probe; what was in flight may be asked again
    plain = evaluate_model(tmp_path / "run", corpus).ranks.gallery
    ranked = read_ranks(tmp_path / "out")[2].gallery
    assert ((ranked == 0) == (plain < 10)).all()
    assert (ranked[plain >= 10] == plain[plain >= 10]).all()
