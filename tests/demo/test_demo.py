"""The whole demo on the tiny preset: it ends, tells the truth about itself, and survives kill -9."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from autocompose.demo.presets import DemoSettings
from autocompose.evaluate.report import METHODS

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "autocompose", "demo", "--quick"]
RECALLS = ("recall_at1", "recall_at5", "recall_at10", "recall_at50", *(f"group_recall_at{k}" for k in (1, 3, 5)))
STAGES = (
    "write the texts",
    "estimate the poses",
    "train text encoder and head",
    "train the Combiner",
    "evaluate",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "whole"
    subprocess.run([*COMMAND, "--out", out], check=True, capture_output=True)
    return out


def comparable(out):
    metrics = json.loads((out / "metrics.json").read_text())
    return {key: value for key, value in metrics.items() if key != "seconds"}


def test_metrics_hold_what_is_promised(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    for method in ("combiner", "sum", "small", "auto", "symbolic_seen", "image_only", "text_only", "symbolic"):
        for texts in (metrics[method], metrics[method]["independent"]):
            for recall in RECALLS:
                low, high = texts["ci95"][recall]
                assert 0 <= low <= texts[recall] <= high <= 100
    assert {"chance", "ceiling", "n_queries", "n_gallery", "seed", "benchmark_hash", "seconds"} <= metrics.keys()
    assert metrics["n_gallery"] == 32
    assert set(STAGES) <= metrics["seconds"].keys()


def test_the_report_needs_no_network_and_shows_every_method(finished):
    page = (finished / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "https://" not in page.replace("https://matplotlib.org", "")
    assert all(title in page for title in METHODS.values())
    assert page.count("data:image/jpeg;base64") > 40


def test_a_second_start_changes_nothing(finished):
    before = comparable(finished)
    subprocess.run([*COMMAND, "--out", finished], check=True, capture_output=True)
    assert comparable(finished) == before


@pytest.mark.parametrize("stage", STAGES)
def test_killed_in_any_stage_it_ends_with_the_same_metrics(stage, finished, tmp_path):
    """Stages before the killed one are taken from the finished demo, which saves their time."""
    out = tmp_path / "killed"
    process = subprocess.Popen([*COMMAND, "--out", out], stderr=subprocess.PIPE, text=True, start_new_session=True)
    for line in process.stderr:
        if line.startswith(f"{stage} ..."):
            time.sleep(0.7)
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not (out / "report.html").exists()
    subprocess.run([*COMMAND, "--out", out], check=True, capture_output=True)
    assert comparable(out) == comparable(finished)


def test_a_folder_of_other_settings_is_refused(finished):
    done = subprocess.run([*COMMAND, "--out", finished, "--seed", "1"], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds a demo made with other settings" in done.stderr
    assert DemoSettings.preset_file("quick", 0).preset == "tiny"
