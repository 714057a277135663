"""The whole demo on the tiny preset: it ends, tells the truth about itself, and survives kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

import autocompose
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
    "index the pictures",
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
    for method in ("combiner", "stage1", "small", "auto", "symbolic_seen", "image_only", "text_only", "symbolic"):
        for texts in (metrics[method], metrics[method]["independent"]):
            for recall in RECALLS:
                low, high = texts["ci95"][recall]
                assert 0 <= low <= texts[recall] <= high <= 100
    for texts in (metrics["combiner"], metrics["combiner"]["independent"]):
        low, high = texts["change_from_small"]["group_recall_at1"]["ci95"]
        assert low <= texts["change_from_small"]["group_recall_at1"]["value"] <= high
    assert metrics["small"]["group_recall_at1"] > 40  # what ships can see and read; by chance it would be 14
    assert {"chance", "ceiling", "n_queries", "n_gallery", "seed", "benchmark_hash", "seconds"} <= metrics.keys()
    assert metrics["n_gallery"] == 32
    assert set(STAGES) <= metrics["seconds"].keys()


def test_no_picture_is_estimated_twice(finished):
    assert len(list((finished / "cache").glob("images-*"))) == 3  # the parts train, val and test


def test_the_gallery_holds_the_features_of_the_model(finished):
    with closing(autocompose.Gallery.open(finished / "gallery")) as gallery:
        items = list(gallery.store.items())
        assert len(items) == len(list((finished / "corpus/images").iterdir()))
        assert all(item.pose.kind == "known" for item in items)
        some = items[:: len(items) // 3]
        images = [gallery.open_picture(item) for item in some]
        wanted = autocompose.load(finished / "model").encode_images(images)
        np.testing.assert_allclose(gallery.store.vectors([item.id for item in some]), wanted, atol=1e-4)


def test_the_report_needs_no_network_and_shows_every_method(finished):
    page = (finished / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "https://" not in page.replace("https://matplotlib.org", "")
    assert all(title in page for method, title in METHODS.items() if method != "sum")  # only from scratch
    assert page.count("data:image/jpeg;base64") > 40


def test_a_second_start_changes_nothing(finished):
    before = (finished / "metrics.json").read_bytes()
    done = subprocess.run([*COMMAND, "--out", finished], check=True, capture_output=True, text=True)
    assert "finished before" in done.stderr
    assert (finished / "metrics.json").read_bytes() == before


def test_killed_in_every_stage_it_ends_with_the_same_metrics(finished, tmp_path):
    """One demo is killed in one stage after the other, so that no stage is done more than twice."""
    out = tmp_path / "killed"
    for stage in STAGES:
        assert killed_in(stage, out), f"the demo never came to: {stage}"
        assert not (out / "report.html").exists()
    subprocess.run([*COMMAND, "--out", out], check=True, capture_output=True)
    assert comparable(out) == comparable(finished)


def killed_in(stage, out):
    """Start or continue the demo, kill it and its processes soon after a stage begins; whether the stage began."""
    command = [*COMMAND, "--out", out]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        began = any(line.startswith(f"{stage} ...") for line in process.stderr)
        time.sleep(0.7 if began else 0)
        os.killpg(process.pid, signal.SIGKILL)
    return began


def test_a_folder_of_other_settings_is_refused(finished):
    done = subprocess.run([*COMMAND, "--out", finished, "--seed", "1"], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds a demo made with other settings" in done.stderr
    assert DemoSettings.preset_file("quick", 0).preset == "tiny"
