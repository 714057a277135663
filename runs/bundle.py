"""Put a finished demo's model into the package: python runs/bundle.py DEMO

Weights are stored in half precision; ``tests/model/test_bundled.py`` holds what they must still be able to do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from autocompose.core.files import read_json
from autocompose.core.log import say
from autocompose.model.bundled import FOLDER
from autocompose.model.checkpoint import load_model, save_model

demo = Path(sys.argv[1])
model = load_model(demo / "model")
metrics = read_json(demo / "metrics.json")
kept = ("recall_at1", "recall_at10", "group_recall_at1")
model.card |= {
    "name": FOLDER.name,
    "made by": "autocompose demo",
    "test": {key: metrics["combiner"][key] for key in kept},
    "benchmark_hash": metrics["benchmark_hash"],
    "seed": metrics["seed"],
    "licence": "MIT; trained on rendered bodies only",
}
model.encoder.half()
model.composer.half()
save_model(FOLDER, model)
say(f"{FOLDER}: {sum(f.stat().st_size for f in FOLDER.iterdir()) / 1e6:.1f} MB")
