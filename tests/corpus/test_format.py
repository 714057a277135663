from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from autocompose.core.errors import CorpusError, InputError
from autocompose.core.records import Pair, Split
from autocompose.core.text_fields import Edit, Source
from autocompose.corpus.about import About
from autocompose.corpus.format import load_corpus, pair_to_json
from tests.fixtures.corpora import make_corpus
from tests.fixtures.tree import tree


def test_save_and_load_keep_everything_and_saving_again_changes_nothing(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    before = tree(tmp_path)
    loaded = load_corpus(tmp_path)
    assert loaded.pairs == corpus.pairs and loaded.galleries == corpus.galleries
    assert loaded.pairs[Split.TRAIN][0].extra == {"pair_id": "c000/0.png>c000/1.png"}
    loaded.save()
    assert tree(tmp_path) == before


def test_the_authors_files_load_unchanged(tmp_path: Path) -> None:
    """Keys of the paper's format, a missing text field, an unknown key, no val split, no poses."""
    entry = {
        "reference": "a.png",
        "target": "b.png",
        "img_set": ["a.png", "b.png"],
        "sents": ["x"],
        "mllm": ["y"],
        "z": 1,
    }
    for folder in ("captions", "image_splits"):
        (tmp_path / folder).mkdir()
    for split in ("train", "test"):
        (tmp_path / f"captions/{split}.json").write_text(json.dumps([entry]))
        (tmp_path / f"image_splits/{split}.json").write_text('["a.png", "b.png"]')
    corpus = load_corpus(tmp_path)
    assert set(corpus.pairs) == {Split.TRAIN, Split.TEST} and corpus.poses is None
    pair = corpus.pairs[Split.TRAIN][0]
    assert pair == Pair("a.png", "b.png", ("a.png", "b.png"), {"sents": ("x",), "mllm": ("y",)}, {"z": 1})
    assert pair_to_json(pair) == entry
    assert pair.texts_of(Source.MLLM) == ("y",) and pair.texts_of(Source.MLLM, Edit.MIRROR) == ()


def test_queries_take_the_first_text_or_all(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    first, every = corpus.questions(Split.TEST), corpus.questions(Split.TEST, flatten=True)
    assert (len(first), len(every)) == (24, 48)
    assert [q.pair for q in every[:4]] == [0, 0, 1, 1] and every[1].text == "Raise your left arm."
    assert first[0].group == ("c003/0.png", "c003/1.png", "c003/2.png", "c003/3.png")
    with pytest.raises(CorpusError, match=r"captions/test.json\[0\]: no 'mllm' \(24 pairs lack it\)"):
        corpus.questions(Split.TEST, "mllm")
    pairs = corpus.split(Split.TEST)
    told = [dataclasses.replace(p, texts={"mllm": ("x", "y")}) for p in pairs[:2]]
    partly = dataclasses.replace(corpus, pairs={Split.TEST: (*told, *pairs[2:])})
    assert [q.text for q in partly.questions(Split.TEST, "mllm", flatten=True)] == ["x", "y"] * 2
    with pytest.raises(CorpusError, match="no split val; there is train, test"):
        corpus.questions(Split.VAL)
    with pytest.raises(CorpusError, match=r"captions/test\.json has no pairs, so there are no queries"):
        dataclasses.replace(corpus, pairs={Split.TEST: ()}).questions(Split.TEST)


def test_errors_name_the_file_and_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a corpus needs captions/, image_splits/ and images/"):
        load_corpus(tmp_path)
    make_corpus(tmp_path)
    path = tmp_path / "image_splits/test.json"
    path.write_text('{"a": 1}')
    with pytest.raises(CorpusError, match="expected a list of image names"):
        load_corpus(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"image_splits/test.json: file not found"):
        load_corpus(tmp_path)
    (tmp_path / "captions/train.json").write_bytes(b"[\xff]")
    with pytest.raises(InputError, match="not UTF-8 at byte 1"):
        load_corpus(tmp_path)


def test_about_is_kept_and_unknown_keys_are_refused(tmp_path: Path) -> None:
    about = About(name="x", sources=("a", "b"), shares=("gallery",))
    about.save(tmp_path)
    assert About.of(tmp_path) == about
    (tmp_path / "about.json").write_text('{"name": "x", "license": "MIT"}')
    with pytest.raises(InputError, match="unknown key 'license'; allowed: name, protocol"):
        About.of(tmp_path)
    (tmp_path / "about.json").unlink()
    assert About.of(tmp_path).name == tmp_path.name
