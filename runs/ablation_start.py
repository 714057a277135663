"""What runs/ablation.sh starts from, made once: part of a demo's benchmark with three wordings, and its encoder.

    python runs/ablation_start.py DEMO OUT

OUT/corpus: PER_CUBE training pairs of each cube (val and test are the demo's), with three wordings of each rule text.
OUT/start: the demo's image encoder as it was pretrained, with a fresh text encoder. DEMO is only read.
"""

import dataclasses
import os
import sys
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from autocompose.core.records import Split
from autocompose.core.run_folder import RunFolder
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.describe.rules.corpus_texts import write_texts
from autocompose.describe.rules.options import RuleOptions
from autocompose.model.checkpoint import Model, load_model, save_model
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.encoder import Encoder

PER_CUBE, WORDINGS = 12, 3


def part(corpus: Corpus, root: Path) -> Corpus:
    """The same corpus with ``PER_CUBE`` random training pairs of each cube."""
    cubes: dict[int, list] = {}
    for pair in corpus.split(Split.TRAIN):
        cubes.setdefault(pair.extra["cube"], []).append(pair)
    rng = np.random.default_rng(0)
    kept = tuple(pairs[i] for pairs in cubes.values() for i in sorted(rng.permutation(len(pairs))[:PER_CUBE]))
    return dataclasses.replace(corpus, root=root, pairs={**corpus.pairs, Split.TRAIN: kept})


def main(demo: Path, out: Path) -> None:
    """Make both, once."""
    settings = RunFolder(demo, "demo", "a demo").made_with()
    corpus = part(load_corpus(demo / "corpus"), out / "corpus")
    corpus.save()
    images = corpus.root / "images"
    if not images.exists():
        images.symlink_to((demo / "corpus" / "images").resolve())
    values = {"noise": 0.0, "rotation": False, "absolute": "none", "trunk": True, "max_parts": settings["statements"]}
    options = RuleOptions.parse({**values, "bank": "coach"}, "options")  # the demo's
    told = [Split.TRAIN, Split.VAL]
    write_texts(corpus.root, options=options, n_texts=WORDINGS, splits=told, processes=os.cpu_count() or 1)
    texts = [t for p in load_corpus(corpus.root).split(Split.TRAIN) for t in p.texts["auto"]]
    config = load_model(demo / "sum").encoder.config.model_copy(update={"vocabulary": None})
    encoder = Encoder(config).with_vocabulary(texts)
    encoder.visual.load_state_dict(load_file(demo / "pretrain" / "visual.safetensors"))
    save_model(out / "start", Model(encoder, ElementwiseSum()))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
