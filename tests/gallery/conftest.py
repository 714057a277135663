from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autocompose.gallery.indexing.index import build
from autocompose.gallery.search import Gallery
from tests.gallery.fakes import FakeModel, photos


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model with random weights, small enough to save and load in a moment."""
    from autocompose.model.checkpoint import save_model
    from autocompose.model.combiner import Combiner
    from autocompose.model.encoder import Encoder
    from autocompose.model.model import Model
    from autocompose.model.small import SmallSizes, small_config

    sizes = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=32, text_width=32, text_layers=1, text_heads=2)
    encoder = Encoder(small_config(sizes))
    folder = tmp_path_factory.mktemp("run")
    save_model(folder, Model(encoder, Combiner(encoder.dim, 64, 64)))
    return folder


@pytest.fixture
def small_gallery(tmp_path: Path) -> Iterator[Gallery]:
    """A gallery of twelve pictures with a fake model."""
    root = photos(tmp_path / "photos", 12)
    (root / "metadata.csv").write_text("path,person\na/00001.png,anna\na/00003.png,ben\n", "utf-8")
    build(root, FakeModel(), tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g", FakeModel())
    yield gallery
    gallery.close()
