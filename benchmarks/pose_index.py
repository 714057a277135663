"""Symbolic and fused search in a million synthetic items: time, memory, and recall against the full scan.

    python benchmarks/pose_index.py [--items 1000000] [--dim 256] [--queries 60] [--scratch FOLDER] [--gallery]

Poses are blends of sampled ones with noise on every joint angle; vectors are random ones in loose clusters, indexed as
galleries do it. Half of the texts are rule texts, a quarter describe a pose without a reference, a quarter name
relations. Recall is that of the first 10 of the full scan, on 100,000 of the items. Each text is asked once before it
is timed, as a gallery measures a feature when a text first asks for it; that first time is given too.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.sampling import limits
from autocompose.bodies.sampling.sampler import FAMILIES, sample
from autocompose.describe.audit.measure import Poses
from autocompose.describe.rules.texts import describe
from autocompose.evaluate.fusion import Weights, fuse
from autocompose.evaluate.measured import Measured
from autocompose.evaluate.pose_index import DEPTH, PoseIndex
from autocompose.evaluate.satisfaction import rule_options
from autocompose.evaluate.symbolic import PoseQuery
from autocompose.gallery.gallery_folder import GalleryConfig
from autocompose.gallery.item import Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage.store import EmbeddedStore
from autocompose.gallery.storage.vectors import VectorIndex, normalise
from autocompose.model.embedders.embedder import Embedder

STATES = ("both arms up", "hands on the hips", "right knee bent and left arm out to the side", "arms crossed")
RELATIONS = ("put your left hand on your right knee", "bring your hands together in front of your chest",
             "move your right foot behind the left one", "raise your left hand above your head")  # fmt: skip
BLOCK = 20_000
SCANNED = 100_000
NAMED = 1000  # candidates that each engine names when both are fused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--gallery", action="store_true", help="through Gallery.search")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        joints = synthetic(options.items)
        questions = asked(joints, options.queries)
        if options.gallery:
            through_gallery(Path(scratch), joints, options.dim, questions)
            return
        start = time.perf_counter()
        index = PoseIndex.write(Path(scratch), joints, None, "synthetic")
        size = sum(f.stat().st_size for f in Path(scratch).iterdir()) / 2**20
        print(f"written in {time.perf_counter() - start:.0f} s, {size:.0f} MiB on disk, mapped")
        queries = [PoseQuery.of(q.text, None if q.row is None else Measured.one(joints[q.row])) for q in questions]
        recall(joints[:SCANNED], queries)
        del joints
        times("symbolic", [lambda q=q: index.search(q, 10) for q in queries])
        held = sum(column.nbytes for column in index._columns.values()) / 2**20
        print(f"measured columns {held:.0f} MiB; process peak {peak():.0f} MiB (with the making of the items)")
        vectors, model = embedded(options.items, options.dim)
        rng = np.random.default_rng(3)
        asked_for = normalise(vectors[rng.integers(len(vectors), size=len(queries))])
        pairs = list(zip(queries, asked_for, strict=True))
        times("model alone", [lambda v=v: model.search(v, NAMED) for v in asked_for])
        times("auto", [lambda q=q, v=v: fused(index, model, vectors, q, v) for q, v in pairs])
        print(f"vectors {vectors.nbytes / 2**20:.0f} MiB; process peak {peak():.0f} MiB")


def synthetic(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    base = np.concatenate([limits.to_rotations(sample(family, 200, rng)) for family in FAMILIES])
    joints = np.empty((n, 22, 3), np.float32)
    for first in range(0, n, BLOCK):
        size = min(BLOCK, n - first)
        a, b = base[rng.integers(len(base), size=(2, size))]
        share = rng.random((size, 1, 1))
        joints[first : first + size] = forward(a * share + b * (1 - share) + rng.normal(0, 0.12, a.shape))[0]
    return joints


class Question(NamedTuple):
    """A text, and the row of its reference."""

    text: str
    row: int | None


def asked(joints: np.ndarray, count: int) -> list[Question]:
    rng, found = np.random.default_rng(1), []
    for i in range(count):
        row, target = rng.integers(min(len(joints), SCANNED // 10), size=2)
        if i % 4 == 0:
            found.append(Question(STATES[i // 4 % len(STATES)], None))
            continue
        text = RELATIONS[i // 4 % len(RELATIONS)]
        if i % 4 > 1:
            text = describe(joints[[row]].astype(float), joints[[target]].astype(float), i, 1, rule_options(3))[
                0
            ].texts[0]
        found.append(Question(text, int(row)))
    return found


def recall(joints: np.ndarray, queries: list[PoseQuery]) -> None:
    index, everything = PoseIndex.of(joints), Measured(Poses(joints))
    shares = []
    for query in queries:
        best = np.argsort(-query.scores(everything), kind="stable")[:10]
        depth = DEPTH * len(joints) // 1_000_000  # as deep, in proportion, as in a million
        shares.append(len(np.intersect1d(best, index.search(query, 10, depth=depth)[0])) / 10)
    print(
        f"recall@10 against the full scan of {len(joints):,}, {depth} candidates: {np.mean(shares):.3f},"
        f" worst {min(shares):.1f}"
    )


def embedded(n: int, dim: int) -> tuple[np.ndarray, VectorIndex]:
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(2000, dim)).astype(np.float32)
    vectors = np.empty((n, dim), np.float32)
    for first in range(0, n, BLOCK):
        size = min(BLOCK, n - first)
        noise = rng.normal(size=(size, dim)).astype(np.float32)
        vectors[first : first + size] = normalise(centres[rng.integers(2000, size=size)] + 0.7 * noise)
    start = time.perf_counter()
    model = VectorIndex.build(np.arange(n), vectors, "approximate")
    print(f"vectors indexed in {time.perf_counter() - start:.0f} s, recall@50 {model.recall:.3f}")
    return vectors, model


def fused(
    index: PoseIndex, model: VectorIndex, vectors: np.ndarray, query: PoseQuery, vector: np.ndarray
) -> np.ndarray:
    """Both engines name candidates; each is scored exactly by both."""
    named, _ = index.search(query, NAMED)
    rows = np.union1d(named, model.search(vector, NAMED)[0])
    scores = fuse(vectors[rows] @ vector, index.scores(query, rows), Weights())
    return rows[np.argsort(-scores)[:10]]


class Drawn(Embedder):
    """A model that costs nothing: features of texts are drawn."""

    fingerprint = "drawn"
    card: ClassVar[dict[str, object]] = {}

    def __init__(self, dim: int) -> None:
        self._dim = dim

    @property
    def dim(self) -> int:
        return self._dim

    def embed_images(self, images: Sequence[object]) -> np.ndarray:
        return np.ones((len(images), self._dim), np.float32)  # a server embeds one when it starts

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([np.random.default_rng(list(t.encode())).normal(size=self._dim) for t in texts], np.float32)

    def compose(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        return normalise(normalise(images) + 0.3 * normalise(self.embed_texts(texts)))


def through_gallery(folder: Path, joints: np.ndarray, dim: int, questions: list[Question]) -> None:
    vectors, _ = embedded(len(joints), dim)
    writer = EmbeddedStore(folder, Drawn.fingerprint, "approximate", write=True)
    start, cpu, keys = time.perf_counter(), time.process_time(), []
    for first in range(0, len(joints), BLOCK):
        items = [item(first + i, pose) for i, pose in enumerate(joints[first : first + BLOCK])]
        keys += [each.id for each in items]
        writer.put(items, vectors[first : first + BLOCK])
    writer.publish()
    writer.close()
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20
    spent = time.process_time() - cpu
    print(f"gallery written in {time.perf_counter() - start:.0f} s ({spent:.0f} s CPU), {size:.0f} MiB on disk")
    config = GalleryConfig(
        pictures=str(folder), source=str(folder), model="", fingerprint=Drawn.fingerprint, dim=dim, poses=True
    )
    gallery = Gallery(folder, config, EmbeddedStore(folder, Drawn.fingerprint), Drawn(dim))
    for more in ({"engine": "symbolic"}, {"engine": "auto"}, {"engine": "auto", "where": {"tenth": "3"}}):
        asks = [{"text": q.text, "reference": None if q.row is None else keys[q.row], **more} for q in questions]
        times(str(more), [lambda a=a: gallery.search(k=10, **a) for a in asks])
    print(f"process peak {peak():.0f} MiB (with the making of the items)")


def item(i: int, joints: np.ndarray) -> Item:
    return Item(f"{i}.png", f"{i:064x}", 1, 1, 9, 9, meta={"tenth": i % 10}, pose=Pose(joints))


def times(name: str, calls: list) -> None:
    def clock(call) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)

    first = np.array([clock(call) for call in calls])
    again = np.array([min(clock(call) for _ in range(3)) for call in calls])
    p50, p95 = np.percentile(again[:, 0], [50, 95])
    print(
        f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, {np.median(again[:, 1]):.0f} ms CPU (best of 3);"
        f" asked for the first time p50 {np.median(first[:, 0]):.0f} ms, slowest {first[:, 0].max():.0f} ms",
        flush=True,
    )


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
