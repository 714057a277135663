"""The paper's claims on small-v2: wordings, reverse, mirror, cycle, Combiner; and what the text side reads.

    python -m autocompose.train.poses.ablation LIFTING CUBES OUT [--seeds 0,1,2] [--epochs 20] [--cells "a;b"]

Every cell is trained with the same number of steps and questions, and asked the first half of the validation
part. A finished cell is only read, a stopped one continues. Writes OUT/results.json and prints it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from autocompose.core.files import write_json
from autocompose.core.log import say
from autocompose.train.poses.cubes import Cubes
from autocompose.train.poses.figures import METRICS, cosines_of, hits, summary
from autocompose.train.poses.fit import SmallSettings, held_out, trained
from autocompose.train.poses.parts import Part

ONE = {"sources": {"coach": 1.0}}
WORDS = {"sources": {"coach": 0.5, "human": 0.5}}  # what can be read by its words
BY_WORDS = {"claim_bag": False}
ONE_WAY = {"reverse": False, "pairs": 6}  # as many questions as both ways of three pairs
CELLS: dict[str, dict[str, dict[str, Any]]] = {  # name -> changes of the settings' sections
    "all": {},
    "no cycle": {"stage": {"cycle_weight": 0.0}},
    "no reverse": {"stage": ONE_WAY},
    "no mirror": {"stage": {"mirror": False}},
    "no reverse, no mirror": {"stage": {**ONE_WAY, "mirror": False}},
    "no reverse, no mirror, no cycle": {"stage": {**ONE_WAY, "mirror": False, "cycle_weight": 0.0}},
    "one wording": {"stage": ONE},
    "sum": {"own": {"composer": "sum"}},
    "claims": {"stage": WORDS},
    "claims, transformer": {"stage": WORDS, "sizes": BY_WORDS},
    "words, transformer": {"stage": WORDS, "sizes": {**BY_WORDS, "reads": "words"}},
    "both, transformer": {"stage": WORDS, "sizes": {**BY_WORDS, "reads": "both"}},
    "words": {"stage": WORDS, "sizes": {"reads": "words"}},
    "both": {"stage": WORDS, "sizes": {"reads": "both"}},
}
PAIRS = [  # what is compared with what: first, second
    ("no cycle", "all"),
    ("no reverse", "all"),
    ("no mirror", "all"),
    ("no reverse, no mirror", "all"),
    ("no reverse, no mirror, no cycle", "no reverse, no mirror"),
    ("one wording", "all"),
    ("sum", "all"),
    ("words, transformer", "claims, transformer"),
    ("words, transformer", "both, transformer"),
    ("claims, transformer", "both, transformer"),
    ("claims, transformer", "claims"),
    ("words", "claims"),
    ("both", "claims"),
]
KEYS = ("auto", "sents")


class Cell(NamedTuple):
    """One training, and ``(Q, 2)`` hits of each bank."""

    name: str
    seed: int
    hits: dict[str, np.ndarray]


def settings_of(name: str, seed: int, epochs: int) -> SmallSettings:
    """The shipped settings with a cell's changes."""
    changes, shipped = CELLS[name], SmallSettings.shipped()
    changed = shipped.with_(changes.get("stage"), {"epochs": epochs})
    sizes = shipped.sizes.model_copy(update=changes.get("sizes", {}))
    return changed.model_copy(update={"sizes": sizes, "seed": seed, **changes.get("own", {})})


def run_cell(name: str, seed: int, epochs: int, cubes: Path, lifting: Path, out: Path, part: Part) -> Cell:
    """Train, or finish, or read."""
    folder = Path(out) / name.replace(", ", "-").replace(" ", "_") / str(seed)
    path = folder / "hits.npz"
    if not path.exists():
        model = trained(Cubes.read(cubes), held_out(lifting), folder, settings_of(name, seed, epochs))
        answered = {key: hits(cosines_of(model, part, key), part.rows(key)) for key in KEYS}
        np.savez(path, **answered)  # type: ignore[arg-type]
        say(f"{name}, seed {seed}: " + _means(Cell(name, seed, answered)))
    with np.load(path) as file:
        return Cell(name, seed, {key: file[key] for key in KEYS})


def main() -> None:
    """Run, compare, write, print."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("lifting", "cubes", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=SmallSettings.shipped().loop.epochs)
    parser.add_argument("--cells", default=";".join(CELLS), help="names with ; between them")
    options = parser.parse_args()
    part, cells = Part.read(options.lifting, "val-first"), dict[str, list[Cell]]()
    for seed in map(int, options.seeds.split(",")):
        for name in options.cells.split(";"):
            cell = run_cell(name, seed, options.epochs, options.cubes, options.lifting, options.out, part)
            cells.setdefault(name, []).append(cell)
    body = {key: part.body[part.rows(key).reference] for key in KEYS}
    report: dict[str, Any] = {"epochs": options.epochs, "cells": {}, "differences": {}}
    for name, rows in cells.items():
        report["cells"][name] = {key: summary(np.stack([c.hits[key] for c in rows]), body[key]) for key in KEYS}
    for first, second in ((a, b) for a, b in PAIRS if a in cells and b in cells):
        change = {
            key: np.stack([b.hits[key] - a.hits[key] for a, b in zip(cells[first], cells[second], strict=True)])
            for key in KEYS
        }
        report["differences"][f"{second} over {first}"] = {k: summary(v, body[k]) for k, v in change.items()}
    write_json(options.out / "results.json", report)
    for kind in ("cells", "differences"):
        for name, banks in report[kind].items():
            for key, row in banks.items():
                say(f"{name}, {key}: " + "; ".join(_line(*pair) for pair in zip(METRICS, row, strict=True)))


def _line(metric: str, row: dict[str, Any]) -> str:
    return f"{metric} {row['mean']:.1f} ({row['ci95'][0]:.1f} to {row['ci95'][1]:.1f})"


def _means(cell: Cell) -> str:
    return ", ".join(f"{key} {' '.join(f'{100 * v:.1f}' for v in hit.mean(0))}" for key, hit in cell.hits.items())


if __name__ == "__main__":
    main()
