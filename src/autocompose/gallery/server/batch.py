"""Concurrent requests share the encoder: requests that arrive while the model runs form the next batch."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autocompose.estimate.estimator import Person
from autocompose.model.embedders.embedder import Embedder

if TYPE_CHECKING:
    from autocompose.model.embed import Picture

Kind = Literal["images", "texts", "compositions", "joint"]
Job = tuple[Kind, Any, Future[np.ndarray]]
KINDS: tuple[Kind, ...] = ("texts", "images", "compositions", "joint")
MAX_BATCH = 32
PATIENCE = 0.5  # of the last run's time: what a run may wait for its share, when another run is under way
MAX_PATIENCE = 0.1  # seconds; the first run may have loaded the model


class BatchedEmbedder(Embedder):
    """An embedder for many threads: a few threads run the model, each on its share of the pending requests.

    A share counts what waits and what is under way, for those who have just been answered usually ask again: so four
    clients on two cores settle into two runs of two instead of three beside one. Whoever asks alone is
    answered at once.

    :param observe: is told the size of each batch.
    :param runners: threads that run the model; each uses one core. Default: two, or one on a single core. More would
        make the batches smaller, and a text costs half as much in a batch of four as alone.
    """

    def __init__(
        self, model: Embedder, observe: Callable[[int], None] = lambda size: None, runners: int | None = None
    ) -> None:
        self.name, self.fingerprint, self.card = model.name, model.fingerprint, model.card
        self._model, self._observe = model, observe
        self._waiting: deque[Job] = deque()
        self._under_way, self._last = 0, 0.0  # inputs of the runs under way; seconds of the last run
        self._news, self._closed = threading.Condition(), False
        self._runners = runners or min(2, os.cpu_count() or 1)
        names = [f"encoder {i}" for i in range(self._runners)]
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    @property
    def joint(self) -> bool:
        """As the model says."""
        return self._model.joint

    @property
    def finder(self) -> str:
        """As the model says."""
        return self._model.finder

    def embed_people(self, people: Sequence[Sequence[Person]]) -> np.ndarray:
        """``(N, D)`` un-normalised; too little work to be shared."""
        return self._model.embed_people(people)

    def embed_images(self, images: Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` un-normalised."""
        return self._ask("images", images)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised."""
        return self._ask("texts", texts)

    def compose(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised."""
        return self._ask("compositions", list(zip(images, texts, strict=True)))

    def compose_pictures(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised."""
        return self._ask("joint", list(zip(images, texts, strict=True)))

    def close(self) -> None:
        """Finish pending work, then stop."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        for thread in self._threads:
            thread.join(timeout=10)

    def _ask(self, kind: Kind, values: Sequence[Any]) -> np.ndarray:
        futures: list[Future[np.ndarray]] = [Future() for _ in values]
        with self._news:
            self._waiting.extend((kind, value, future) for value, future in zip(values, futures, strict=True))
            self._news.notify_all()
        return np.stack([future.result() for future in futures])

    def _run(self) -> None:
        while jobs := self._take():
            start = time.perf_counter()
            for kind in KINDS:
                batch = [(value, future) for k, value, future in jobs if k == kind]
                if batch:
                    self._compute(kind, [v for v, _ in batch], [f for _, f in batch])
            with self._news:
                self._under_way -= len(jobs)
                self._last = time.perf_counter() - start

    def _take(self) -> list[Job]:
        """This runner's next jobs, taken off the queue; empty once closed and done."""
        jobs: list[Job] = []
        with self._news:
            while not jobs and (self._waiting or not self._closed):
                self._news.wait_for(lambda: self._waiting or self._closed)
                patience = min(PATIENCE * self._last, MAX_PATIENCE)
                self._news.wait_for(lambda: len(self._waiting) >= self._share() or self._closed, patience)
                jobs = [self._waiting.popleft() for _ in range(min(self._share(), len(self._waiting)))]
            self._under_way += len(jobs)
        return jobs

    def _share(self) -> int:
        """How many jobs one runner should take, of those that wait or will soon come back; at least one."""
        return max(1, min(MAX_BATCH, -(-(len(self._waiting) + self._under_way) // self._runners)))

    def _compute(self, kind: Kind, values: list[Any], futures: list[Future[np.ndarray]]) -> None:
        self._observe(len(values))
        try:
            rows = self._rows(kind, values)
        except Exception as error:  # belongs to those who asked; the thread must live on
            for future in futures:
                future.set_exception(error)
            return
        for row, future in zip(rows, futures, strict=True):
            future.set_result(np.array(row))

    def _rows(self, kind: Kind, values: list[Any]) -> np.ndarray:
        if kind == "texts":
            return self._model.embed_texts(values)
        if kind == "images":
            return self._model.embed_images(values)
        images, texts = [image for image, _ in values], [text for _, text in values]
        if kind == "joint":
            return self._model.compose_pictures(images, texts)
        return self._model.compose(np.stack(images), texts)
