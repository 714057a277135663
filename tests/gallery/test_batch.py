from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from autocompose.gallery.server import batch as module
from autocompose.gallery.server.batch import BatchedEmbedder
from tests.fixtures.corpora import picture
from tests.gallery.fakes import DIM, FakeModel


class SlowModel(FakeModel):
    """Waits in its first call until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.go = threading.Event(), threading.Event()

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        self.started.set()
        self.go.wait(10)
        if "bad" in texts:
            raise ValueError("bad text")
        return super().embed_texts(texts)


def test_what_waits_becomes_one_batch_and_everybody_gets_their_own() -> None:
    model, sizes = SlowModel(), []
    batched = BatchedEmbedder(model, sizes.append)
    texts = [f"text {i}" for i in range(20)]
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(batched.embed_texts, ["first"])
        model.started.wait(10)
        rest = [pool.submit(batched.embed_texts, [text]) for text in texts]
        while batched._queue.qsize() < len(texts):
            pass
        model.go.set()
        found = np.concatenate([r.result() for r in rest])
    np.testing.assert_array_equal(found, FakeModel().embed_texts(texts))
    np.testing.assert_array_equal(first.result(), FakeModel().embed_texts(["first"]))
    assert sizes == [1, 20]
    batched.close()


def test_texts_are_cached_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_TEXTS", 3)
    model = FakeModel()
    batched = BatchedEmbedder(model)
    for text in ["a", "b", "a", "c", "a", "d", "a", "e", "a", "b"]:
        batched.embed_texts([text])
    assert model.texts == 6  # a stays, because it is used; the second b was dropped in between
    np.testing.assert_array_equal(batched.embed_texts(["e", "x", "e"]), FakeModel().embed_texts(["e", "x", "e"]))
    batched.close()


def test_pictures_and_compositions() -> None:
    batched = BatchedEmbedder(FakeModel())
    images = [picture(i) for i in range(3)]
    np.testing.assert_array_equal(batched.embed_images(images), FakeModel().embed_images(images))
    a, b = np.random.default_rng(0).normal(size=(2, 4, DIM)).astype(np.float32)
    np.testing.assert_array_equal(batched.compose(a, b), FakeModel().compose(a, b))
    batched.close()


def test_an_error_reaches_who_asked_and_the_thread_lives_on() -> None:
    model = SlowModel()
    model.go.set()
    batched = BatchedEmbedder(model)
    with pytest.raises(ValueError, match="bad text"):
        batched.embed_texts(["bad"])
    assert batched.embed_texts(["good"]).shape == (1, DIM)
    batched.close()
    assert not batched._thread.is_alive()
