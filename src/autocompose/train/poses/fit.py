"""Train small-v2: head of the image side, text encoder and Combiner together, on poses.

    python -m autocompose.train.poses.fit LIFTING CUBES OUT [--seed 0] [--epochs 20] [--batch 24]

LIFTING: folder of ``runs/lifting.sh``. CUBES: folder of ``train.poses.cubes``. OUT becomes a run folder. An
unfinished run is continued. The seed decides all of small-v2 but its estimator.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from autocompose.core.config import Config
from autocompose.core.files import atomic_file
from autocompose.core.log import say
from autocompose.core.run_folder import RunFolder
from autocompose.model.checkpoint import save_model
from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.encoder import shown
from autocompose.model.model import Model
from autocompose.model.small import SmallSizes, small_encoder
from autocompose.model.small2.pose_net import eyes
from autocompose.prepare.bodycpr.bases import TEST_CLIPS, UNSEEN_FAMILIES, VAL_CLIPS
from autocompose.train.lifting import fit as lifting
from autocompose.train.lifting.collect import shards
from autocompose.train.loop import LoopSettings, run
from autocompose.train.poses.cubes import DRAWN, SOURCES, Cubes
from autocompose.train.poses.doubts import Doubts
from autocompose.train.poses.stage import PoseSettings, PoseStage
from autocompose.train.poses.views import seen_trunks

SIDES = "left right lefts rights leftward rightward leftwards rightwards clockwise counterclockwise"
EPOCHS = 30  # of the two lifting networks whose errors are kept


class SmallSettings(Config):
    """All settings of small-v2 apart from its data."""

    seed: int = Field(0, ge=0)
    sizes: SmallSizes
    projection_dim: int = Field(256, ge=1)
    hidden_dim: int = Field(768, ge=1)
    composer: Literal["combiner", "sum"] = "combiner"
    dropout: float = Field(0.1, ge=0, lt=1)
    stage: PoseSettings
    loop: LoopSettings

    @classmethod
    def shipped(cls) -> SmallSettings:
        """Those of the shipped model."""
        return cls.load(Path(__file__).with_name("small2.toml"))

    def with_(self, stage: Mapping[str, Any] | None = None, loop: Mapping[str, Any] | None = None) -> SmallSettings:
        """Some values of stage and loop replaced."""
        parts = {"stage": self.stage.model_copy(update=stage), "loop": self.loop.model_copy(update=loop)}
        return self.model_copy(update=parts)


def main(scenes: Path, folder: Path, out: Path, settings: SmallSettings | None = None) -> Model:
    """Train, or continue an unfinished run."""
    cubes, doubts, settings = Cubes.read(folder), held_out(scenes), settings or SmallSettings.shipped()
    say(f"{len(cubes.joints):,} cubes, {doubts.turn.size:,} renders")
    return trained(cubes, doubts, out, settings, views_for(settings, cubes, folder))


def views_for(settings: SmallSettings, cubes: Cubes, folder: Path) -> Tensor | None:
    """The trunks of pictures of the cubes, where the settings need them."""
    return seen_trunks(folder, len(cubes.joints)) if settings.stage.viewed else None


def trained(cubes: Cubes, doubts: Doubts, out: Path, settings: SmallSettings, views: Tensor | None = None) -> Model:
    """Train on these, or finish what was begun."""
    encoder = small_encoder(settings.sizes, words_of(cubes, settings), settings.seed, as_shown=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        combiner = Combiner(encoder.dim, settings.projection_dim, settings.hidden_dim, settings.dropout)
    composer = combiner.start_as_sum() if settings.composer == "combiner" else ElementwiseSum()
    model = Model(encoder, composer, card(cubes, doubts, settings))
    own, made_with = RunFolder(out, "small"), {**settings.model_dump(mode="json"), "cubes": len(cubes.joints)}
    own.claim(made_with)
    seeds = {"seed": settings.seed}
    stage = PoseStage(cubes, doubts, encoder, composer, settings.stage.model_copy(update=seeds), views)
    run(stage, settings.loop.model_copy(update={**seeds, "select": None}), out, dict, "small")
    encoder.eval()
    composer.eval()
    save_model(out, model)
    own.finish(made_with)
    return model


def words_of(cubes: Cubes, settings: SmallSettings) -> set[str]:
    """The words that the text encoder is going to know; no token is longer than a word."""
    pairs = [pair for cube in cubes.pairs for pair in cube]
    written = [pair[name] for pair in pairs for name in settings.stage.sources if name in pair]
    halves = [half for four in written for half in (four[:2], four[2:])]
    texts = {shown(words, claims, settings.sizes.reads) for words, claims in halves}
    return {*SIDES.split(), *(word for text in texts for word in text.split())}


def held_out(scenes: Path) -> Doubts:
    """Errors on each half of the renders of a lifting network that was trained on the other; kept beside them."""
    files = shards(scenes)
    path = Path(scenes) / f"doubts-{len(files)}.npz"
    if not path.exists():
        parts = [_errors(files[1 - half :: 2], files[half::2]) for half in (0, 1)]
        with atomic_file(path) as file:
            np.savez(file, **{k: np.concatenate([part[k] for part in parts]) for k in parts[0]})  # type: ignore[arg-type]
    with np.load(path) as file:
        return Doubts(*(file[key] for key in ("true", "error", "uncertainty", "turn")))


def _errors(train: list[Path], rest: list[Path]) -> dict[str, np.ndarray]:
    known, new = lifting.Data.read(train), lifting.Data.read(rest)
    lifter = lifting.train(known, 1, EPOCHS)
    with torch.inference_mode():
        joints, heading, uncertainty = lifter(new.seen)
    turn = (heading - new.heading + np.pi) % (2 * np.pi) - np.pi
    values = {"true": new.joints, "error": joints - new.joints, "uncertainty": uncertainty, "turn": turn}
    return {key: value.numpy().reshape(-1, 8, *value.shape[1:]) for key, value in values.items()}


def card(cubes: Cubes, doubts: Doubts, settings: SmallSettings) -> dict[str, object]:
    """The card of small-v2: its data and settings."""
    banks = sorted({bank for name, (bank, _) in SOURCES.items() if name in settings.stage.sources})
    return {
        "name": "small-v2",
        "made by": "runs/small.sh",
        "image side": f"BlazePose full (Apache-2.0), frozen, and the package's lifting network: {eyes()}",
        "train": {"cubes": len(cubes.joints), "preset": "full", "renders": int(doubts.turn.size)},
        "word banks": banks,
        "claims drawn from poses": DRAWN in settings.stage.sources,
        "never seen": {"families": UNSEEN_FAMILIES, "clips": (*TEST_CLIPS, *VAL_CLIPS), "bodies": "those of the test"},
        "settings": settings.model_dump(mode="json"),
        "licence": "MIT; trained on rendered bodies only",
    }


def _command_line() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("lifting", "cubes", "out"):
        parser.add_argument(name, type=Path)
    shipped = SmallSettings.shipped()
    parser.add_argument("--seed", type=int, default=shipped.seed)
    parser.add_argument("--epochs", type=int, default=shipped.loop.epochs)
    parser.add_argument("--batch", type=int, default=shipped.stage.cubes, help="cubes")
    chosen = parser.parse_args()
    settings = shipped.with_({"cubes": chosen.batch}, {"epochs": chosen.epochs, "batch_size": chosen.batch})
    main(chosen.lifting, chosen.cubes, chosen.out, settings.model_copy(update={"seed": chosen.seed}))


if __name__ == "__main__":
    _command_line()
