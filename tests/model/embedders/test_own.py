from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import CheckpointError
from autocompose.model.checkpoint import load_model
from autocompose.model.embedders.embedder import TextCache
from autocompose.model.embedders.own import RunFolder
from tests.gallery.fakes import FakeModel


def test_texts_are_computed_once_but_not_kept_without_end() -> None:
    model = FakeModel()
    cache = TextCache(model.embed_texts, limit=3)
    for text in ["a", "b", "a", "c", "a", "d", "a", "e", "a", "b"]:
        cache([text])
    assert model.texts == 6  # a stays, because it is used; the second b was dropped in between
    np.testing.assert_array_equal(cache(["e", "x", "e"]), FakeModel().embed_texts(["e", "x", "e"]))


def test_a_run_folder_composes_as_its_model_and_travels_without_it(run_folder: Path) -> None:
    run = RunFolder(run_folder)
    texts = ["raise the left arm", "sit", "sit"]
    images = np.random.default_rng(0).normal(size=(3, run.embed_texts(texts).shape[1])).astype(np.float32)
    expected = run.model.compose_features(images, run.model.encode_texts(texts))
    np.testing.assert_allclose(run.compose(images, texts), expected, atol=1e-6)
    other = pickle.loads(pickle.dumps(run))
    assert "model" not in vars(other) and other.fingerprint == run.fingerprint
    np.testing.assert_allclose(other.compose(images, texts), expected, atol=1e-6)
    with pytest.raises(CheckpointError, match="model file not found"):
        RunFolder(run_folder / "none")


@pytest.mark.parametrize(
    "text", ["[]", "7", "{}", '{"sha256": "x"}', '{"sha256": "x", "encoder": []}', '{"encoder": {}}']
)
def test_a_model_file_without_its_parts_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"model.json: lacks sha256 or encoder"):
        RunFolder(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"model.json"):
        load_model(tmp_path)


def test_a_model_whose_combiner_is_nonsense_is_one_line(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    info = json.loads((tmp_path / "run" / "model.json").read_text())
    for composer in (None, 7, {"kind": "combiner", "colour": 1}, {"kind": "combiner", "projection_dim": "x"}):
        (tmp_path / "run" / "model.json").write_text(json.dumps({**info, "composer": composer}))
        with pytest.raises(CheckpointError, match=r"model.json: "):
            load_model(tmp_path / "run")
