"""Verbs of the annotation engine: describe mllm, status, retry, export, report, batch; review."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocompose.cli.app import app, describe
from autocompose.core.reading.jsontext import json_line
from autocompose.core.records import Edit, Split

if TYPE_CHECKING:
    from autocompose.describe.mllm.job import Job

CorpusFolder = Annotated[Path, typer.Argument(metavar="CORPUS", help="Corpus folder (captions/, images/).")]
Model = Annotated[str, typer.Option(help="Model name as the server knows it.")]
BaseUrl = Annotated[str, typer.Option(help="OpenAI-compatible address, such as http://127.0.0.1:8000/v1.")]
KeyEnv = Annotated[str, typer.Option(help="Environment variable that holds the API key.")]
SplitNames = Annotated[list[Split] | None, typer.Option("--split", help="Only this split; repeatable.")]
EditNames = Annotated[
    list[str] | None,
    typer.Option("--edit", help="mllm, reverse, mirror or mirror-reverse; repeatable.", show_default="all"),
]
Most = Annotated[int | None, typer.Option("--pairs", min=1, help="Only the first so many pairs of each split.")]
Texts = Annotated[int, typer.Option(min=1, max=5, help="Wordings per variant.")]
FrameName = Annotated[
    str | None,
    typer.Option(
        help="How sides are named: colour (tinted limbs), picture, words; auto chooses for each pair.",
        show_default="colour, else picture",
    ),
]
PicturesHow = Annotated[str, typer.Option(help="separate, side-by-side in one picture, or with-side-view (needs 3D poses).")]
Joints = Annotated[bool, typer.Option("--joints", help="Mark the joints with dots (needs poses).")]
Grounded = Annotated[bool, typer.Option("--grounded", help="Give the measured changes as hints (needs 3D poses).")]
GroundedDepth = Annotated[
    bool, typer.Option("--grounded-depth", help="The same, only where pictures do not show the depth of a limb.")
]
SelfCheck = Annotated[bool, typer.Option("--self-check", help="Also ask where the left hand is; wrong: ask again.")]
Blur = Annotated[bool, typer.Option("--blur-faces", help="Blur faces before sending (needs poses).")]
Mirror = Annotated[str, typer.Option(help="ask: the model sees mirrored pictures; derive: exchange sides in the text.")]
PromptSet = Annotated[str, typer.Option(help="Built-in prompt set, or a folder with your own.")]
Size = Annotated[int, typer.Option(min=64, max=2048, help="Longest side of a sent picture, pixels.")]
Detail = Annotated[str, typer.Option(help="Image detail for OpenAI: auto, low, high.")]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature 0..2; -1 sends none.")]
AnswerTokens = Annotated[int, typer.Option(min=16, help="Most tokens of one answer.")]
Slots = Annotated[int, typer.Option(min=1, max=512, help="Most requests in flight.")]
PerMinute = Annotated[float | None, typer.Option(help="Most requests per minute.")]
TokensPerMinute = Annotated[float | None, typer.Option(help="Most tokens per minute.")]
Deadline = Annotated[float, typer.Option(help="Seconds for one request in total.")]
MaxCost = Annotated[float | None, typer.Option(help="US dollars; the journal's total never exceeds it.")]
MaxTokens = Annotated[int | None, typer.Option(help="Tokens; the journal's total never exceeds it.")]
BatchOut = Annotated[
    Path | None, typer.Option(help="Write the open questions as OpenAI batch files into this folder; send nothing.")
]
BatchIn = Annotated[
    list[Path] | None, typer.Option(help="Store the answers of a batch output or error file; repeatable.")
]
Prices = Annotated[Path | None, typer.Option(help="TOML price table used instead of the built-in one.")]


def _edits(names: list[str] | None) -> tuple[Edit, ...]:
    from autocompose.describe.mllm.job import EDITS

    words = {"mllm": Edit.PLAIN, **{edit.value: edit for edit in Edit if edit is not Edit.PLAIN}}
    unknown = sorted(set(names or ()) - words.keys())
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r}; allowed: {', '.join(words)}", param_hint="--edit")
    return tuple(words[name] for name in names) if names else EDITS


def _batch(job: Job, out: Path | None, answers: list[Path]) -> None:
    from autocompose.core.log import say
    from autocompose.describe.mllm.batch_files import export_batch, import_batch

    if answers:
        say(import_batch(job, answers).line())
    if out:
        files = export_batch(job, out)
        say(f"batch files in {out}: {len(files)}" if files else "everything is answered; nothing was written")


@describe.command("mllm")
def describe_mllm(
    corpus: CorpusFolder,
    model: Model,
    base_url: BaseUrl = "https://api.openai.com/v1",
    key_env: KeyEnv = "OPENAI_API_KEY",
    split: SplitNames = None,
    edit: EditNames = None,
    pairs: Most = None,
    texts: Texts = 3,
    frame: FrameName = None,
    pictures: PicturesHow = "separate",
    joints: Joints = False,
    grounded: Grounded = False,
    grounded_depth: GroundedDepth = False,
    self_check: SelfCheck = False,
    blur_faces: Blur = False,
    mirror: Mirror = "ask",
    prompts: PromptSet = "v1",
    language: Annotated[str, typer.Option(help="Language of the texts.")] = "English",
    size: Size = 512,
    image_format: Annotated[str, typer.Option("--format", help="jpeg (quality 90) or png.")] = "jpeg",
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
    engine: Annotated[str, typer.Option(help="server: an OpenAI-compatible endpoint; ray: offline vLLM.")] = "server",
    batch_out: BatchOut = None,
    batch_in: BatchIn = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show full prompts, counts and cost; send nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Pictures may go to this host; stale pairs may be redone.")
    ] = False,
) -> None:
    """Let a multimodal LLM write the four MLLM fields. Run it again to continue; then use describe export."""
    from autocompose.core.log import say
    from autocompose.corpus.format import load_corpus
    from autocompose.describe.mllm.annotate import annotate
    from autocompose.describe.mllm.asking.sent_pictures import has_keypoints
    from autocompose.describe.mllm.cost_estimate import dry_run as show
    from autocompose.describe.mllm.job import UNFINISHED, Job
    from autocompose.describe.mllm.recipe import Endpoint, Limits, Recipe

    loaded = load_corpus(corpus)
    if frame is None:
        frame = "colour" if has_keypoints(loaded) else "picture"
        say(f"sides are named by --frame {frame}")
    recipe = Recipe.parse(
        {
            "model": model, "prompts": prompts, "frame": frame, "pictures": pictures, "joints": joints,
            "grounded": "depth" if grounded_depth else grounded, "self_check": self_check, "blur_faces": blur_faces, "texts": texts, "mirror": mirror,
            "size": size, "format": image_format, "detail": detail, "max_tokens": answer_tokens, "language": language,
            "temperature": None if temperature is not None and temperature < 0 else temperature,
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
    if engine == "ray":
        from autocompose.describe.mllm.ray_engine import annotate_with_ray

        summary = annotate_with_ray(job)
    elif engine == "server":
        summary = annotate(job, yes=yes)
    else:
        raise typer.BadParameter(f"{engine!r}; allowed: server, ray", param_hint="--engine")
    say(summary.line())
    if summary.stopped in UNFINISHED:
        say(f"stopped: {summary.advice()}; the same command continues")
        raise typer.Exit(130 if summary.stopped == "interrupted" else 3)
    if nothing := summary.nothing(corpus, recipe):
        raise nothing
    say(f"now write the texts into the corpus: autocompose describe export {corpus}")


@describe.command("status")
def describe_status(
    corpus: CorpusFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show progress, cost, and failures by kind."""
    from autocompose.describe.mllm.annotation_report import lines, status

    found = status(corpus)
    typer.echo(json_line(found, 1) if as_json else "\n".join(lines(found)))


@describe.command("retry")
def describe_retry(
    corpus: CorpusFolder,
    failed: Annotated[bool, typer.Option("--failed", help="Open every failed pair again.")] = False,
) -> None:
    """Make failed pairs open again; the next describe mllm asks them anew."""
    from autocompose.core.errors import AnnotationError
    from autocompose.core.log import say
    from autocompose.describe.mllm.recipe import journal_path
    from autocompose.describe.mllm.recording.journal import Journal

    if not failed:
        raise typer.BadParameter("say what to retry: --failed", param_hint="--failed")
    journal = Journal(journal_path(corpus), must_exist=True)
    try:
        if journal.living():
            raise AnnotationError(f"{journal.path}: a run is working here; stop it first")
        with journal.transaction():
            count = journal.retry_failed()
    finally:
        journal.close()
    say(f"{count} failed variants are open again; run 'autocompose describe mllm' with the same settings")


@describe.command("export")
def describe_export(
    corpus: CorpusFolder,
    min_agreement: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Least probability that a text is right, judged by known 3D poses; 0 keeps all."
        ),
    ] = 0.5,
    mirrors_agree: Annotated[
        bool,
        typer.Option("--mirrors-agree", help="Leave out what the mirrored pair, asked apart, tells of other parts."),
    ] = False,
    fill_mirrors: Annotated[
        bool,
        typer.Option("--fill-mirrors", help="A field without texts gets its mirror's, sides exchanged."),
    ] = False,
    keep_long: Annotated[bool, typer.Option("--keep-long", help="Also texts over 77 CLIP tokens.")] = False,
    allow_fewer: Annotated[bool, typer.Option("--allow-fewer", help="Also pairs with too few wordings.")] = False,
    allow_stale: Annotated[bool, typer.Option("--allow-stale", help="Also pairs whose pictures changed.")] = False,
) -> None:
    """Write the accepted texts into captions/*.json (fields mllm, reverse, mirror, mirror-reverse)."""
    from autocompose.core.log import say
    from autocompose.describe.mllm.export import Rules, export

    rules = Rules(min_agreement, mirrors_agree, fill_mirrors, keep_long, allow_fewer, allow_stale)
    for tally in export(corpus, rules).values():
        say(tally.line())


@describe.command("report")
def describe_report(
    corpus: CorpusFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Cost per variant, outcomes, and text statistics beside the rule texts."""
    from autocompose.describe.mllm.annotation_report import lines, report

    found = report(corpus)
    typer.echo(json_line(found, 1) if as_json else "\n".join(lines(found)))


@app.command()
def review(
    corpus: CorpusFolder,
    reviewer: Annotated[str, typer.Option(help="Your name; kept with every verdict.", envvar="USER")] = "reviewer",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8700,
    share: Annotated[float, typer.Option(min=0, max=1, help="Show only this share of the texts, drawn by pair.")] = 1.0,
    kappa: Annotated[bool, typer.Option("--kappa", help="Print the agreement between reviewers and end.")] = False,
    token: Annotated[
        str, typer.Option(envvar="AUTOCOMPOSE_TOKEN", help="Secret that the page asks for; best set by the variable.")
    ] = "",
) -> None:
    """Read the machine's texts in the browser: accept, edit or reject them with the keyboard."""
    from autocompose.core.log import say
    from autocompose.describe.mllm.review.verdicts import Reviews

    with Reviews(corpus, reviewer, share) as reviews:
        if kappa:
            typer.echo(json_line(reviews.agreement(), 1))
            return
        from autocompose.describe.mllm.review.page import serve

        say(f"{len(reviews.rows)} variants to review as {reviewer}: http://127.0.0.1:{port}  (Ctrl-C ends)")
        serve(reviews, port, token)
