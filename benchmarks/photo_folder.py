"""The benchmark's test pictures as a stranger's folder: indexed without poses, every question searched as a user would.

    python benchmarks/photo_folder.py CORPUS [--engines auto learned symbolic] [--keep GALLERY]

CORPUS is a BodyCPR-v1 corpus (``autocompose demo`` leaves one in demo/corpus). Its test pictures alone are copied into
a folder of their own and go through ``Gallery.build``, so that all poses are estimated; then each question is a
``Gallery.search``. Prints recalls in percent with 95 % intervals over clusters for each bank of texts and each engine,
and the paired gain of the first engine over each other one.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

import autocompose
from autocompose.core.errors import InputError
from autocompose.core.records import Question, Split
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.evaluate.metrics import Difference, Ranks, compare
from autocompose.evaluate.questions import clusters_of

BANKS = ("auto", "sents", "mllm")
MAX_K = 500  # results that a search returns at most
SHOWN = ("recall_at1", "recall_at10", "group_recall_at1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--engines", nargs="+", default=["auto", "learned", "symbolic"])
    parser.add_argument("--keep", type=Path, help="folder for pictures and gallery; a finished one is used again")
    options = parser.parse_args()
    corpus = load_corpus(options.corpus)
    with tempfile.TemporaryDirectory() as scratch:
        gallery = build(corpus, options.keep or Path(scratch))
        for bank in BANKS:
            report(corpus, gallery, bank, options.engines)


def build(corpus: Corpus, folder: Path) -> autocompose.Gallery:
    """A gallery of the test pictures alone."""
    names, pictures = corpus.galleries[Split.TEST], folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (pictures / name).exists():
            shutil.copy(corpus.image_path(name), pictures / name)
    start = time.perf_counter()
    gallery = autocompose.Gallery.build(pictures, folder / "gallery", model=autocompose.load("small"))
    print(f"{len(names)} pictures, {len(gallery)} items, indexed in {time.perf_counter() - start:.0f} s")
    return gallery


def report(corpus: Corpus, gallery: autocompose.Gallery, bank: str, engines: list[str]) -> None:
    queries = corpus.questions(Split.TEST, bank)
    clusters = clusters_of(corpus, queries)
    ranks = {engine: ranked(gallery, queries, engine) for engine in engines}
    for engine, one in ranks.items():
        metrics, intervals = one.metrics(), one.ci95(clusters)
        figures = ", ".join(f"{k} {metrics[k]:.1f} ({intervals[k][0]:.1f}-{intervals[k][1]:.1f})" for k in SHOWN)
        print(f"{bank}, {engine}, {len(queries)} queries: {figures}")
    for engine in engines[1:]:
        gain = compare(ranks[engine], ranks[engines[0]], clusters)
        print(f"{bank}, {engines[0]} over {engine}: " + ", ".join(f"{k} {line(gain[k])}" for k in SHOWN))


def line(gain: Difference) -> str:
    return f"{gain.value:+.1f} ({gain.ci95[0]:+.1f} to {gain.ci95[1]:+.1f})"


def ranked(gallery: autocompose.Gallery, queries: list[Question], engine: str) -> Ranks:
    """The rank of each target; a target that is not among the ``MAX_K`` results counts as the last everywhere."""
    whole, group = [], []
    for query in queries:
        try:
            hits = list(gallery.search(query.text, reference=query.reference, k=MAX_K, engine=engine))
        except InputError:  # nobody was found in the reference, and this engine needs a pose
            hits = []
        place = {name: n for n, name in enumerate(dict.fromkeys(Path(hit.item.path).name for hit in hits))}
        target, others = place.get(query.target), set(query.group) - {query.reference, query.target}
        whole.append(len(gallery) if target is None else target)
        group.append(sum(target is None or place.get(name, MAX_K) < target for name in others))
    return Ranks(np.array(whole), np.array(group))


if __name__ == "__main__":
    main()
