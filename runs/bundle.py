"""Put small-v2 into the package: python runs/bundle.py RUN [FIGURES]

RUN: folder of ``train.poses.fit``. FIGURES: a JSON file for the card. Weights are stored in half precision;
``tests/demo/test_demo.py`` holds what they must still be able to do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from autocompose.core.files import read_json
from autocompose.core.log import say
from autocompose.model.bundled import FOLDER
from autocompose.model.checkpoint import load_model, save_model

model = load_model(Path(sys.argv[1]))
if len(sys.argv) > 2:
    model.card["figures"] = read_json(Path(sys.argv[2]))
model.encoder.half()
model.composer.half()
save_model(FOLDER, model)
say(f"{FOLDER}: {sum(f.stat().st_size for f in FOLDER.iterdir()) / 1e6:.1f} MB")
