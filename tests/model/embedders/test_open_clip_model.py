"""Models of open_clip give the features that open_clip gives, with their own tokenizer, and download nothing."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from autocompose.core.errors import CheckpointError
from autocompose.model.embedders.embedder import unit
from autocompose.model.embedders.naming import open_embedder
from autocompose.model.embedders.open_clip_model import OpenClipModel
from tests.fixtures.embedders import noise, siglip_folder

pytestmark = pytest.mark.usefixtures("no_hub")
TEXTS = ["Raise your left arm.", "a person sits", "bend the right knee and raise the left arm"]


def test_features_are_those_of_open_clip(siglip: Path, tmp_path: Path) -> None:
    model = open_embedder(siglip)
    assert isinstance(model, OpenClipModel) and not model.joint and not model.learned and model.dim == 16
    clip, _, pixels = open_clip.create_model_and_transforms(f"local-dir:{siglip}")
    tokens = open_clip.get_tokenizer(f"local-dir:{siglip}")
    pictures = [noise(1), noise(2, 50, 30), noise(3, 20, 90)]  # squashed, as SigLIP was trained
    pictures[1].save(tmp_path / "file.png")
    with torch.no_grad():
        image = clip.eval().encode_image(torch.stack([pixels(p) for p in pictures])).numpy()
        text = clip.encode_text(tokens(TEXTS)).numpy()
    given = [pictures[0], tmp_path / "file.png", pictures[2]]
    np.testing.assert_allclose(model.embed_images(given), image, atol=1e-5)
    np.testing.assert_allclose(model.embed_texts(TEXTS), text, atol=1e-5)
    np.testing.assert_allclose(model.embed_texts(TEXTS[::-1]), text[::-1], atol=1e-5)
    np.testing.assert_allclose(model.compose(image, TEXTS), unit(unit(image) + unit(text)), atol=1e-5)
    np.testing.assert_allclose(OpenClipModel(str(siglip), 0.0).compose(image, TEXTS), unit(image), atol=1e-5)
    other = pickle.loads(pickle.dumps(model))
    assert other.fingerprint == model.fingerprint and other._kept is None


def test_a_clip_sees_hands_that_its_own_crop_would_cut_off(siglip: Path, tmp_path: Path) -> None:
    shutil.copytree(siglip, tmp_path / "clip")
    config = json.loads((siglip / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["resize_mode"] = "shortest"
    (tmp_path / "clip/open_clip_config.json").write_text(json.dumps(config))
    model, square, wide = OpenClipModel(str(tmp_path / "clip")), noise(1), noise(2, 90, 40)
    clip, _, pixels = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'clip'}")
    with torch.no_grad():
        expected = clip.eval().encode_image(torch.stack([pixels(square), pixels(wide)])).numpy()
    found = model.embed_images([square, wide])
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    assert np.abs(found[1] - expected[1]).max() > 1e-3
    changed = wide.copy()
    changed.paste((0, 255, 0), (0, 0, 8, 40))  # in the part that a centre crop leaves out
    assert np.abs(model.embed_images([changed])[0] - found[1]).max() > 1e-3


def test_nothing_is_asked_of_the_hub(siglip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened"))
    assert open_embedder(siglip).embed_texts(TEXTS).shape == (3, 16)


def test_the_fingerprint_follows_weights_and_tokenizer(siglip: Path, tmp_path: Path) -> None:
    first = OpenClipModel(str(siglip)).fingerprint
    assert OpenClipModel(str(siglip_folder(tmp_path / "b", seed=1))).fingerprint != first
    shutil.copytree(siglip, tmp_path / "same")
    assert OpenClipModel(str(tmp_path / "same")).fingerprint == first
    text = (tmp_path / "same/tokenizer.json").read_text()
    (tmp_path / "same/tokenizer.json").write_text(text.replace("stands", "lies"))
    assert OpenClipModel(str(tmp_path / "same")).fingerprint != first


def broken(folder: Path, fault: str) -> None:
    config = folder / "open_clip_config.json"
    if fault == "no tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()
    elif fault == "no weights":
        (folder / "open_clip_model.safetensors").unlink()
    elif fault == "damaged weights":
        (folder / "open_clip_model.safetensors").write_bytes(b"\x00" * 100)
    elif fault == "no text":
        config.write_text('{"model_cfg": {"embed_dim": 16}}')
    elif fault == "other sizes":
        config.write_text(config.read_text().replace('"embed_dim": 16', '"embed_dim": 24'))


@pytest.mark.parametrize("fault", ["no tokenizer", "no weights", "damaged weights", "no text", "other sizes"])
def test_a_folder_that_cannot_be_loaded_is_one_line(siglip: Path, tmp_path: Path, fault: str) -> None:
    shutil.copytree(siglip, tmp_path / "x")
    broken(tmp_path / "x", fault)
    with pytest.raises(CheckpointError, match=str(tmp_path / "x")) as caught:
        OpenClipModel(str(tmp_path / "x")).embed_texts(["a"])
    assert "\n" not in str(caught.value)


def test_a_tag_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(CheckpointError, match="open_clip has no such weights"):
        open_embedder("pretrained:ViT-B-16-SigLIP:nothing")
    assert open_embedder("pretrained:ViT-B-16-SigLIP:webli").name == "pretrained:ViT-B-16-SigLIP:webli"
