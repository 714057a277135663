"""2,000 side files with something broken in each: either they are read, or one line says what is wrong."""

from __future__ import annotations

import faulthandler
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from autocompose.core.config import read_toml
from autocompose.core.errors import AutocomposeError
from autocompose.core.files import read_json
from autocompose.core.log import Tally
from autocompose.core.reading.table import read_table
from autocompose.corpus.about import About
from autocompose.corpus.format import load_corpus
from autocompose.corpus.validate import validate
from autocompose.evaluate.results import read_ranks
from autocompose.gallery.gallery_folder import forgotten, read_config
from autocompose.gallery.indexing.index import build
from autocompose.gallery.indexing.scan import scan
from autocompose.gallery.search import Gallery
from autocompose.train.run_options import merged
from autocompose.train.runs import FinetuneSettings
from tests.fixtures.corpora import make_corpus, picture
from tests.fixtures.damage import damaged_text
from tests.gallery.fakes import FakeModel

SECONDS = 5  # of one file; then the test is killed with the stack of where it hung
EACH = 200
CSV = 'path,person,age,ok\np0.jpg,"Doe, Jane",31,True\nsub/p1.jpg,Zoë,7,False\nx.jpg,,,\n'.encode()
BOXES = b'{"p0.jpg": [[1, 2, 30, 20], [3.5, 1, 9, 20]], "sub/p1.jpg": [[0, 0, 40, 30]]}'
TOML = b'part = "both"\n\n[loop]\nepochs = 2\nlearning_rate = 1e-5\noptimizer = "adamw"\n\n[text]\ntexts = 2\n'
RANKS = b'reference,target,text,cluster,rank,group_rank\na.png,b.png,raise it,1,3,1\na.png,c.png,"so, so",2,1,\n'


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzz") / "photos"
    for i, name in enumerate(("p0.jpg", "sub/p1.jpg")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(i, (40, 30)).save(root / name)
    build(root, FakeModel(), root.parent / "g")
    return root


def attack(path: Path, data: bytes, use: Callable[[], object], seed: int) -> tuple[int, int]:
    """How many mutants were read, and how many refused; the sound file is put back."""
    rng = random.Random(seed)
    read = refused = 0
    for _ in range(EACH):
        path.write_bytes(damaged_text(data, rng))
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            use()
            read += 1
        except AutocomposeError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000, str(error)[:3000]
            refused += 1
        finally:
            faulthandler.cancel_dump_traceback_later()
    path.write_bytes(data)
    return read, refused


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data", "seed"), [("metadata.csv", CSV, 1), ("boxes.json", BOXES, 2)])
def test_side_files_of_pictures(photos: Path, name: str, data: bytes, seed: int) -> None:
    def use() -> None:
        for side in scan(photos, Tally("pictures")).sides:
            total = side.tally.kept + sum(side.tally.dropped.values())
            assert (total >= side.tally.kept and "\n".join(side.notes).isprintable()) or side.notes

    read, refused = attack(photos / name, data, use, seed)
    assert read and refused
    (photos / name).unlink()


@pytest.mark.slow
def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for seed, encoding in enumerate(("utf-8", "utf-16", "cp1252")):
        assert all(attack(path, CSV.decode().encode(encoding), lambda: read_table(path, "path"), 10 + seed))
    assert all(attack(path, RANKS, lambda: read_ranks(path), 13))


@pytest.mark.slow
def test_settings(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    assert all(attack(path, TOML, lambda: merged(FinetuneSettings, read_toml(path), {}, str(path)), 20))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["captions", "image_splits"])
def test_a_corpus(tmp_path: Path, kind: str) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    path = corpus.root / kind / "test.json"
    assert all(attack(path, path.read_bytes(), lambda: validate(load_corpus(corpus.root)), 30))


@pytest.mark.slow
def test_the_files_of_a_gallery(photos: Path, tmp_path: Path) -> None:
    gallery = photos.parent / "g"
    path = gallery / "gallery.json"

    def use() -> None:
        if read_config(gallery):
            Gallery.open(gallery, FakeModel()).close()

    assert all(attack(path, path.read_bytes(), use, 40))
    path = tmp_path / "forgotten.json"
    assert all(attack(path, b'["' + b"a" * 64 + b'", "' + b"b" * 64 + b'"]', lambda: forgotten(tmp_path), 41))
    path = tmp_path / "about.json"
    assert all(attack(path, b'{"name": "x", "sources": ["a"], "shares": []}', lambda: About.of(tmp_path), 42))
    path = tmp_path / "any.json"
    assert all(attack(path, BOXES, lambda: read_json(path), 43))
