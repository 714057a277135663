"""The first lines of users of sentence-transformers, open_clip and clip-retrieval; every public name."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import autocompose
from autocompose import Gallery, Model
from tests.fixtures.corpora import picture

TEXTS = ["raise your left arm", "bend your right knee"]


@pytest.fixture(scope="module")
def model() -> Model:
    return autocompose.load("small")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api") / "photos"
    folder.mkdir()
    for i in range(4):
        picture(i, (64, 80)).save(folder / f"{i}.png")
    return folder


def test_sentence_transformers(model: Model, photos: Path, tmp_path: Path) -> None:
    image = model.encode(Image.open(photos / "0.png"))
    texts = model.encode(TEXTS, batch_size=1, normalize_embeddings=True)
    assert image.shape == (model.dim,) and texts.shape == (2, model.dim)
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    assert model.similarity(image, texts).shape == (1, 2)
    tensor = model.encode(TEXTS[0], convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor) and tensor.shape == (model.dim,)
    assert isinstance(model.similarity(tensor, tensor), torch.Tensor)
    mixed = model.encode([photos / "0.png", TEXTS[0]])
    assert np.allclose(mixed[0], image, atol=1e-4) and np.allclose(mixed[1], tensor.numpy(), atol=1e-4)
    assert model.to("cpu") is model and model.device == torch.device("cpu")
    model.save(tmp_path / "copy")
    assert np.array_equal(Model.load(tmp_path / "copy").encode(TEXTS), model.encode(TEXTS))


def test_open_clip(model: Model, photos: Path) -> None:
    batch = model.preprocess(Image.open(photos / "0.png").convert("RGB")).unsqueeze(0)
    assert np.allclose(model.eval().encode_image(batch)[0], model.encode_images(photos / "0.png"), atol=1e-4)
    assert np.allclose(model.encode_text(TEXTS), model.encode_texts(TEXTS))


def test_compose_takes_what_encode_takes(model: Model, photos: Path) -> None:
    path = photos / "0.png"
    one = model.compose(path, TEXTS[0])
    assert one.shape == (model.dim,) and abs(np.linalg.norm(one) - 1) < 1e-5
    others = (str(path), picture(0, (64, 80)), np.array(picture(0, (64, 80))))
    same = [model.compose(other, TEXTS[0]) for other in others]
    assert all(np.allclose(one, other, atol=1e-4) for other in same)
    assert model.compose([path, path], TEXTS).shape == (2, model.dim)
    lower = model.compose_features(model.encode_images(path), model.encode_texts(TEXTS[0]))
    assert np.allclose(one, lower, atol=1e-5)


def test_clip_retrieval(model: Model, photos: Path) -> None:
    gallery = Gallery.build(photos, model=model)
    assert len(gallery) == 4
    answer = gallery.search("raise your left arm", reference=photos / "0.png", k=3)
    assert len(answer) == 3 and answer[0].rank == 1 and answer[0].item.path != "0.png"
    assert [hit.item.path for hit in answer] == [hit.item.path for hit in answer[:]]
    assert len(gallery.search("raise your left arm")) == 4
    assert len(Gallery.open(gallery.folder, model=model)) == 4


def test_every_public_name_is_listed_typed_and_described() -> None:
    assert set(autocompose.__all__) <= set(dir(autocompose))
    stated = Path(autocompose.__file__).read_text().partition("if TYPE_CHECKING:")[2].partition("__version__")[0]
    for name in set(autocompose.__all__) - {"__version__"}:
        assert f"import {name} as {name}\n" in stated, name
        assert inspect.getdoc(getattr(autocompose, name)), name
    with pytest.raises(AttributeError, match="no attribute 'Galery'"):
        autocompose.Galery  # noqa: B018


@pytest.mark.slow
def test_type_checkers_see_the_names(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "uses.py"
    script.write_text(
        "import autocompose\n"
        "gallery = autocompose.Gallery.build('photos', model=autocompose.load())\n"
        "reveal_type(gallery.search('raise the left arm')[0].score)\n"
        "reveal_type(autocompose.load().encode('a'))\n"
        "reveal_type(autocompose.evaluate_model)\n"
        "autocompose.Galery\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--ignore-missing-imports", str(script)]
    src = str(Path(autocompose.__file__).parent.parent)
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "", "MYPYPATH": src}, cwd=tmp_path)
    assert 'Revealed type is "float"' in done.stdout and "ndarray" in done.stdout, done.stdout
    assert "Evaluation" in done.stdout and 'has no attribute "Galery"' in done.stdout
