"""Long verbs as processes, killed at random moments: nothing is lost, and the end is that of a run without a kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.files import clear_parts
from autocompose.gallery.storage.store import EmbeddedStore
from tests.fixtures.corpora import make_corpus
from tests.fixtures.motion import make_motions
from tests.fixtures.tree import tree
from tests.gallery.fakes import photos

pytestmark = pytest.mark.slow
KILLS = 4


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "autocompose", *arguments]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(line, stdout=quiet, stderr=quiet, env=environment, start_new_session=True)


def killed_at_random(arguments: list[str], out: Path) -> None:
    """Start the verb again and again, each time killed some moment after it has begun to write; then let it end."""
    rng, kills = random.Random(time.time_ns()), 0
    for number in range(KILLS):
        before, process = files(out), start(arguments)
        while process.poll() is None and files(out) == before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 1.5) if number else 0)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills, "the first is killed as it begins"
    assert start(arguments).wait() == 0


def files(out: Path) -> set[tuple[str, int]]:
    """Names and sizes of all files; they come and go."""
    found = set()
    for folder, _, names in os.walk(out):
        for name in names:
            with suppress(FileNotFoundError):
                path = Path(folder, name)
                found.add((str(path), path.stat().st_size))
    return found


def ended(arguments: list[str]) -> bool:
    return start(arguments).wait() == 0


def test_index(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 600)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert ended(["index", str(root), str(whole), "--model", "small"])
    killed_at_random(["index", str(root), str(killed), "--model", "small"], killed)
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
    assert ended(["describe", "rules", str(tmp_path / "whole"), *options])
    killed_at_random(["describe", "rules", str(tmp_path / "killed"), *options], tmp_path / "killed")
    clear_parts(tmp_path / "killed")
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def test_prepare(tmp_path: Path) -> None:
    motions = str(make_motions(tmp_path / "raw", "bvh"))
    options = ["--count", "120", "--size", "64", "--low", "0.2", "--high", "0.999"]
    assert ended(["prepare", "bvh", motions, str(tmp_path / "whole"), *options])
    killed_at_random(["prepare", "bvh", motions, str(tmp_path / "killed"), *options], tmp_path / "killed")
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def test_a_killed_run_of_other_settings_leaves_nothing_of_it(tmp_path: Path) -> None:
    motions = str(make_motions(tmp_path / "raw", "bvh"))
    options = ["--count", "120", "--size", "64", "--low", "0.2", "--high", "0.999"]
    out = tmp_path / "out"
    process = start(["prepare", "bvh", motions, str(out), "--yaw", "90", *options])
    while process.poll() is None and len(list(out.rglob("*.png"))) < 20:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "captions").exists()
    assert start(["prepare", "bvh", motions, str(out), *options]).wait() == 0
    assert start(["prepare", "bvh", motions, str(tmp_path / "fresh"), *options]).wait() == 0
    records = ("prepare-started.manifest.json", ".hashes.json")  # the first also names pictures of the killed run
    assert tree(out, without=records) == tree(tmp_path / "fresh", without=records)
