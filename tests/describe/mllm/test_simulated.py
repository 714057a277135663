"""The engine as a process against the simulated annotator over HTTP: kills, accounting, occupancy, memory, audit.

On renders of the embedded benchmark. ``pytest -rP`` shows the figures.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocompose.bodies.skeleton import mirror_joints
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.poses import PoseTable
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.annotation_report import report
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.prepare.bodycpr.clusters import PRESETS, Preset, prepare_bodycpr
from autocompose.prepare.bodycpr.keypoints import add_keypoints
from tests.describe.mllm.fakes import job
from tests.simulator.annotator import Annotator, Errors
from tests.simulator.process import Simulator, simulator
from tests.simulator.renders import stamped
from tests.simulator.truth import movements

pytestmark = pytest.mark.slow
SLOTS = 32
PAIRS = 1000
FIELDS = ("mllm", "reverse", "mirror", "mirror-reverse")
VERB = [sys.executable, "-c", "from autocompose.cli import main; main()", "describe"]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A thousand pairs of rendered bodies that the simulator knows."""
    folder = tmp_path_factory.mktemp("bodycpr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "thousand", Preset(train=22, val=2, test=2, per_cluster=2, size=96, frozen_test=False))
        made = prepare_bodycpr(folder / "made", "thousand")
    made = replace(made, poses=add_keypoints(made.root))
    train = made.pairs[Split.TRAIN]
    chosen = np.random.default_rng(0).permutation(len(train))[:PAIRS]
    return stamped(made, {Split.TRAIN: [train[i] for i in sorted(chosen)]}, folder / "stamped")


def copy_of(corpus: Corpus, root: Path, pairs: int = PAIRS) -> Corpus:
    """The first pairs, in a folder of their own."""
    shutil.copytree(corpus.root, root)
    made = replace(corpus, root=root, pairs={Split.TRAIN: corpus.pairs[Split.TRAIN][:pairs]})
    made.save()
    return made


def unanswerable(corpus: Corpus, errors: dict[str, float]) -> dict[tuple[str, str, str], str]:
    """Variants about which the simulator says nothing, and the kind of failure that they must end in."""
    poses = corpus.poses
    assert isinstance(poses, PoseTable)
    rows, annotator = poses.index(), Annotator(poses, Errors(**errors))
    found = {}
    for pair in corpus.pairs[Split.TRAIN]:
        for edit in Edit:
            ends = (pair.target, pair.reference) if edit.reverses else (pair.reference, pair.target)
            a, b = rows[ends[0]], rows[ends[1]]
            joints = mirror_joints(poses.joints[[a, b]]) if edit.mirrors else poses.joints[[a, b]]
            if annotator.refuses(a, b, edit.mirrors):
                found[pair.reference, pair.target, edit.value] = "refused"
            elif not movements(*joints):
                found[pair.reference, pair.target, edit.value] = "empty"
    return found


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


def test_a_thousand_pairs_through_three_kills(benchmark: Corpus, tmp_path: Path) -> None:
    corpus = copy_of(benchmark, tmp_path / "corpus")
    root, rng = corpus.root, random.Random(time.time_ns())
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

    items = query(root, "SELECT reference, target, edit, state, kind, texts FROM items")
    silent = unanswerable(corpus, errors)
    assert len(items) == len({item[:3] for item in items}) == 4 * PAIRS
    failed = {item[:3]: item[4] for item in items if item[3] == "failed"}
    assert failed.keys() >= silent.keys()
    assert set(silent.values()) == {"empty", "refused"}
    assert {item[3] for item in items} == {"done", "failed"}
    whole = [item for item in items if item[3] == "done" and item[4] != "short"]
    assert {(item[4], len(json.loads(item[5]))) for item in whole} == {("", 3)}
    unlucky = [kind for key, kind in failed.items() if kind != silent.get(key)]
    unlucky += ["short"] * (4 * PAIRS - len(failed) - len(whole))
    assert len(unlucky) <= 10 and set(unlucky) <= {"schema", "transport", "length", "short"}, Counter(unlucky)
    done = 4 * PAIRS - len(failed)

    attempts = dict(query(root, "SELECT kind, COUNT(*) FROM attempts GROUP BY 1"))
    assert query(root, "SELECT key FROM attempts WHERE kind = 'ok' GROUP BY key HAVING COUNT(*) > 1") == []
    lost = stats["received"] - sum(attempts.values())
    assert 0 <= lost <= 3 * SLOTS
    assert stats["most_in_flight"] <= 2 * SLOTS  # a killed run's last requests may still be running
    asked = query(root, "SELECT COUNT(*) FROM asks WHERE state = 'answered'")[0][0]
    assert attempts["ok"] == asked  # the probe is a question like any other
    print(f"{done} of {4 * PAIRS} variants, failed {dict(Counter(failed.values()))}; requests {attempts}, {lost} lost")

    subprocess.run([*VERB, "export", str(root), "--min-agreement", "0"], check=True, capture_output=True)
    written = load_corpus(root).pairs[Split.TRAIN]
    assert sum(len(p.texts[f]) == 3 for p in written for f in FIELDS if f in p.texts) == len(whole)
    early, late = (max(sizes[len(sizes) * k // 4 : len(sizes) * (k + 1) // 4]) for k in (1, 3))
    true = stats["said"]["false statements"] / stats["said"]["statements"]
    measured = report(root)["texts"]["mllm"]["claims wrong (either)"]
    print(f"{true:.1%} of {stats['said']['statements']} statements false, audit {measured:.1%} of its claims")
    assert abs(measured - true) < 0.03
    print(f"resident memory {early:.0f} MB in the second quarter of the last run, {late:.0f} MB in the fourth")
    assert late < 1.05 * early


def test_slots_stay_busy(benchmark: Corpus, tmp_path: Path) -> None:
    if os.getloadavg()[0] > (os.cpu_count() or 1) + 2 and "QUIET" not in os.environ:
        pytest.skip(f"load {os.getloadavg()[0]:.1f}: the machine is too busy; QUIET=1 measures all the same")
    root = copy_of(benchmark, tmp_path / "corpus", 200).root
    with simulator(root / "poses.npz", latency=2) as sim:  # the slots' work, not the two processes', must fill the time
        with engine(root, sim.url) as process:
            assert process.wait(300) == 0
        stats = sim.stats()
    assert stats["most_in_flight"] == SLOTS
    busy, span = query(
        root,
        "SELECT SUM(seconds), MAX(started + seconds) - MIN(started) FROM attempts WHERE key IN (SELECT key FROM asks)",
    )[0]
    print(f"{busy / span / SLOTS:.1%} of {SLOTS} slots busy for {span:.0f} s")
    assert busy / span >= 0.9 * SLOTS  # from the first request to the last, slow start included


@pytest.mark.parametrize("swap", [0.0, 0.1, 0.2])
def test_the_audit_measures_the_true_error_rate(benchmark: Corpus, tmp_path: Path, swap: float) -> None:
    corpus = copy_of(benchmark, tmp_path / "corpus", 200)
    with simulator(corpus.root / "poses.npz", errors={"swap": swap, "invent": 0.03}) as sim:
        annotate(job(corpus, Limits(slots=8), Endpoint(base_url=sim.url), frame="words"))
        said = sim.stats()["said"]
    true = said["false statements"] / said["statements"]
    found = report(corpus.root)["texts"]["mllm"]
    measured = found["claims wrong (either)"]
    print(f"swap {swap}: {true:.1%} of {said['statements']} statements false, audit {measured:.1%} of its claims")
    assert true >= 0.5 * swap and abs(measured - true) < 0.03
