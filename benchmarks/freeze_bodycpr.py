"""How the frozen files of BodyCPR-v1 in src/autocompose/prepare/data were made. Running it again replaces them.

``python benchmarks/freeze_bodycpr.py poses FILE`` draws the test part of the preset demo with seed 0, writes it, and
prints the hash that belongs into ``prepare/frozen.py``. ``... texts FILE CORPUS`` describes the test pairs of a
finished corpus of that preset; its hash belongs into ``prepare/frozen_texts.py``.
"""

import sys
from functools import partial
from pathlib import Path

from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.demo.settings import DemoSettings
from autocompose.demo.texts import describe_split
from autocompose.prepare import bodycpr, frozen, frozen_texts

SEED = 0


def poses(path: Path) -> str:
    size = bodycpr.PRESETS["demo"]
    tasks = [task for task in bodycpr.tasks(size) if task.split is Split.TEST]
    made = list(map(partial(bodycpr.make_cluster, seed=SEED, count=size.per_cluster), tasks))
    table = bodycpr.pose_table(made)
    looks = {task.number: bodycpr.look_of(SEED, task.number) for task in tasks}
    shots = [bodycpr.shot_of(SEED, row) for row in range(len(table.names))]
    return frozen.write(path, table, looks, shots)


def texts(path: Path, corpus: Path) -> str:
    settings = DemoSettings.preset_file("demo", SEED)
    loaded = load_corpus(corpus, [Split.TEST])
    pairs = describe_split(loaded, Split.TEST, "sents", "independent", 1, settings, SEED)
    told = describe_split(loaded, Split.TEST, "auto", "coach", 3, settings, SEED)
    both = [a.texts | {"auto": b.texts["auto"]} for a, b in zip(pairs, told, strict=True)]
    return frozen_texts.write(path, [type(p)(p.reference, p.target, texts=t) for p, t in zip(pairs, both, strict=True)])


if __name__ == "__main__":
    print({"poses": poses, "texts": texts}[sys.argv[1]](*map(Path, sys.argv[2:])))
