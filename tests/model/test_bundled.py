"""The model that ships: it loads by its name and is small. How it answers: tests/demo/test_demo.py."""

from pathlib import Path

import numpy as np

import autocompose
from autocompose.evaluate.fusion import Weights
from autocompose.model.bundled import FOLDER, model_folder


def test_it_is_small_enough_to_ship():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 25e6


def test_it_loads_by_name():
    model = autocompose.load("small")
    assert model.card["made by"] == "runs/small.sh"
    assert Weights.of(model.card) != Weights()  # fitted: runs/fusion.sh
    features = model.encode_texts(["Raise your left arm.", "Bend your right knee."])
    assert features.dtype == np.float32 and np.isfinite(features).all()


def test_a_run_folder_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_folder("small") == FOLDER
    (tmp_path / "small").mkdir()
    assert model_folder("small") == FOLDER  # only what evaluate left there
    (tmp_path / "small/model.json").touch()
    assert model_folder("small") == Path("small")
