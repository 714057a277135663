"""Verbs: fine-tune, train, evaluate, compare, export weights, run a whole table of experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import app
from autocompose.core.errors import ConfigError
from autocompose.core.reading.jsontext import json_line

CorpusFolder = Annotated[Path, typer.Argument(metavar="CORPUS", help="Corpus folder.")]
Out = Annotated[Path, typer.Option(help="Run folder; becomes a model when training has finished.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with settings; see configs/.")]
Texts = Annotated[
    str | None,
    typer.Option(help="Training texts: human_N, auto_N, mllm_N, with -mirror and -reverse, such as auto-reverse_3."),
]
Cycle = Annotated[bool | None, typer.Option("--cycle/--no-cycle", help="Add the cyclic loss.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training pairs.")]
BatchSize = Annotated[int | None, typer.Option(help="Pairs in a batch, over all processes.")]
Rate = Annotated[float | None, typer.Option(help="Learning rate.")]
NoVal = Annotated[
    bool, typer.Option("--no-val", help="Train on all pairs: nothing is set apart, and the last epoch is kept.")
]
Seed = Annotated[int | None, typer.Option(help="Decides batches, texts and dropout.")]
Cache = Annotated[Path | None, typer.Option(help="Folder for encoded pictures.", show_default="CORPUS/.cache")]
Tracker = Annotated[str | None, typer.Option(help="none, tensorboard, trackio, wandb, comet_ml or mlflow.")]


@app.command()
def finetune(
    corpus: CorpusFolder,
    out: Out,
    config: ConfigFile = None,
    arch: Annotated[str | None, typer.Option(help="RN50, ViT-B/32 ... or an open_clip name.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="First weights: file, run folder, pretrained:TAG (may download) or random."),
    ] = None,
    transform: Annotated[str | None, typer.Option(help="clip, squarepad, targetpad or stretch.")] = None,
    part: Annotated[str | None, typer.Option(help="Which encoder trains: text, image or both.")] = None,
    texts: Texts = None,
    cycle: Cycle = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    cache: Cache = None,
    tracker: Tracker = None,
    no_val: NoVal = False,
) -> None:
    """Stage 1: fine-tune CLIP so that picture + text finds the target. Model selection uses val, never test."""
    from autocompose.train.run_options import fields, finetune_run

    changes = fields(texts, cycle, epochs, batch_size, learning_rate, seed, tracker)
    changes |= {"part": part} if part else {}
    finetune_run(
        corpus, out, config, {"arch": arch, "transform": transform, "weights": weights}, changes, cache, no_val
    )


@app.command()
def train(
    corpus: CorpusFolder,
    clip: Annotated[Path, typer.Option(help="Run folder of stage 1, or a CLIP weight file.")],
    out: Out,
    config: ConfigFile = None,
    texts: Texts = None,
    cycle: Cycle = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Rate = None,
    seed: Seed = None,
    cache: Cache = None,
    tracker: Tracker = None,
    no_val: NoVal = False,
) -> None:
    """Stage 2: train the Combiner on frozen CLIP. Model selection uses val, never test."""
    from autocompose.train.run_options import fields, train_run

    changes = fields(texts, cycle, epochs, batch_size, learning_rate, seed, tracker)
    train_run(corpus, clip, out, config, changes, cache, no_val)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    corpus: CorpusFolder,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    key: Annotated[str, typer.Option(help="Corpus key of the texts to ask with.")] = "sents",
    every_text: Annotated[bool, typer.Option("--every-text", help="One query per text, not only the first.")] = False,
    keep: Annotated[
        int, typer.Option(min=0, help="Pictures kept per query in the selection and TREC files; 0 = none.")
    ] = 50,
    out: Annotated[Path | None, typer.Option(help="Folder for the files.", show_default="RUN/SPLIT")] = None,
    cache: Cache = None,
) -> None:
    """Recall over the gallery and within groups, with intervals; prints JSON and leaves per-query files."""
    from autocompose.core.log import Tally, say
    from autocompose.corpus.format import load_corpus
    from autocompose.evaluate.questions import evaluate as ask_all
    from autocompose.evaluate.results import write_evaluation
    from autocompose.model.checkpoint import load_model
    from autocompose.train.run_options import split_of

    loaded, part = load_corpus(corpus), split_of(split)
    found = ask_all(load_model(run), loaded, part, key, every_text, cache or corpus / ".cache")
    tally = Tally("pairs")
    tally.keep(len(asked := {q.pair for q in found.queries}))
    if left := len(loaded.split(part)) - len(asked):
        tally.drop(f"no text in {key}", n=left)
        say(tally.line())
    write_evaluation(out or run / split, found, keep, run.name)
    typer.echo(json_line(found.summary(), 1))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="ranks.csv, or the folder that `evaluate` wrote.")],
    second: Annotated[Path, typer.Argument(help="The same of another run on the same questions.")],
    seed: Annotated[int, typer.Option(min=0, help="Decides the resampling.")] = 0,
) -> None:
    """Paired difference of two runs, second minus first, in points, with 95 % interval and p-value."""
    from autocompose.evaluate.metrics import compare as paired
    from autocompose.evaluate.results import read_ranks

    (questions, clusters, one), (others, _, two) = read_ranks(first), read_ranks(second)
    if questions != others:
        row = next((i for i, (a, b) in enumerate(zip(questions, others, strict=False)) if a != b), len(others))
        raise ConfigError(f"{second}: question {row} is not that of {first}; compare runs on the same test")
    typer.echo(f"{'':18}{'difference':>12}{'95 % interval':>20}{'p':>10}   ({len(questions):,} questions)")
    for name, d in paired(one, two, clusters, seed).items():
        typer.echo(f"{name:18}{d.value:+12.2f}{f'[{d.ci95[0]:+.2f}, {d.ci95[1]:+.2f}]':>20}{d.p_value:10.4f}")


@app.command("export-weights")
def export_weights(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Folder for tuned_clip_N.pt and combiner_N.pt.")],
    epoch: Annotated[int, typer.Option(help="The N in the names.")] = 0,
) -> None:
    """Write a model in the format of the paper's own scripts."""
    from autocompose.model.checkpoint import load_model
    from autocompose.model.weights.foreign_weights import write_authors_format

    for path in write_authors_format(out, load_model(run), epoch):
        typer.echo(path)


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Run folder, small, or a folder of `export`.")],
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hugging Face hub.")],
    private: Annotated[bool, typer.Option("--private", help="Only for you.")] = False,
) -> None:
    """Share a model or an exported corpus on the Hugging Face hub, with a model card or dataset card."""
    from autocompose.model.hub import push_to_hub

    typer.echo(push_to_hub(folder, name, private))


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="TOML file that names datasets, backbones and setups.")],
    only: Annotated[str | None, typer.Option(help="Only experiments with this in BACKBONE/DATASET/SETUP.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the experiments and stop.")] = False,
) -> None:
    """Run a table of experiments; continues where it stopped and writes models/results.csv, .md and .html."""
    from autocompose.paper.sweep import Sweep, run_sweep

    run_sweep(Sweep.load(config), only, dry_run)
