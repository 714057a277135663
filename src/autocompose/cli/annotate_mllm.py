"""Verbs of the annotation engine: describe mllm, status, retry, export, report, batch; review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocompose.cli.app import TEXTS, app, describe
from autocompose.core.reading.jsontext import json_line
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit

if TYPE_CHECKING:
    from autocompose.describe.mllm.job import Job

SERVER, QUESTION, LIMITS, BATCH = "Model", "What is asked", "Limits", "Batch files"  # groups of options

CorpusFolder = Annotated[Path, typer.Argument(metavar="CORPUS", help="Corpus folder (captions/, images/).")]
Model = Annotated[str, typer.Option(help="Name of the model on the server.", rich_help_panel=SERVER)]
BaseUrl = Annotated[str, typer.Option(help="Address of an OpenAI-compatible server.", rich_help_panel=SERVER)]
KeyEnv = Annotated[str, typer.Option(help="Environment variable that holds the API key.", rich_help_panel=SERVER)]
SplitNames = Annotated[
    list[Split] | None, typer.Option("--split", help="Use only this split; repeatable.", show_default="all")
]
EditNames = Annotated[
    list[str] | None,
    typer.Option(
        "--edit",
        help="Ask only for this edit of the pair: plain, reverse, mirror, mirror-reverse; repeatable.",
        show_default="all",
    ),
]
Pairs = Annotated[int | None, typer.Option(min=1, help="Use only the first N pairs of each split.", show_default="all")]
Wordings = Annotated[int, typer.Option(min=1, max=5, help="Number of wordings per pair and edit.")]
FrameName = Annotated[
    str | None,
    typer.Option(
        help="How the question names sides: colour (tinted limbs), picture, words, or auto (chosen per pair).",
        show_default="colour if there are keypoints, else picture",
        rich_help_panel=QUESTION,
    ),
]
PicturesHow = Annotated[
    str,
    typer.Option(
        help="Send the two pictures separate, side-by-side, or with-side-view (a drawn side view; needs 3D poses).",
        rich_help_panel=QUESTION,
    ),
]
Joints = Annotated[
    bool, typer.Option("--joints", help="Mark the joints with dots (needs poses).", rich_help_panel=QUESTION)
]
Grounded = Annotated[
    bool,
    typer.Option(
        "--grounded", help="Give the model the measured changes as hints (needs 3D poses).", rich_help_panel=QUESTION
    ),
]
GroundedDepth = Annotated[
    bool,
    typer.Option(
        "--grounded-depth",
        help="Give such hints only where the pictures do not show the depth of a limb (needs 3D poses).",
        rich_help_panel=QUESTION,
    ),
]
SelfCheck = Annotated[
    bool,
    typer.Option(
        "--self-check",
        help="Also ask where the left hand is, and retry if the answer is wrong.",
        rich_help_panel=QUESTION,
    ),
]
Blur = Annotated[
    bool,
    typer.Option("--blur-faces", help="Blur faces before sending (needs poses).", rich_help_panel=QUESTION),
]
Mirrored = Annotated[
    str,
    typer.Option(
        help="Texts of mirrored pairs: ask the model, or derive them by swapping left and right.",
        rich_help_panel=QUESTION,
    ),
]
PromptSet = Annotated[
    str, typer.Option(help="Built-in prompt set, or a folder with your own.", rich_help_panel=QUESTION)
]
Size = Annotated[
    int,
    typer.Option(min=64, max=2048, help="Longest side of a sent picture in pixels.", rich_help_panel=QUESTION),
]
Detail = Annotated[str, typer.Option(help="Image detail for OpenAI: auto, low, high.", rich_help_panel=QUESTION)]
Temperature = Annotated[
    float | None,
    typer.Option(help="Sampling temperature, 0 to 2; -1 leaves it to the server.", rich_help_panel=QUESTION),
]
AnswerTokens = Annotated[
    int, typer.Option(min=16, help="Maximum number of tokens in one answer.", rich_help_panel=QUESTION)
]
Slots = Annotated[
    int,
    typer.Option(min=1, max=512, help="Maximum number of requests in flight.", rich_help_panel=LIMITS),
]
PerMinute = Annotated[
    float | None,
    typer.Option(help="Maximum number of requests per minute.", show_default="no limit", rich_help_panel=LIMITS),
]
TokensPerMinute = Annotated[
    float | None,
    typer.Option(help="Maximum number of tokens per minute.", show_default="no limit", rich_help_panel=LIMITS),
]
Deadline = Annotated[float, typer.Option(help="Maximum number of seconds for one request.", rich_help_panel=LIMITS)]
MaxCost = Annotated[
    float | None,
    typer.Option(
        help="Maximum total cost of this corpus in US dollars.", show_default="no limit", rich_help_panel=LIMITS
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        help="Maximum total number of tokens of this corpus.", show_default="no limit", rich_help_panel=LIMITS
    ),
]
BatchOut = Annotated[
    Path | None,
    typer.Option(
        help="Write the open questions as OpenAI batch files into this folder; send nothing.",
        show_default="none",
        rich_help_panel=BATCH,
    ),
]
BatchIn = Annotated[
    list[Path] | None,
    typer.Option(
        help="Store the answers from a batch output or error file; repeatable.",
        show_default="none",
        rich_help_panel=BATCH,
    ),
]
Prices = Annotated[
    Path | None, typer.Option(help="TOML file with prices.", show_default="built-in prices", rich_help_panel=LIMITS)
]


def _edits(names: list[str] | None) -> tuple[Edit, ...]:
    from autocompose.describe.mllm.job import EDITS

    words = {"mllm": Edit.PLAIN, **{edit.value: edit for edit in Edit}}
    unknown = sorted(set(names or ()) - words.keys())
    if unknown:
        allowed = ", ".join(edit.value for edit in Edit)
        raise typer.BadParameter(f"{unknown[0]!r}; allowed: {allowed}", param_hint="--edit")
    return tuple(words[name] for name in names) if names else EDITS


def _batch(job: Job, out: Path | None, answers: list[Path]) -> None:
    from autocompose.core.log import say
    from autocompose.describe.mllm.batch_files import export_batch, import_batch

    if answers:
        say(import_batch(job, answers).line())
    if out:
        files = export_batch(job, out)
        say(f"batch files in {out}: {len(files)}" if files else "all questions have answers; nothing was written")


@describe.command("mllm")
def describe_mllm(
    corpus: CorpusFolder,
    model: Model,
    base_url: BaseUrl = "https://api.openai.com/v1",
    key_env: KeyEnv = "OPENAI_API_KEY",
    split: SplitNames = None,
    edit: EditNames = None,
    pairs: Pairs = None,
    wordings: Wordings = 3,
    frame: FrameName = None,
    pictures: PicturesHow = "separate",
    joints: Joints = False,
    grounded: Grounded = False,
    grounded_depth: GroundedDepth = False,
    self_check: SelfCheck = False,
    blur_faces: Blur = False,
    mirrored: Mirrored = "ask",
    prompts: PromptSet = "v1",
    language: Annotated[str, typer.Option(help="Language of the texts.", rich_help_panel=QUESTION)] = "English",
    size: Size = 512,
    image_format: Annotated[
        str, typer.Option(help="Format of sent pictures: jpeg (quality 90) or png.", rich_help_panel=QUESTION)
    ] = "jpeg",
    detail: Detail = "auto",
    temperature: Temperature = 0.7,
    answer_tokens: AnswerTokens = 800,
    slots: Slots = 8,
    requests_per_minute: PerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    deadline: Deadline = 120,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    prices: Prices = None,
    on: Annotated[
        str,
        typer.Option(
            help="Where the model runs: server (OpenAI-compatible) or ray (offline vLLM).", rich_help_panel=SERVER
        ),
    ] = "server",
    batch_out: BatchOut = None,
    batch_in: BatchIn = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the full prompts, counts and cost; send nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Consent to send the pictures to this host, and to redo stale pairs.")
    ] = False,
) -> None:
    """Describe pairs with a multimodal LLM. The same command continues a stopped run; `describe export` comes next."""
    from autocompose.core.log import say
    from autocompose.corpus.format import load_corpus
    from autocompose.describe.mllm.asking.sent_pictures import default_frame
    from autocompose.describe.mllm.cost_estimate import dry_run as show
    from autocompose.describe.mllm.job import Job
    from autocompose.describe.mllm.recipe import Endpoint, Limits, Recipe

    loaded = load_corpus(corpus)
    if frame is None:
        frame = default_frame(loaded).value
        say(f"sides are named with --frame {frame}")
    recipe = Recipe.parse(
        {
            "model": model, "prompts": prompts, "frame": frame, "pictures": pictures, "joints": joints,
            "grounded": "depth" if grounded_depth else grounded, "self_check": self_check,
            "blur_faces": blur_faces, "texts": wordings,
            "mirror": mirrored, "size": size, "format": image_format, "detail": detail, "max_tokens": answer_tokens,
            "language": language, "temperature": None if temperature is not None and temperature < 0 else temperature,
        },
        "describe mllm",
    )  # fmt: skip
    limits = Limits.parse(
        {
            "slots": slots, "requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute,
            "deadline": deadline, "max_cost": max_cost, "max_tokens": max_tokens,
        },
        "describe mllm",
    )  # fmt: skip
    endpoint = Endpoint(base_url=base_url, key_env=key_env)
    job = Job(loaded, recipe, endpoint, limits, tuple(split or ()), _edits(edit), pairs, prices)
    if dry_run:
        typer.echo(show(job))
        return
    if batch_out or batch_in:
        _batch(job, batch_out, batch_in or [])
        return
    _annotate(job, on, yes)


def _annotate(job: Job, on: str, yes: bool) -> None:
    """Run the job and print the next step."""
    from autocompose.core.log import say
    from autocompose.describe.mllm.annotate import annotate
    from autocompose.describe.mllm.job import UNFINISHED

    if on == "ray":
        from autocompose.describe.mllm.ray_engine import annotate_with_ray

        summary = annotate_with_ray(job)
    elif on == "server":
        summary = annotate(job, yes=yes)
    else:
        raise typer.BadParameter(f"{on!r}; allowed: server, ray", param_hint="--on")
    say(summary.line())
    if summary.stopped in UNFINISHED:
        say(f"stopped: {summary.advice()}; the same command continues")
        raise typer.Exit(130 if summary.stopped == "interrupted" else 3)
    corpus = job.corpus.root
    if nothing := summary.nothing(corpus, job.recipe):
        raise nothing
    say(f"now write the texts into the corpus: autocompose describe export {corpus}")


@describe.command("status")
def describe_status(
    corpus: CorpusFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show progress, cost, and failures by kind."""
    from autocompose.describe.mllm.annotation_report import lines, status

    progress = status(corpus)
    typer.echo(json_line(progress, 1) if as_json else "\n".join(lines(progress)))


@describe.command("retry")
def describe_retry(
    corpus: CorpusFolder,
    failed: Annotated[bool, typer.Option("--failed", help="Reopen every failed pair.")] = False,
) -> None:
    """Reopen failed pairs; the next `describe mllm` asks for them again."""
    from autocompose.core.errors import AnnotationError
    from autocompose.core.log import say
    from autocompose.describe.mllm.recipe import journal_path
    from autocompose.describe.mllm.recording.journal import Journal

    if not failed:
        raise typer.BadParameter("say what to retry: --failed", param_hint="--failed")
    journal = Journal(journal_path(corpus), must_exist=True)
    try:
        if journal.living():
            raise AnnotationError(f"{journal.path}: a run is active here; stop it first")
        with journal.transaction():
            count = journal.retry_failed()
    finally:
        journal.close()
    say(f"reopened {count} failed variants; run `autocompose describe mllm` with the same settings")


@describe.command("export")
def describe_export(
    corpus: CorpusFolder,
    min_agreement: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Minimum probability that a text is correct, according to 3D poses; 0 keeps all."
        ),
    ] = 0.5,
    mirrors_agree: Annotated[
        bool,
        typer.Option(
            "--mirrors-agree",
            help="Skip texts whose mirrored pair, described independently, names different body parts.",
        ),
    ] = False,
    fill_mirrors: Annotated[
        bool,
        typer.Option(
            "--fill-mirrors", help="Fill a missing text from the mirrored pair's text, with left and right swapped."
        ),
    ] = False,
    keep_long: Annotated[bool, typer.Option("--keep-long", help="Also export texts over 77 CLIP tokens.")] = False,
    allow_fewer: Annotated[
        bool, typer.Option("--allow-fewer", help="Also export pairs with too few wordings.")
    ] = False,
    allow_stale: Annotated[
        bool, typer.Option("--allow-stale", help="Also export pairs whose pictures have changed.")
    ] = False,
) -> None:
    """Write the accepted texts into captions/*.json (keys mllm, reverse, mirror, mirror-reverse)."""
    from autocompose.core.log import say
    from autocompose.describe.mllm.choosing import Rules
    from autocompose.describe.mllm.export import export_texts

    rules = Rules(min_agreement, mirrors_agree, fill_mirrors, keep_long, allow_fewer, allow_stale)
    for tally in export_texts(corpus, rules).values():
        say(tally.line())


@describe.command("report")
def describe_report(
    corpus: CorpusFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show cost per variant, outcomes, and text statistics beside those of the rule texts."""
    from autocompose.describe.mllm.annotation_report import lines, report

    facts = report(corpus)
    typer.echo(json_line(facts, 1) if as_json else "\n".join(lines(facts)))


@app.command(rich_help_panel=TEXTS)
def review(
    corpus: CorpusFolder,
    reviewer: Annotated[str, typer.Option(help="Your name, stored with every verdict.", envvar="USER")] = "reviewer",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8700,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Show only this share of the texts, drawn at random by pair.")
    ] = 1.0,
    kappa: Annotated[bool, typer.Option("--kappa", help="Print the agreement between reviewers and exit.")] = False,
    token: Annotated[
        str,
        typer.Option(
            envvar="AUTOCOMPOSE_TOKEN",
            help="Secret that the page requires; prefer the environment variable.",
            show_default="none",
        ),
    ] = "",
) -> None:
    """Review the model's texts in the browser: accept, edit or reject them with the keyboard."""
    from autocompose.core.log import say
    from autocompose.describe.mllm.review.verdicts import Reviews

    with Reviews(corpus, reviewer, share) as reviews:
        if kappa:
            typer.echo(json_line(reviews.agreement(), 1))
            return
        from autocompose.describe.mllm.review.page import serve

        say(f"{len(reviews.rows)} variants to review as {reviewer}: http://127.0.0.1:{port}  (Ctrl-C stops)")
        serve(reviews, port, token)
