"""Run folders: what is saved comes back; what does not fit is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import CheckpointError, ImageError
from autocompose.model.checkpoint import load_model, save_model
from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.embedders.own import RunFolder
from autocompose.model.encoder import Encoder
from autocompose.model.model import Model
from autocompose.model.small import SmallSizes, small_config
from tests.fixtures.corpora import picture

TINY = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=16, text_width=32, text_layers=1, text_heads=4)


def tiny_model(composer=None):
    encoder = Encoder(small_config(TINY), seed=3).with_vocabulary(["raise your left arm"]).eval()
    return Model(encoder, composer or Combiner(16, 8, 12), {"data": "abc", "metrics": {"recall_at1": 3.5}})


@pytest.mark.parametrize("composer", [Combiner(16, 8, 12, dropout=0.3), ElementwiseSum()])
def test_a_run_folder_is_a_model(tmp_path, composer):
    model = tiny_model(composer)
    save_model(tmp_path, model)
    again = load_model(tmp_path)
    assert again.card == model.card
    assert again.encoder.config == model.encoder.config
    images, texts = [picture(1), picture(2, (40, 20))], ["raise your left arm", "raise your leg"]
    for one, two in ((model.encode_images, again.encode_images),):
        assert np.array_equal(one(images), two(images))
    assert np.array_equal(model.encode_texts(texts), again.encode_texts(texts))
    vectors = model.encode_images(images), model.encode_texts(texts)
    predictions = again.compose_features(*vectors)
    assert np.array_equal(model.compose_features(*vectors), predictions)
    np.testing.assert_allclose(np.linalg.norm(predictions, axis=1), 1, rtol=1e-5)


def test_features_do_not_depend_on_the_batch_size(tmp_path):
    model = tiny_model()
    paths = []
    for i in range(5):
        paths.append(tmp_path / f"{i}.png")
        picture(i).save(paths[-1])
    texts = ["raise", "raise your left arm now", "arm", "left arm"]
    np.testing.assert_allclose(
        model.encode_images(paths, 2), model.encode_images([picture(i) for i in range(5)]), atol=1e-5
    )
    np.testing.assert_allclose(
        model.encode_texts(texts, 2), np.concatenate([model.encode_texts([t]) for t in texts]), atol=1e-5
    )
    assert model.encode_images([]).shape == (0, 16)
    assert model.encode_texts([]).shape == (0, 16)


def test_a_single_text_or_picture_is_no_list_of_letters(tmp_path):
    model = tiny_model()
    path = tmp_path / "x.png"
    picture(1).save(path)
    text = model.encode_texts("raise your left arm")
    assert text.shape == (16,) and np.array_equal(text, model.encode_texts(["raise your left arm"])[0])
    for one in (path, str(path), picture(1)):
        image = model.encode_images(one)
        assert image.shape == (16,) and np.allclose(image, model.encode_images([one])[0])
    query = model.compose_features(image, text)
    assert query.shape == (16,) and np.allclose(query, model.compose_features(image[None], text[None])[0])
    assert np.allclose(model.compose_features(np.stack([image, image]), text), np.stack([query, query]), atol=1e-6)
    assert model.encoder.tokenize("raise your left arm").shape[0] == 1
    save_model(tmp_path / "run", model)
    lazy = RunFolder(tmp_path / "run")
    assert np.array_equal(lazy.embed_texts("raise your left arm"), text)
    assert np.allclose(lazy.embed_images(str(path)), image) and np.allclose(
        lazy.compose(image, "raise your left arm"), query
    )


def test_a_broken_picture_is_named(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"missing\.png"):
        tiny_model().encode_images([tmp_path / "a.png", tmp_path / "missing.png"])


def test_missing_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.json: model file not found"):
        load_model(tmp_path)


def test_truncated_weights(tmp_path):
    save_model(tmp_path, tiny_model())
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "format 1"),
        (
            {"composer": {"kind": "combiner", "projection_dim": 4, "hidden_dim": 12}},
            "text_projection_layer.*8.*instead of.*4",
        ),
        ({"composer": {"kind": "sum"}}, "12 unknown .first: combiner_layer"),
    ],
)
def test_a_description_that_does_not_fit(tmp_path, change, words):
    save_model(tmp_path, tiny_model())
    info = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(info | change))
    with pytest.raises(CheckpointError, match=words):
        load_model(tmp_path)


def test_texts_that_are_cut_are_counted_once_not_per_batch(capsys):
    tiny_model().encode_texts(["raise your left arm " * 40] * 3 + ["raise"], batch_size=1)
    assert capsys.readouterr().err.count("are truncated") == 1
