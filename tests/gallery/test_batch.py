from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from autocompose.gallery.server.batch import BatchedEmbedder
from autocompose.gallery.storage.vectors import normalise
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
    batched = BatchedEmbedder(model, sizes.append, runners=1)
    texts = [f"text {i}" for i in range(20)]
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(batched.embed_texts, ["first"])
        model.started.wait(10)
        rest = [pool.submit(batched.embed_texts, [text]) for text in texts]
        while len(batched._waiting) < len(texts):
            pass
        model.go.set()
        found = np.concatenate([r.result() for r in rest])
    np.testing.assert_array_equal(found, FakeModel().embed_texts(texts))
    np.testing.assert_array_equal(first.result(), FakeModel().embed_texts(["first"]))
    assert sizes == [1, 20]
    batched.close()


def test_pictures_and_compositions() -> None:
    batched = BatchedEmbedder(FakeModel())
    images = [picture(i) for i in range(3)]
    np.testing.assert_array_equal(batched.embed_images(images), FakeModel().embed_images(images))
    features, texts = np.random.default_rng(0).normal(size=(4, DIM)).astype(np.float32), list("abca")
    np.testing.assert_array_equal(batched.compose(features, texts), FakeModel().compose(features, texts))
    batched.close()


def test_pictures_with_texts_reach_a_joint_model_together() -> None:
    class Joint(FakeModel):
        joint = True

        def compose_pictures(self, images: list[Image.Image], texts: list[str]) -> np.ndarray:
            return normalise(self.embed_images(images) + 2 * self.embed_texts(texts))

    batched, images, texts = BatchedEmbedder(Joint()), [picture(i) for i in range(3)], list("abc")
    assert batched.joint and not BatchedEmbedder(FakeModel()).joint
    np.testing.assert_array_equal(batched.compose_pictures(images, texts), Joint().compose_pictures(images, texts))
    batched.close()


def test_an_error_reaches_who_asked_and_the_thread_lives_on() -> None:
    model = SlowModel()
    model.go.set()
    batched = BatchedEmbedder(model)
    with pytest.raises(ValueError, match="bad text"):
        batched.embed_texts(["bad"])
    assert batched.embed_texts(["good"]).shape == (1, DIM)
    batched.close()
    assert not any(thread.is_alive() for thread in batched._threads)


def test_two_runs_go_side_by_side() -> None:
    class Meeting(FakeModel):
        def __init__(self) -> None:
            super().__init__()
            self.barrier = threading.Barrier(2, timeout=10)

        def embed_texts(self, texts: list[str]) -> np.ndarray:
            self.barrier.wait()  # breaks unless another thread comes here too
            return super().embed_texts(texts)

    batched = BatchedEmbedder(Meeting(), runners=2)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batched.embed_texts, ["a"])
        while batched._waiting:
            pass
        second = pool.submit(batched.embed_texts, ["b"])
        np.testing.assert_array_equal(first.result(), FakeModel().embed_texts(["a"]))
        np.testing.assert_array_equal(second.result(), FakeModel().embed_texts(["b"]))
    batched.close()


def test_two_runs_share_what_waits() -> None:
    model, sizes = SlowModel(), []
    batched = BatchedEmbedder(model, sizes.append, runners=2)
    with ThreadPoolExecutor(8) as pool:
        held = [pool.submit(batched.embed_texts, ["a"])]
        while batched._under_way < 1:
            pass
        held.append(pool.submit(batched.embed_texts, ["b"]))
        while batched._under_way < 2:
            pass
        texts = [f"text {i}" for i in range(6)]
        rest = [pool.submit(batched.embed_texts, [text]) for text in texts]
        while len(batched._waiting) < 6:
            pass
        model.go.set()
        np.testing.assert_array_equal(np.concatenate([r.result() for r in rest]), FakeModel().embed_texts(texts))
    assert sizes[:2] == [1, 1] and sum(sizes) == 8
    assert max(sizes) <= 4  # (6 that wait + at most 1 under way) / 2
    batched.close()


def test_what_waits_when_it_closes_is_answered() -> None:
    model = SlowModel()
    batched = BatchedEmbedder(model, runners=1)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(batched.embed_texts, [text]) for text in "abc"]
        while batched._under_way + len(batched._waiting) < 3:
            pass
        closing = threading.Thread(target=batched.close)
        closing.start()
        model.go.set()
        closing.join(10)
        assert all(a.result(10).shape == (1, DIM) for a in asked)
