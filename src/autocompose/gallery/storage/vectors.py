"""Vector indices: exact by default, inverted lists on request, with measured recall."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from autocompose.core.errors import DependencyError, GalleryError
from autocompose.core.files import atomic_file

Kind = Literal["exact", "approximate"]
RECALL_DEPTH = 50
RECALL_GOAL = 0.97  # measured on a sample, so a little above the 0.95 that is promised
SAMPLE = 256
MIN_APPROXIMATE = 5_000  # below, inverted lists save nothing


def load_faiss() -> Any:
    """The faiss module.

    :raises DependencyError: not installed.
    """
    try:
        import faiss
    except ImportError:
        raise DependencyError("faiss-cpu", "search", "A gallery") from None
    return faiss


def normalise(vectors: np.ndarray) -> np.ndarray:
    """``(..., D)`` float32 of length 1; zero vectors stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)


class Allowed:
    """The only items that a search may find; kept where many searches share them, as Faiss takes a while to sort them.

    :param ids: ``(N,)`` int64.
    """

    def __init__(self, ids: np.ndarray) -> None:
        self.ids, self.selector = ids, load_faiss().IDSelectorBatch(ids)


@dataclass
class VectorIndex:
    """Ids and normalised vectors, searched by inner product (= cosine).

    :param recall: share of the exact top 50 that the index finds, measured when it was built; 1 for an exact one.
    """

    index: Any
    recall: float = 1.0

    @classmethod
    def build(cls, ids: np.ndarray, vectors: np.ndarray, kind: Kind = "exact") -> VectorIndex:
        """Index ``vectors`` (N, D) float32 normalised under ``ids`` (N,) int64.

        Fewer than 5,000 vectors are always searched exactly.
        """
        faiss = load_faiss()
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        dim = vectors.shape[1]
        exact = faiss.IndexIDMap(faiss.IndexFlatIP(dim))
        exact.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)
        if kind == "exact" or len(ids) < MIN_APPROXIMATE:
            return cls(exact)
        lists = int(2 * np.sqrt(len(ids)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.niter = 0, 10
        index.cp.max_points_per_centroid = 64
        index.train(vectors)
        index.add_with_ids(vectors, ids)
        return cls(index, _tune(index, exact, vectors))

    def search(
        self, query: np.ndarray, k: int, allowed: Allowed | None = None, banned: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best ids (int64) and cosines (float32), best first; fewer when there are no more.

        :param query: ``(D,)`` normalised.
        :param allowed: only these; ``banned``: all but these ids.
        """
        faiss = load_faiss()
        k = min(k, self.index.ntotal)
        if k <= 0 or (allowed is not None and not len(allowed.ids)):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        chosen = None if allowed is None else allowed.selector
        if banned is not None and len(banned):
            refused = faiss.IDSelectorNot(faiss.IDSelectorBatch(banned))
            chosen = refused if chosen is None else faiss.IDSelectorAnd(chosen, refused)
        faiss.omp_set_num_threads(1)  # of this thread: for one query, waking and waiting costs more than it saves
        scores, ids = self.index.search(query[None], k, params=self._parameters(chosen))
        valid = ids[0] >= 0
        return ids[0][valid], scores[0][valid]

    def _parameters(self, selector: Any) -> Any:
        faiss = load_faiss()
        if isinstance(self.index, faiss.IndexIVF):
            return faiss.SearchParametersIVF(sel=selector, nprobe=self.index.nprobe)
        return faiss.SearchParameters(sel=selector) if selector is not None else None

    def save(self, path: Path) -> str:
        """Write atomically; returns the SHA-256 of the file, without which it is not loaded again."""
        faiss = load_faiss()
        digest = hashlib.sha256()

        def write(block: bytes) -> int:
            digest.update(block)
            return file.write(block)

        with atomic_file(path) as file:
            faiss.write_index(self.index, faiss.PyCallbackIOWriter(write))
        return digest.hexdigest()

    @classmethod
    def load(cls, path: Path, checksum: str, recall: float = 1.0) -> VectorIndex:
        """Read a file that ``save`` has written.

        It is read as a whole, not mapped: the process would die of a file that somebody cuts off later. And Faiss sees
        it only after its checksum, for it trusts what it reads.

        :raises GalleryError: missing, damaged, or another file.
        """
        faiss = load_faiss()
        try:
            with open(path, "rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
                if digest.hexdigest() != checksum:
                    raise GalleryError(f"{path}: changed since it was written; index the pictures again")
                file.seek(0)
                return cls(faiss.read_index(faiss.PyCallbackIOReader(file.read)), recall)
        except (OSError, RuntimeError) as error:
            raise GalleryError(f"{path}: not a readable vector file ({str(error)[:80]})") from None


def _spelled(path: Path) -> bool:
    """Faiss opens paths that are UTF-8 only; others are read into memory here, and not shared."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _tune(index: Any, exact: Any, vectors: np.ndarray) -> float:
    """Double the number of probed lists until the goal is met; returns the recall that was reached.

    It is the worse of two samples: queries that lie where pictures are, and queries halfway between two pictures.
    """
    rows = np.random.default_rng(0).integers(len(vectors), size=(2, SAMPLE))
    samples = [vectors[rows[0]], normalise(vectors[rows[0]] + vectors[rows[1]])]
    truths = [exact.search(queries, RECALL_DEPTH)[1] for queries in samples]
    index.nprobe = 8
    while True:
        recall = min(
            _overlap(index.search(queries, RECALL_DEPTH)[1], truth)
            for queries, truth in zip(samples, truths, strict=True)
        )
        if recall >= RECALL_GOAL or index.nprobe >= index.nlist:
            return recall
        index.nprobe = min(index.nprobe * 2, index.nlist)


def _overlap(ids: np.ndarray, truth: np.ndarray) -> float:
    """Mean share of each row of ``truth`` (Q, K) that is in the same row of ``ids``."""
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(ids, truth, strict=True)]))
