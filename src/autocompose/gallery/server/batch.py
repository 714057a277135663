"""Concurrent requests share the encoder: whatever waits while one batch runs becomes the next batch."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Literal

import numpy as np
from PIL import Image

from autocompose.gallery.model import Embedder

Kind = Literal["images", "texts", "compositions"]
MAX_BATCH = 32
CACHED_TEXTS = 2048


class BatchedEmbedder:
    """An embedder for many threads: one thread runs the model, on all that has been asked for meanwhile.

    Texts are cached; pictures are not, so that nobody's picture stays in memory.

    :param observe: is told the size of each batch.
    """

    def __init__(self, model: Embedder, observe: Callable[[int], None] = lambda size: None) -> None:
        self.fingerprint = model.fingerprint
        self._model, self._observe = model, observe
        self._queue: SimpleQueue[tuple[Kind, Any, Future[np.ndarray]] | None] = SimpleQueue()
        self._texts: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """``(N, D)`` un-normalised."""
        return self._ask("images", images)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised."""
        with self._lock:
            known = {text: self._texts[text] for text in texts if text in self._texts}
            for text in known:
                self._texts.move_to_end(text)
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, self._ask("texts", new), strict=True))
            with self._lock:
                self._texts.update((text, known[text]) for text in new)
                while len(self._texts) > CACHED_TEXTS:
                    self._texts.popitem(last=False)
        return np.stack([known[text] for text in texts])

    def compose(self, images: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """``(N, D)`` normalised."""
        return self._ask("compositions", list(zip(images, texts, strict=True)))

    def close(self) -> None:
        """Finish what waits, then stop."""
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _ask(self, kind: Kind, values: Sequence[Any]) -> np.ndarray:
        futures: list[Future[np.ndarray]] = [Future() for _ in values]
        for value, future in zip(values, futures, strict=True):
            self._queue.put((kind, value, future))
        return np.stack([future.result() for future in futures])

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            waiting = [first]
            while len(waiting) < MAX_BATCH and not self._queue.empty():
                entry = self._queue.get()
                if entry is None:
                    self._queue.put(None)
                    break
                waiting.append(entry)
            for kind in ("texts", "images", "compositions"):
                batch = [(value, future) for k, value, future in waiting if k == kind]
                if batch:
                    self._compute(kind, [v for v, _ in batch], [f for _, f in batch])

    def _compute(self, kind: str, values: list[Any], futures: list[Future[np.ndarray]]) -> None:
        self._observe(len(values))
        try:
            if kind == "texts":
                rows = self._model.embed_texts(values)
            elif kind == "images":
                rows = self._model.embed_images(values)
            else:
                rows = self._model.compose(np.stack([v[0] for v in values]), np.stack([v[1] for v in values]))
        except Exception as error:  # belongs to those who asked; the thread must live on
            for future in futures:
                future.set_exception(error)
            return
        for row, future in zip(rows, futures, strict=True):
            future.set_result(np.array(row))
