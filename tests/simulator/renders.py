"""Pairs of an embedded benchmark for the simulated annotator: its pictures get a machine-readable number on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable
from tests.simulator.figures import strip_of

POINTS = "coco2d"


def stamped(corpus: Corpus, pairs: Mapping[Split, Sequence[Pair]], root: Path) -> Corpus:
    """A corpus of some pairs, with poses and, where known, keypoints; existing pictures are kept."""
    assert corpus.poses is not None
    bare = {s: tuple(replace(p, texts={}) for p in chosen) for s, chosen in pairs.items()}
    names = sorted({n for chosen in bare.values() for p in chosen for n in (p.reference, p.target)})
    rows = corpus.poses.rows(names)
    (root / "images").mkdir(parents=True, exist_ok=True)
    heights = [_stamp(corpus.image_path(name), root / "images" / name, i) for i, name in enumerate(names)]
    columns = {key: values[rows] for key, values in corpus.poses.columns.items()}
    if POINTS in columns:
        columns[POINTS] = columns[POINTS] + np.stack([np.zeros(len(names)), heights], 1)[:, None].astype(np.float32)
    table = PoseTable(tuple(names), corpus.poses.joints[rows], corpus.poses.yaw[rows], columns)
    galleries = {s: tuple(sorted({n for p in chosen for n in p.img_set})) for s, chosen in bare.items()}
    made = Corpus(root, bare, galleries, table)
    made.save()
    return made


def _stamp(source: Path, target: Path, number: int) -> int:
    """Write a picture with its number above it; returns the height of the strip, pixels."""
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    strip = strip_of(number, image.width)
    if not target.exists():
        canvas = Image.new("RGB", (image.width, strip.height + image.height))
        canvas.paste(strip, (0, 0))
        canvas.paste(image, (0, strip.height))
        canvas.save(target)
    return strip.height
