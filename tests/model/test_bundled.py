"""The model that ships: it loads by its name, is small, and answers like a trained model."""

from pathlib import Path

import numpy as np
import pytest

import autocompose
from autocompose.model.bundled import FOLDER, model_folder


def test_it_is_small_enough_to_ship():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 25e6


def test_it_loads_by_name():
    model = autocompose.load("small")
    assert model.card["made by"] == "runs/small.sh"
    features = model.encode_texts(["Raise your left arm.", "Bend your right knee."])
    assert features.dtype == np.float32 and np.isfinite(features).all()


def test_a_run_folder_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_folder("small") == FOLDER
    (tmp_path / "small").mkdir()
    assert model_folder("small") == FOLDER  # only what evaluate left there
    (tmp_path / "small/model.json").touch()
    assert model_folder("small") == Path("small")


@pytest.mark.slow
def test_it_finds_the_target_in_its_group(tmp_path):
    """On the frozen test bodies of the tiny benchmark; by chance it would be 14 %."""
    from autocompose.core.records import Split
    from autocompose.demo.presets import DemoSettings
    from autocompose.demo.wordings import write_demo_texts
    from autocompose.evaluate.questions import evaluate_model
    from autocompose.prepare.bodycpr.clusters import prepare_bodycpr

    corpus = write_demo_texts(prepare_bodycpr(tmp_path / "tiny", "tiny"), DemoSettings.preset_file("quick", 0), 0)
    found = evaluate_model(autocompose.load("small"), corpus, Split.TEST, "auto", cache=tmp_path / "cache")
    assert found.summary()["group_recall_at1"] > 40
