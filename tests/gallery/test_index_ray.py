"""Indexing on two Ray workers: the gallery of one process, also when workers or the program are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.core.ray_workers import RayWorkers, on_ray
from autocompose.gallery.indexing import embedding
from autocompose.gallery.indexing.index import build
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage.store import EmbeddedStore
from autocompose.model.embedders.own import RunFolder
from tests.fixtures.bar_finder import BarFinder
from tests.gallery.fakes import FakeModel, photos
from tests.gallery.test_index import counts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


class Deadly(FakeModel):
    """Kills its process, as a lack of memory would, before it has embedded its second batch; once."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark = mark

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        if self.pictures and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed_images(images)


class Slow(FakeModel):
    """Leaves time to kill the program."""

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        time.sleep(0.3)
        return super().embed_images(images)


def same(a: Path, b: Path, fingerprint: str = "fake") -> None:
    """Items, thumbnails and, within 1e-6, vectors are those of the other gallery."""
    stores = [EmbeddedStore(folder, fingerprint) for folder in (a, b)]
    items = [list(store.items()) for store in stores]
    assert items[0] == items[1] and items[0]
    vectors = [store.vectors([item.id for item in items[0]]) for store in stores]
    np.testing.assert_allclose(*vectors, atol=1e-6, rtol=1e-6)
    thumbs = [{path.name: path.read_bytes() for path in folder.glob("thumbs/*/*.webp")} for folder in (a, b)]
    assert thumbs[0] == thumbs[1] and not list(a.rglob("*.part"))


def with_people(root: Path, n: int) -> Path:
    """Pictures, some with bars for people, one twice, one broken, one with a box."""
    photos(root, n)
    for i in range(3):
        image = Image.new("RGB", (120, 90), (30, 30, 60 + i))
        image.paste((220, 20, 20), (20, 10, 30 + 4 * i, 80))
        image.paste((220, 20, 20), (70, 20, 85, 70))
        image.save(root / f"people{i}.png")
    shutil.copy(root / "people1.png", root / "twin.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (root / "boxes.json").write_text('{"people2.png": [[0, 0, 60, 90]]}')
    return root


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "BATCH", 4)
    monkeypatch.setattr(embedding, "SEARCHED_BATCH", 4)


def test_two_workers_make_the_gallery_of_one_process(tmp_path: Path, run_folder: Path) -> None:
    root, model = with_people(tmp_path / "photos", 20), RunFolder(run_folder)
    here = build(root, model, tmp_path / "here", finder=BarFinder())
    with on_ray(RayWorkers(2)):
        there = build(root, RunFolder(run_folder), tmp_path / "ray", finder=BarFinder())
        same(tmp_path / "ray", tmp_path / "here", model.fingerprint)
        assert counts(there) == counts(here) and there.line() == here.line() and here.copied
        (root / "a/00001.png").unlink()
        again = build(root, RunFolder(run_folder), tmp_path / "ray", finder=BarFinder())
    assert (again.embedded, again.removed) == (0, 1)


def test_a_killed_worker_changes_nothing(tmp_path: Path) -> None:
    root = with_people(tmp_path / "photos", 20)
    build(root, FakeModel(), tmp_path / "here")
    with on_ray(RayWorkers(2)):
        build(root, Deadly(tmp_path / "killed"), tmp_path / "ray")
    assert (tmp_path / "killed").exists()
    same(tmp_path / "ray", tmp_path / "here")


PROGRAM = """
import sys, ray
from pathlib import Path
from autocompose.core.ray_workers import RayWorkers, on_ray
from autocompose.model.embedders.own import RunFolder
from autocompose.gallery.indexing import embedding
from autocompose.gallery.indexing.index import build
from tests.gallery.test_index_ray import Slow
embedding.BATCH = 4
ray.init(address=sys.argv[3], log_to_driver=False)
with on_ray(RayWorkers(2)):
    build(Path(sys.argv[1]), Slow(), Path(sys.argv[2]))
"""


def test_a_killed_program_goes_on_where_it_stopped(tmp_path: Path) -> None:
    import ray

    root, out = photos(tmp_path / "photos", 60), tmp_path / "ray"
    address = ray.get_runtime_context().gcs_address
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, str(root), str(out), address], cwd=Path.cwd())

    def stored() -> int:
        try:
            return EmbeddedStore(out, "fake").count()
        except Exception:  # not begun yet
            return 0

    while program.poll() is None and stored() < 8:
        time.sleep(0.05)
    program.kill()
    program.wait()
    before = stored()
    assert 8 <= before < 60
    with on_ray(RayWorkers(2)):
        report = build(root, FakeModel(), out)
    assert report.unchanged == before and report.embedded == 60 - before
    build(root, FakeModel(), tmp_path / "here")
    same(out, tmp_path / "here")


def test_pictures_at_an_address(tmp_path: Path) -> None:
    root = with_people(tmp_path / "photos", 8)
    (root / "metadata.csv").write_text("path,person\na/00001.png,anna\n")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in root.rglob("*"):
            archive.write(path, f"photos/{path.relative_to(root)}")
    address = f"zip://photos::{tmp_path / 'photos.zip'}"
    build(root, FakeModel(), tmp_path / "here")
    with on_ray(RayWorkers(2)):
        build(address, FakeModel(), tmp_path / "ray")
    stores = [EmbeddedStore(tmp_path / name, "fake") for name in ("here", "ray")]
    items = [list(store.items()) for store in stores]
    assert [(i.path, i.digest, i.box, i.meta, i.size) for i in items[0]] == [
        (i.path, i.digest, i.box, i.meta, i.size) for i in items[1]
    ]
    ids = [item.id for item in items[0]]
    np.testing.assert_allclose(stores[0].vectors(ids), stores[1].vectors(ids), atol=1e-6)
    again = build(address, FakeModel(), tmp_path / "ray")  # without Ray
    assert (again.embedded, again.described, again.unchanged) == (0, 0, len(ids))
    gallery = Gallery.open(tmp_path / "ray", FakeModel())
    item = next(item for item in items[1] if item.box)
    assert gallery.open_picture(item).size == (60, 90)
    assert len(gallery.search(reference=item, k=3).hits) == 3
