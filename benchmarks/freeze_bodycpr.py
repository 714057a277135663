"""How the frozen files of BodyCPR-v1 in src/autocompose/prepare/bodycpr/data were made. Running it again replaces them.

``python benchmarks/freeze_bodycpr.py poses FILE`` draws the test part of the preset demo with seed 0, writes it, and
prints the hash that belongs into ``prepare/bodycpr/frozen.py``. Then ``... texts FILE`` describes its pairs; the hash
that this prints belongs into ``prepare/bodycpr/frozen_texts.py``.
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from autocompose.bodies.rendering.body import Body
from autocompose.core.log import Tally
from autocompose.core.records import Split
from autocompose.corpus.format import Corpus
from autocompose.demo.presets import DemoSettings
from autocompose.demo.wordings import describe_split
from autocompose.prepare.bodycpr import clusters as bodycpr
from autocompose.prepare.bodycpr import frozen, frozen_texts

SEED = 0


def poses(path: Path) -> str:
    size = bodycpr.PRESETS["demo"]
    tasks = [task for task in bodycpr.tasks(size) if task.split is Split.TEST]
    made = list(map(partial(bodycpr.make_cluster, seed=SEED, count=size.per_cluster), tasks))
    table = bodycpr.pose_table(made)
    looks = {task.number: bodycpr.look_of(SEED, task.number) for task in tasks}
    shots = [bodycpr.shot_of(SEED, row) for row in range(len(table.names))]
    return frozen.write(path, table, looks, shots)


def texts(path: Path) -> str:
    settings = DemoSettings.preset_file("demo", SEED)
    table = frozen.load().table(Body())
    found = [p for first in range(0, len(table.names), 8) for p in bodycpr.cube_pairs(table, first, Tally("pairs"))]
    corpus = Corpus(path.parent, {Split.TEST: tuple(found)}, {Split.TEST: table.names}, table)
    pairs = describe_split(corpus, Split.TEST, "sents", "independent", 1, settings, SEED)
    told = describe_split(corpus, Split.TEST, "auto", "coach", 3, settings, SEED)
    return frozen_texts.write(
        path, [replace(a, texts={**a.texts, **b.texts}) for a, b in zip(pairs, told, strict=True)]
    )


if __name__ == "__main__":
    print({"poses": poses, "texts": texts}[sys.argv[1]](*map(Path, sys.argv[2:])))
