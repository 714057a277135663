from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.records import Split
from autocompose.corpus.inspect import likenesses, text_facts
from autocompose.corpus.pictures.near import BITS, near_duplicates, perceptual_hash
from tests.fixtures.corpora import make_corpus


def smooth(seed: int) -> Image.Image:
    """A picture with detail of every size, as photographs have it."""
    rng = np.random.default_rng(seed)
    layers = [rng.uniform(0, 255, (n, n, 3)).astype(np.uint8) for n in (3, 6, 12, 24)]
    big = [np.asarray(Image.fromarray(a).resize((96, 96), Image.Resampling.BICUBIC), float) for a in layers]
    return Image.fromarray(np.mean(big, 0).astype(np.uint8))


def test_hash_survives_size_and_quality_but_tells_pictures_apart(tmp_path: Path) -> None:
    hashes = [perceptual_hash(smooth(i)) for i in range(6)]
    for i in range(6):
        smooth(i).resize((200, 150)).save(tmp_path / "x.jpg", quality=60)
        again = perceptual_hash(Image.open(tmp_path / "x.jpg"))
        bits = [int(np.unpackbits(again ^ h).sum()) for h in hashes]
        assert bits[i] < 20 and min(b for k, b in enumerate(bits) if k != i) > 60
    assert all(h.shape == (BITS // 8,) for h in hashes)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 10_000), st.integers(0, 140))
def test_near_duplicates_equal_the_slow_way(n: int, m: int, seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (rng.integers(0, 256, (k, 32), dtype=np.uint8) for k in (n, m))
    slow = {}
    for i in range(n):
        bits = [int(np.unpackbits(one[i] ^ other[j]).sum()) for j in range(m)]
        if bits and min(bits) <= most:
            slow[i] = min(bits)
    fast = near_duplicates(one, other, most)
    assert {near.one: near.bits for near in fast} == slow
    assert [near.bits for near in fast] == sorted(near.bits for near in fast)


def test_a_picture_in_two_splits_under_two_names_is_found(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    for i, name in enumerate(corpus.galleries[Split.TRAIN] + corpus.galleries[Split.TEST]):
        smooth(i).save(tmp_path / "images" / name)
    smooth(1).resize((48, 48)).save(tmp_path / "images/c004/2.png")
    found = likenesses(corpus)
    assert [(near.one, near.other, near.count) for near in found] == [(Split.TRAIN, Split.TEST, 1)]
    assert found[0].pairs[0][:2] == ("c000/1.png", "c004/2.png")


def test_text_facts_are_counts(tmp_path: Path) -> None:
    pairs = make_corpus(tmp_path).pairs[Split.TRAIN][:3]
    pairs = (replace(pairs[0], texts={"sents": ("Left arm up, left arm down", "word " * 90)}), *pairs[1:])
    facts = text_facts(pairs, Split.TRAIN, "sents")
    assert facts is not None and (facts.pairs, facts.texts, facts.max_words) == (3, 6, 90)
    assert facts.repeated == 1 and facts.over == 1 / 6  # "Raise your left arm." occurs twice
    assert text_facts(pairs, Split.TRAIN, "mllm") is None


def test_the_page_shows_pairs_texts_and_faults_and_needs_no_network(tmp_path: Path) -> None:
    make_corpus(tmp_path)
    path = tmp_path / "captions/train.json"
    path.write_text(path.read_text().replace("Raise your left arm.", "<script>alert(1)</script>"))
    (tmp_path / "image_splits/test.json").write_text(
        (tmp_path / "image_splits/test.json").read_text().replace("]", ', "c003/0.png"]')
    )
    assert run(["inspect", str(tmp_path), "--pairs", "5", "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<article") == 10 and "data:image/jpeg;base64," in page
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert "c003/0.png is already entry 0" in page
    assert "http://" not in page and "https://" not in page


def test_a_page_of_the_user_is_not_replaced(tmp_path: Path) -> None:
    root = str(make_corpus(tmp_path / "corpus").root)
    page = tmp_path / "notes.html"
    page.write_text("<html>mine")
    assert run(["inspect", root, "--out", str(page)]) == 2
    assert page.read_text() == "<html>mine"
    page.unlink()
    assert run(["inspect", root, "--out", str(page)]) == 0
    assert run(["inspect", root, "--out", str(page)]) == 0
