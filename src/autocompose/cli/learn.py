"""Verbs: fine-tune, train, evaluate, compare, export weights, run a whole table of experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import PAPER, TRAINING, app
from autocompose.cli.options import rerank as reranking
from autocompose.cli.options.embedder import (
    MODELS,
    DocumentPrompt,
    ModelOptions,
    QueryPrompt,
    TextWeight,
    Yes,
    model_changes,
)
from autocompose.core.errors import ConfigError
from autocompose.core.reading.jsontext import json_line

CorpusFolder = Annotated[Path, typer.Argument(metavar="CORPUS", help="Corpus folder.")]
Out = Annotated[Path, typer.Option(help="Run folder to make; after training it is a model.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with settings; see configs/.", show_default="built-in settings"),
]
Texts = Annotated[
    str | None,
    typer.Option(
        help="Training texts: human_N, rules_N, mllm_N, with -mirror and -reverse, such as rules-reverse_3.",
        show_default="rules_3",
    ),
]
Cycle = Annotated[bool | None, typer.Option("--cycle/--no-cycle", help="Add the cyclic loss.", show_default="no-cycle")]
Epochs = Annotated[
    int | None, typer.Option(help="Passes over the training pairs.", show_default="finetune 30, train 50")
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Pairs per batch, over all processes.", show_default="finetune 128, train 512"),
]
Rate = Annotated[float | None, typer.Option(help="Learning rate.", show_default="finetune 1e-5, train 1e-4")]
NoVal = Annotated[
    bool, typer.Option("--no-val", help="Train on all pairs, without validation, and keep the last epoch.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of batches, texts and dropout.", show_default="0")]
Cache = Annotated[Path | None, typer.Option(help="Folder for encoded pictures.", show_default="CORPUS/.cache")]
Tracker = Annotated[
    str | None,
    typer.Option(help="none, tensorboard, trackio, wandb, comet_ml or mlflow.", show_default="none"),
]


@app.command(rich_help_panel=TRAINING)
def finetune(
    corpus: CorpusFolder,
    out: Out,
    config: ConfigFile = None,
    arch: Annotated[
        str | None, typer.Option(help="RN50, ViT-B/32 ... or an open_clip name.", show_default="RN50")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Initial weights: file, run folder, small, pretrained:TAG (may download) or random.",
            show_default="OpenAI's weights of --arch",
        ),
    ] = None,
    transform: Annotated[
        str | None, typer.Option(help="clip, squarepad, targetpad or stretch.", show_default="targetpad")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Which encoder trains: text, image or both.", show_default="text")
    ] = None,
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
    from autocompose.train.training import finetune as finetune_clip

    finetune_clip(
        corpus, out, weights=weights, arch=arch, transform=transform, part=part, texts=texts, cycle=cycle,
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed, tracker=tracker, config=config,
        cache=cache, validate=not no_val,
    )  # fmt: skip


@app.command(rich_help_panel=TRAINING)
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
    from autocompose.train.training import train_combiner

    train_combiner(
        corpus, clip, out, texts=texts, cycle=cycle, epochs=epochs, batch_size=batch_size,
        learning_rate=learning_rate, seed=seed, tracker=tracker, config=config, cache=cache, validate=not no_val,
    )  # fmt: skip


@app.command(rich_help_panel=TRAINING)
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODELS)],
    corpus: CorpusFolder,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    texts: Annotated[str, typer.Option(help="Texts of the queries: human, rules, mllm, or a corpus key.")] = "human",
    every_text: Annotated[
        bool, typer.Option("--every-text", help="Make one query per text, not only for the first text.")
    ] = False,
    paraphrases: Annotated[
        list[str] | None,
        typer.Option(
            help="Also query with all texts of this kind for the same pairs, as further wordings; repeatable.",
            show_default="none",
        ),
    ] = None,
    keep: Annotated[
        int, typer.Option(min=0, help="Number of pictures kept per query in the selection and TREC files.")
    ] = 50,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results.", show_default="MODEL/SPLIT, -reranked")
    ] = None,
    cache: Cache = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    text_weight: TextWeight = None,
    model_options: ModelOptions = None,
    rerank: reranking.Rerank = None,
    top: Annotated[
        int,
        typer.Option(min=2, max=20, help="How many first results are re-ranked.", rich_help_panel=reranking.PANEL),
    ] = 10,
    rerank_model: reranking.RerankModel = "",
    rerank_url: reranking.RerankUrl = reranking.URL,
    key_env: reranking.KeyEnv = reranking.KEY,
    rerank_way: reranking.Way = reranking.WAY,
    max_cost: reranking.MaxCost = None,
    max_tokens: reranking.MaxTokens = None,
    prices: reranking.Prices = None,
    slots: Annotated[
        int,
        typer.Option(min=1, max=512, help="Maximum number of requests in flight.", rich_help_panel=reranking.PANEL),
    ] = 8,
    yes: Yes = False,
) -> None:
    """Measure recall over the gallery and within groups, with intervals; print JSON and write per-query files.

    Where the corpus has poses, several correct targets and hard negatives are measured too; with --every-text or
    --paraphrases, the spread over wordings.
    """
    from autocompose.corpus.format import load_corpus
    from autocompose.evaluate.questions import evaluate_model
    from autocompose.evaluate.results import full_summary, write_evaluation
    from autocompose.evaluate.robust.judged import judge
    from autocompose.model.embedders.naming import open_embedder, results_folder
    from autocompose.model.embedders.options import EmbedderOptions

    reranker = reranking.reranker_of(
        rerank, rerank_model, rerank_url, key_env, rerank_way, max_cost, max_tokens, prices, top, slots
    )
    changes = model_changes(model_options, query_prompt, document_prompt, text_weight)
    embedder = open_embedder(model, EmbedderOptions.parse(changes, str(model_options or "options")), yes)
    loaded, kept = load_corpus(corpus), cache or corpus / ".cache"
    evaluation = evaluate_model(embedder, loaded, split, texts, every_text, kept, paraphrases or ())
    if reranker:
        from autocompose.rerank.evaluation import rerank_evaluation

        evaluation = rerank_evaluation(evaluation, loaded, reranker, yes)
    judged, folder = judge(evaluation, loaded), results_folder(model)
    write_evaluation(
        out or folder / (f"{split}-reranked" if reranker else split), evaluation, keep, folder.name, judged
    )
    typer.echo(json_line(full_summary(evaluation, judged), 1))


@app.command(rich_help_panel=TRAINING)
def compare(
    first: Annotated[Path, typer.Argument(help="ranks.csv, or the folder that `evaluate` wrote.")],
    second: Annotated[Path, typer.Argument(help="The same for another run on the same queries.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
) -> None:
    """Compare two runs on the same queries: second minus first, in points, with 95 % interval and p-value."""
    from autocompose.evaluate.metrics import compare as paired
    from autocompose.evaluate.results import read_ranks
    from autocompose.evaluate.robust.files import compare_robustness

    (questions, clusters, one), (others, _, two) = read_ranks(first), read_ranks(second)
    if questions != others:
        row = next((i for i, (a, b) in enumerate(zip(questions, others, strict=False)) if a != b), len(others))
        raise ConfigError(f"{second}: query {row} differs from that of {first}; compare runs on the same test")
    differences = paired(one, two, clusters, seed) | compare_robustness(first, second, seed)
    typer.echo(f"{'':28}{'difference':>12}{'95 % interval':>20}{'p':>10}   ({len(questions):,} queries)")
    for name, d in differences.items():
        typer.echo(f"{name:28}{d.value:+12.2f}{f'[{d.ci95[0]:+.2f}, {d.ci95[1]:+.2f}]':>20}{d.p_value:10.4f}")


@app.command("export-weights", rich_help_panel=PAPER)
def export_weights(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Folder for tuned_clip_N.pt and combiner_N.pt.")],
    epoch: Annotated[int, typer.Option(help="The N in the file names.")] = 0,
) -> None:
    """Export a model in the format of the paper's scripts."""
    from autocompose.model.checkpoint import load_model
    from autocompose.model.weights.foreign_weights import write_authors_format

    for path in write_authors_format(out, load_model(run), epoch):
        typer.echo(path)


@app.command(rich_help_panel=TRAINING)
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Run folder, small, or a folder of `export`.")],
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hugging Face hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make a private repository.")] = False,
) -> None:
    """Share a model or an exported corpus on the Hugging Face hub, with a model card or dataset card."""
    from autocompose.model.hub import push_to_hub

    typer.echo(push_to_hub(folder, name, private))


@app.command(rich_help_panel=PAPER)
def sweep(
    config: Annotated[Path, typer.Argument(help="TOML file that names datasets, backbones and setups.")],
    only: Annotated[
        str | None,
        typer.Option(help="Run only experiments whose BACKBONE/DATASET/SETUP contains this.", show_default="all"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the experiments and exit.")] = False,
) -> None:
    """Run a table of experiments. It continues where it stopped, and writes models/results.csv, .md and .html."""
    from autocompose.paper.sweep import Sweep, run_sweep

    run_sweep(Sweep.load(config), only, dry_run)
