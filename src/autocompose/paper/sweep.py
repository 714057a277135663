"""All experiments of a table, one after the other, through the paper's four commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from autocompose.core.config import Config
from autocompose.core.errors import InputError
from autocompose.core.log import Tally, say
from autocompose.paper import commands as paper
from autocompose.paper.results_table import Published, write_results

DONE = "validation_metrics_test.csv"


class Setup(Config):
    """One row of the paper's tables.

    :param name: becomes the experiment name; ``{k}`` stands for each of ``k``, also in ``options``.
    :param options: what the two training commands are told about texts and loss.
    """

    name: str
    options: tuple[str, ...]
    datasets: tuple[str, ...] = paper.DATASETS
    k: tuple[int, ...] = Field((0,), min_length=1)


class Sweep(Config):
    """Setups x datasets x backbones; the other values are options of the commands."""

    backbones: tuple[str, ...]
    setups: tuple[Setup, ...]
    common: tuple[str, ...] = ()
    clip_fine_tune: tuple[str, ...] = ()
    combiner_train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()

    def experiments(self) -> Iterator[Experiment]:
        """All of them, in the order of the file."""
        for setup in self.setups:
            for k in setup.k:
                for dataset in setup.datasets:
                    for backbone in self.backbones:
                        name = setup.name.replace("{k}", str(k))
                        options = tuple(o.replace("{k}", str(k)) for o in setup.options)
                        yield Experiment(name, dataset, backbone, options)


@dataclass(frozen=True)
class Experiment:
    """One setup on one dataset with one backbone."""

    setup: str
    dataset: str
    backbone: str
    options: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its name in messages and for ``--only``."""
        return f"{self.backbone}/{self.dataset}/{self.setup}"

    def folder(self, stage: str) -> Path:
        """Where a stage writes."""
        return Path("models") / self.backbone.replace("/", "-") / f"{stage}_on_{self.dataset}_{self.setup}"

    def run(self, sweep: Sweep) -> bool:
        """The four commands in the paper's order; finished ones are skipped. False if one fails."""
        base = ["--dataset", self.dataset, "--experiment-name", self.setup, "--clip-model-name", self.backbone]
        base += sweep.common
        clip, combiner = self.folder("clip_finetuned"), self.folder("combiner_trained")
        tuned = ("--clip-model-path", str(_last(clip, "tuned_clip", sweep.clip_fine_tune)))
        fused = ("--combiner-model-path", str(_last(combiner, "combiner", sweep.combiner_train)))
        train = (*base, *self.options, "--save-training")
        steps = (
            (paper.clip_fine_tune, (*train, *sweep.clip_fine_tune), clip / "validation_metrics.csv"),
            (paper.clip_test, (*base, *tuned, *sweep.test), clip / DONE),
            (paper.combiner_train, (*train, *tuned, *sweep.combiner_train), combiner / "validation_metrics.csv"),
            (paper.combiner_test, (*base, *tuned, *fused, *_sizes(sweep), *sweep.test), combiner / DONE),
        )
        return all(result.exists() or command(list(argv)) == 0 for command, argv, result in steps)


def _last(folder: Path, name: str, options: tuple[str, ...]) -> Path:
    """The checkpoint of the last epoch, which the paper's numbering counts from 0."""
    epochs = int(options[options.index("--num-epochs") + 1]) if "--num-epochs" in options else 300
    return folder / "saved_models" / f"{name}_{epochs - 1}.pt"


def _sizes(sweep: Sweep) -> tuple[str, ...]:
    options = sweep.combiner_train
    positions = [options.index(o) for o in ("--projection-dim", "--hidden-dim") if o in options]
    return tuple(value for i in positions for value in options[i : i + 2])


def run_sweep(sweep: Sweep, only: str | None = None, dry_run: bool = False) -> None:
    """Run unfinished experiments, and write ``models/results.csv``, ``.md`` and ``.html`` after each experiment.

    :param only: a part of ``BACKBONE/DATASET/SETUP``.
    :raises InputError: nothing matches ``only``, or experiments failed (after all others have run).
    """
    chosen = [e for e in sweep.experiments() if only is None or only in e.title]
    if not chosen:
        raise InputError(f"--only {only!r}: no experiment's name contains this; --dry-run lists them")
    tally = Tally("experiments")
    for experiment in chosen:
        if dry_run:
            done = (experiment.folder("combiner_trained") / DONE).exists()
            print(f"{'done' if done else 'to do'}  {experiment.title}  {' '.join(experiment.options)}")  # noqa: T201
            continue
        if not Path(f"{experiment.dataset}_dataset").is_dir():
            tally.drop(f"{experiment.dataset}_dataset/ is not here", experiment.title)
            continue
        say(f"--- {experiment.title}")
        if experiment.run(sweep):
            tally.keep()
        else:
            tally.drop("failed", experiment.title)
        write_results(Path("models"), sweep.published)
    if not dry_run:
        say(tally.line())
        if tally.dropped["failed"]:
            raise InputError(f"{tally.dropped['failed']} experiments failed: {', '.join(tally.examples['failed'])}")
