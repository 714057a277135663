"""Long verbs as processes, killed at random moments: nothing is lost, and the end is that of a run without a kill."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import threading
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocompose.core.files import clear_parts
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.review.verdicts import Reviews
from autocompose.gallery.storage.store import EmbeddedStore
from tests.describe.mllm.fakes import Fake, job
from tests.fixtures.corpora import make_corpus
from tests.fixtures.killing import KILLS, kill, killed_at_random, moments, seconds_of_work, start
from tests.fixtures.motion import make_motions
from tests.fixtures.photos import make_photos
from tests.fixtures.tree import tree
from tests.gallery.fakes import photos
from tests.gallery.test_serve import free_port
from tests.prepare.test_kill import MAIN as WITH_BARS
from tests.simulator.figures import figure_corpus
from tests.simulator.process import simulator

pytestmark = pytest.mark.slow


def test_index(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 600)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    work = seconds_of_work(["index", str(root), str(whole), "--model", "small"], whole)
    killed_at_random(["index", str(root), str(killed), "--model", "small"], killed, work)
    stores = [EmbeddedStore(folder, "") for folder in (whole, killed)]
    items = [list(store.items()) for store in stores]
    assert len(items[0]) == 600 and items[0] == items[1]
    ids = [item.id for item in items[0]]
    np.testing.assert_allclose(stores[0].vectors(ids), stores[1].vectors(ids), atol=1e-5)
    assert tree(whole / "thumbs") == tree(killed / "thumbs")
    assert len(list(killed.glob("vectors-*.faiss"))) == 1


def test_describe_rules(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        make_corpus(tmp_path / name, train=120)
    options = ["--processes", "2", "--codes"]
    work = seconds_of_work(["describe", "rules", str(tmp_path / "whole"), *options], tmp_path / "whole")
    killed_at_random(["describe", "rules", str(tmp_path / "killed"), *options], tmp_path / "killed", work)
    clear_parts(tmp_path / "killed")
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


# tests/prepare/test_kill.py kills all adapters, but twice only
@pytest.mark.parametrize("verb", ["bvh", "folder", "bodycpr"] if KILLS > 4 else ["bvh"])
def test_prepare(tmp_path: Path, verb: str) -> None:
    loose = ["--low", "0.2", "--high", "0.999"]
    arguments = {
        "bvh": lambda: [str(make_motions(tmp_path / "raw", "bvh")), "--count", "120", "--size", "64", *loose],
        "folder": lambda: [str(make_photos(tmp_path / "raw")), "--height", "20", "--low", "0", "--high", "0.9999"],
        "bodycpr": lambda: ["--preset", "tiny"],
    }[verb]()
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    work = seconds_of_work(["prepare", verb, *arguments, str(whole)], whole, WITH_BARS)
    killed_at_random(["prepare", verb, *arguments, str(killed)], killed, work, WITH_BARS)
    assert tree(killed) == tree(whole)


def test_a_killed_run_of_other_settings_leaves_nothing_of_it(tmp_path: Path) -> None:
    motions = str(make_motions(tmp_path / "raw", "bvh"))
    options = ["--count", "120", "--size", "64", "--low", "0.2", "--high", "0.999"]
    out = tmp_path / "out"
    process = start(["prepare", "bvh", motions, str(out), "--yaw", "90", *options])
    while process.poll() is None and len(list(out.rglob("*.png"))) < 20:
        time.sleep(0.02)
    kill(process)
    assert not (out / "captions").exists()
    assert start(["prepare", "bvh", motions, str(out), *options]).wait() == 0
    assert start(["prepare", "bvh", motions, str(tmp_path / "fresh"), *options]).wait() == 0
    records = ("prepare-started.manifest.json", ".hashes.json")  # the first also names pictures of the killed run
    assert tree(out, without=records) == tree(tmp_path / "fresh", without=records)


def test_describe_mllm(tmp_path: Path) -> None:
    """An answer that is in the journal is not asked for again, and the corpus is that of a run without a kill."""
    whole = figure_corpus(tmp_path / "whole", 12).root
    killed = Path(shutil.copytree(whole, tmp_path / "killed"))
    with simulator(whole / "poses.npz", latency=0.05, anew=False) as sim:
        options = ["--model", "sim", "--base-url", sim.url, "--slots", "4", "--size", "256"]
        work = seconds_of_work(["describe", "mllm", str(whole), *options], whole)
        asked = sim.stats()["received"]
        killed_at_random(["describe", "mllm", str(killed), *options], killed, work)
        asked_again = sim.stats()["received"] - 2 * asked
    assert 0 <= asked_again <= KILLS * 4  # those in flight
    for root in (whole, killed):
        assert start(["describe", "export", str(root)]).wait() == 0
    assert outcomes(killed) == outcomes(whole) and len(outcomes(whole)) == 12 * 4
    captions = [json.loads((root / "captions" / "train.json").read_text("utf-8")) for root in (whole, killed)]
    assert captions[0] == captions[1] and all(len(entry["mllm"]) == 3 for entry in captions[0])


def outcomes(root: Path) -> list[Any]:
    db = sqlite3.connect(root / "annotation.sqlite")
    try:
        columns = "reference, target, edit, split, inputs, state, kind, parts, texts"
        return db.execute(f"SELECT {columns} FROM items ORDER BY reference, target, edit").fetchall()
    finally:
        db.close()


def test_review(tmp_path: Path) -> None:
    """Every verdict that the page has called stored is there after the kills, the latest one of each text."""
    corpus = figure_corpus(tmp_path / "corpus", 4)
    annotate(job(corpus), Fake(corpus))
    root, port, rng = corpus.root, free_port(), moments()
    stored: dict[tuple[int, int], str] = {}  # the last one that was answered
    sent: dict[tuple[int, int], str] = {}  # one that was cut by a kill may be there or not
    number = 0
    for _ in range(KILLS):
        process = start(["review", str(root), "--reviewer", "anna", "--port", str(port)])
        _until_it_answers(port, process)
        threading.Timer(rng.uniform(0, 1), process.kill).start()
        while True:
            text, number = (rng.randrange(16), rng.randrange(3)), number + 1
            sent[text] = f"Raise your left arm, version {number}."
            try:
                assert _judge(port, text, sent[text]) == {"stored": True}
            except (OSError, HTTPException):  # killed, perhaps between the head and the body of its answer
                break
            stored[text] = sent.pop(text)
        process.wait()
    print(f"{number} verdicts, {len(sent)} cut by a kill")
    assert number > KILLS and len(sent) <= KILLS
    with Reviews(root, "anna") as reviews:
        found = {(review.variant, review.number): review.text for review in reviews._mine()}
        for (variant, text), edited in stored.items():
            there = found[reviews.rows[variant].variant, text]
            assert there in (edited, sent.get((variant, text)))
        assert len(stored) <= reviews.judged() <= len(stored | sent)


def _judge(port: int, text: tuple[int, int], edited: str) -> Any:
    url = f"http://127.0.0.1:{port}/variant/{text[0]}/text/{text[1]}"
    body = json.dumps({"verdict": "edit", "edited": edited}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with suppress(OSError, HTTPException), urllib.request.urlopen(f"http://127.0.0.1:{port}/agreement", timeout=10):
            return
        time.sleep(0.02)
    raise AssertionError("the review page did not start")
