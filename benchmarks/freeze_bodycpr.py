"""How the frozen files of BodyCPR-v1 in src/autocompose/prepare/bodycpr/data were made. Running it again replaces them.

``python benchmarks/freeze_bodycpr.py poses FILE`` draws the test part of the preset demo with seed 0, writes it, and
prints the hash that belongs into ``prepare/bodycpr/frozen.py``. Then ``... texts FILE`` describes its pairs; the hash
that this prints belongs into ``prepare/bodycpr/frozen_texts.py``. ``... written FILE TEXTS.jsonl`` freezes a real
multimodal LLM's texts about the odd-numbered cubes (the even-numbered ones were used for tuning the reader).
"""

import json
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
    settings = DemoSettings.preset_file("scratch", SEED)
    table = frozen.load().table(Body())
    found = [p for first in range(0, len(table.names), 8) for p in bodycpr.cube_pairs(table, first, Tally("pairs"))]
    corpus = Corpus(path.parent, {Split.TEST: tuple(found)}, {Split.TEST: table.names}, table)
    pairs = describe_split(corpus, Split.TEST, "sents", "independent", 1, settings, SEED)
    told = describe_split(corpus, Split.TEST, "auto", "coach", 3, settings, SEED)
    return frozen_texts.write(
        path, [replace(a, texts={**a.texts, **b.texts}) for a, b in zip(pairs, told, strict=True)]
    )


PROVENANCE = (
    "Written in November 2026 by a frontier multimodal LLM, which answered the annotation engine's own batch requests: "
    "describe mllm --frame colour --pictures side-by-side --size 960 --edit mllm, prompt set v1, on test pictures of "
    "BodyCPR-v1 rendered at 448 px. Stage I saw only the tinted pair of pictures, stage II only the list of movements. "
    "No text was edited. The model saw neither file names nor poses nor rule texts. Requests were answered in groups "
    "of 50 to 90 within one context, so they are not perfectly independent. Pairs of odd-numbered cubes. About a third "
    "of the texts have a clear error, nearly always of depth. For testing only: never train on them."
)


def written(path: Path, source: Path) -> str:
    found = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    texts = {(f["reference"], f["target"]): f["texts"] for f in found if f["cube"] % 2}
    return frozen_texts.write_written(path, PROVENANCE, texts)


if __name__ == "__main__":
    print({"poses": poses, "texts": texts, "written": written}[sys.argv[1]](*map(Path, sys.argv[2:])))
