from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autocompose.gallery.indexing.index import build
from autocompose.gallery.search import Gallery
from tests.gallery.fakes import FakeModel, photos


@pytest.fixture
def small_gallery(tmp_path: Path) -> Iterator[Gallery]:
    """A gallery of twelve pictures with a fake model."""
    root = photos(tmp_path / "photos", 12)
    (root / "metadata.csv").write_text("path,person\na/00001.png,anna\na/00003.png,ben\n", "utf-8")
    build(root, FakeModel(), tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g", FakeModel())
    yield gallery
    gallery.close()
