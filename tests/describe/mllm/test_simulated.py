"""The engine as a process against the simulated annotator over HTTP: kills, accounting, occupancy, memory, audit."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autocompose.core.records import Split
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.describe.mllm.report import report
from autocompose.describe.mllm.run import annotate
from autocompose.describe.mllm.settings import Endpoint, Limits
from tests.describe.mllm.fakes import job
from tests.simulator.figures import figure_corpus
from tests.simulator.process import Simulator, simulator

SLOTS = 32
FIELDS = ("mllm", "reverse", "mirror", "mirror-reverse")
VERB = [sys.executable, "-c", "from autocompose.cli import main; main()", "describe"]


@contextmanager
def engine(root: Path, url: str, *options: str) -> Iterator[subprocess.Popen]:
    command = [
        *VERB, "mllm", str(root), "--model", "sim", "--base-url", url, "--slots", str(SLOTS), "--deadline", "5",
        "--size", "256", "--frame", "colour", *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def memory(pid: int) -> float:
    """Resident megabytes."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def wait_for(sim: Simulator, received: int, process: subprocess.Popen, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while sim.stats()["received"] < received and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)


def query(root: Path, sql: str) -> list[Any]:
    db = sqlite3.connect(root / "annotation.sqlite")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


@pytest.mark.slow
def test_a_thousand_pairs_through_three_kills(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    pairs = figure_corpus(root, 1000).pairs[Split.TRAIN]
    rng = random.Random(0)
    errors = {"swap": 0.05, "bad_json": 0.02, "refuse": 0.02}
    faults = {"500": 0.01, "429": 0.002, "cut": 0.005}
    with simulator(root / "poses.npz", latency=0.05, errors=errors, faults=faults) as sim:
        for _ in range(3):
            with engine(root, sim.url) as process:
                wait_for(sim, sim.stats()["received"] + rng.randrange(200, 1500), process)
                process.send_signal(signal.SIGKILL)
        sizes: list[float] = []
        with engine(root, sim.url) as process:
            while process.poll() is None:
                sizes.append(memory(process.pid))
                time.sleep(0.5)
            assert process.returncode == 0, process.stderr.read()  # type: ignore[union-attr]
        stats = sim.stats()

    items = query(root, "SELECT state, kind, COUNT(*) FROM items GROUP BY 1, 2")
    assert sum(n for _, _, n in items) == 4 * len(pairs) and {state for state, _, _ in items} <= {"done", "failed"}
    done = sum(n for state, kind, n in items if state == "done" and not kind)
    failed = {kind: n for state, kind, n in items if state == "failed"}
    assert failed.get("refused", 0) > 0 and done >= 0.95 * 4 * len(pairs)
    texts = [len(json.loads(t)) for (t,) in query(root, "SELECT texts FROM items WHERE state = 'done' AND kind = ''")]
    assert set(texts) == {3}

    attempts = dict(query(root, "SELECT kind, COUNT(*) FROM attempts GROUP BY 1"))
    doubled = query(root, "SELECT key FROM attempts WHERE kind = 'ok' GROUP BY key HAVING COUNT(*) > 1")
    lost = stats["received"] - sum(attempts.values())
    assert doubled == []
    assert 0 <= lost <= 3 * SLOTS
    assert stats["most_in_flight"] <= 2 * SLOTS  # a killed run's last requests may still be running
    asked = query(root, "SELECT COUNT(*) FROM asks WHERE state = 'answered'")[0][0]
    assert attempts["ok"] == asked + 1  # the probe

    subprocess.run([*VERB, "export", str(root), "--min-agreement", "0"], check=True, capture_output=True)
    written = load_corpus(root).pairs[Split.TRAIN]
    assert sum(len(p.texts[f]) == 3 for p in written for f in FIELDS if f in p.texts) == done
    early, late = (max(sizes[len(sizes) * k // 4 : len(sizes) * (k + 1) // 4]) for k in (1, 3))
    assert late < 1.05 * early


@pytest.mark.slow
def test_slots_stay_busy(tmp_path: Path) -> None:
    if os.getloadavg()[0] > (os.cpu_count() or 1) + 2:
        pytest.skip(f"the machine is too busy to measure (load {os.getloadavg()[0]:.1f})")
    root = tmp_path / "corpus"
    figure_corpus(root, 300)
    with simulator(root / "poses.npz", latency=0.5) as sim:
        with engine(root, sim.url) as process:
            assert process.wait(120) == 0
        stats = sim.stats()
    assert stats["most_in_flight"] == SLOTS
    busy, span = query(
        root,
        "SELECT SUM(seconds), MAX(started + seconds) - MIN(started) FROM attempts WHERE key IN (SELECT key FROM asks)",
    )[0]
    assert busy / span >= 0.9 * SLOTS  # from the first request to the last, slow start included


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return figure_corpus(tmp_path_factory.mktemp("hundred"), 100)


@pytest.mark.slow
@pytest.mark.parametrize("swap", [0.0, 0.1, 0.2])
def test_the_audit_measures_the_true_error_rate(hundred: Corpus, swap: float) -> None:
    (hundred.root / "annotation.sqlite").unlink(missing_ok=True)
    assert hundred.poses is not None
    with simulator(hundred.root / "poses.npz", errors={"swap": swap, "invent": 0.03}) as sim:
        annotate(job(hundred, Limits(slots=8), Endpoint(base_url=sim.url), frame="words"))
        said = sim.stats()["said"]
    true = said["false statements"] / said["statements"]
    measured = report(hundred.root)["texts"]["mllm"]["claims wrong (either)"]
    assert (true > 0.5 * swap) and abs(measured - true) < 0.03
