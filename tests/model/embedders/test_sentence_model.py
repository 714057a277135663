"""Models of sentence-transformers give the features that the library gives."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import CheckpointError
from autocompose.model.embedders.embedder import unit
from autocompose.model.embedders.naming import open_embedder
from autocompose.model.embedders.options import COMPOSED_PROMPT, TEXT_PROMPT, EmbedderOptions
from autocompose.model.embedders.sentence_model import SentenceModel
from tests.fixtures.embedders import noise

sentence_transformers = pytest.importorskip("sentence_transformers")
pytestmark = pytest.mark.usefixtures("no_hub")
TEXTS = ["raise your left arm", "a person sits"]


def library(folder: Path):
    return sentence_transformers.SentenceTransformer(str(folder), local_files_only=True)


def test_a_model_without_joint_inputs_adds(st_clip: Path) -> None:
    model, direct = open_embedder(f"st:{st_clip}"), library(st_clip)
    pictures = [noise(1, 50, 30), noise(2)]
    image, text = direct.encode(pictures), direct.encode(TEXTS)
    assert isinstance(model, SentenceModel) and not model.joint and not model.learned and model.dim == 16
    np.testing.assert_allclose(model.embed_images(pictures), image, atol=1e-5)
    np.testing.assert_allclose(model.embed_texts(TEXTS), text, atol=1e-5)
    np.testing.assert_allclose(model.compose_pictures(pictures, TEXTS), unit(unit(image) + unit(text)), atol=1e-5)


def test_a_joint_model_is_shown_picture_text_and_instruction(st_joint: Path, tmp_path: Path) -> None:
    model, direct = SentenceModel(str(st_joint)), library(st_joint)
    pictures = [noise(1, 50, 30), noise(2)]
    pictures[1].save(tmp_path / "two.png")
    both = [{"image": picture, "text": text} for picture, text in zip(pictures, TEXTS, strict=True)]
    assert model.joint and model.learned
    found = model.compose_pictures([pictures[0], tmp_path / "two.png"], TEXTS)
    np.testing.assert_allclose(found, direct.encode_query(both, prompt=COMPOSED_PROMPT), atol=1e-5)
    np.testing.assert_allclose(model.embed_images(pictures), direct.encode_document(pictures), atol=1e-5)
    np.testing.assert_allclose(model.embed_texts(TEXTS), direct.encode_query(TEXTS, prompt=TEXT_PROMPT), atol=1e-5)
    asked = EmbedderOptions(query_prompt="bend the knee", document_prompt="a person")
    own = SentenceModel(str(st_joint), asked)
    expected = direct.encode_query(both, prompt="bend the knee")
    np.testing.assert_allclose(own.compose_pictures(pictures, TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(
        own.embed_images(pictures), direct.encode_document(pictures, prompt="a person"), atol=1e-5
    )
    assert np.abs(own.compose_pictures(pictures, TEXTS) - found).max() > 1e-3
    assert own.fingerprint != model.fingerprint and own.query_settings != model.query_settings
    other = pickle.loads(pickle.dumps(own))
    assert other._kept is None and other.fingerprint == own.fingerprint and other.options == asked


def test_a_weight_turns_a_joint_model_into_a_sum(st_joint: Path) -> None:
    model, picture = SentenceModel(str(st_joint), EmbedderOptions(text_weight=0.25)), [noise(1)]
    image, text = model.embed_images(picture), model.embed_texts(TEXTS[:1])
    assert not model.joint and model.settings == {"text_weight": 0.25}
    expected = unit(0.75 * unit(image) + 0.25 * unit(text))
    np.testing.assert_allclose(model.compose_pictures(picture, TEXTS[:1]), expected, atol=1e-5)


@pytest.mark.parametrize("text", ["http://127.0.0.1:9/secret.png", "data:image/png;base64,xx", "FILE"])
def test_a_text_is_never_taken_for_a_picture(st_clip: Path, st_joint: Path, tmp_path: Path, text: str) -> None:
    noise(1).save(tmp_path / "a.png")
    text = str(tmp_path / "a.png") if text == "FILE" else text
    for folder in (st_clip, st_joint):
        model = SentenceModel(str(folder))
        assert np.abs(model.embed_texts([text]) - model.embed_images([noise(1)])).max() > 1e-3
        assert np.isfinite(model.compose_pictures([noise(1)], [text])).all()


def test_the_fingerprint_follows_the_files(st_clip: Path, tmp_path: Path) -> None:
    first = SentenceModel(str(st_clip)).fingerprint
    shutil.copytree(st_clip, tmp_path / "x")
    assert SentenceModel(str(tmp_path / "x")).fingerprint == first
    (tmp_path / "x/config_sentence_transformers.json").write_text("{}")
    assert SentenceModel(str(tmp_path / "x")).fingerprint != first


def test_what_cannot_be_loaded_is_one_line(st_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(st_clip, tmp_path / "x")
    (tmp_path / "x/model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(CheckpointError, match=r"x: sentence-transformers cannot load it .*copy the folder again"):
        SentenceModel(str(tmp_path / "x")).embed_texts(["a"])
    for name in ("no/such/name", "a b c", "../nowhere"):
        with pytest.raises(CheckpointError, match=f"st:{name}"):
            open_embedder(f"st:{name}")
