"""Verbs on galleries: index, search, serve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autocompose.cli.app import SEARCH, PoseWeights, app
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
from autocompose.cli.options.spread import PROCESSES, On, WorkerCpus, WorkerGpus, spread
from autocompose.core.errors import InputError, NothingLeftError
from autocompose.core.reading.jsontext import json_line

if TYPE_CHECKING:
    from autocompose.estimate.videos.sampling import Sampling
    from autocompose.gallery.answer import Answer
    from autocompose.gallery.search import Gallery

GalleryFolder = Annotated[Path, typer.Argument(metavar="GALLERY", help="Gallery folder, made by index.")]
NARROW = 60  # columns of a terminal on which a table has no room for the pictures' names
ModelFolder = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help=MODELS,
        show_default="the gallery's own, else small",
    ),
]


@app.command(rich_help_panel=SEARCH)
def index(
    pictures: Annotated[
        str,
        typer.Argument(
            metavar="PICTURES",
            help="Folder of pictures and videos, a corpus, or the address of pictures (s3://, gs://, hf:// ...).",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Gallery folder to make or to update.")],
    model: ModelFolder = None,
    approximate: Annotated[
        bool | None,
        typer.Option(
            "--approximate/--exact", help="Inverted lists, with measured recall, or exact search.", show_default="exact"
        ),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="embedded, or qdrant://host:port/collection.", show_default="embedded")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Number of processes that embed pictures.", show_default=PROCESSES)
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            metavar="CORPUS",
            help="Corpus whose poses.npz gives the positions of people in PICTURES; they override detection.",
            show_default="none",
        ),
    ] = None,
    poses: Annotated[
        bool | None,
        typer.Option("--poses/--no-poses", help="Find people and estimate their poses.", show_default="poses"),
    ] = None,
    pose_weights: PoseWeights = None,
    videos: Annotated[
        bool | None, typer.Option("--videos/--no-videos", help="Index videos, too.", show_default="videos")
    ] = None,
    video_rate: Annotated[
        float | None, typer.Option(help="Frames of a video to look at, per second.", show_default="4")
    ] = None,
    video_change: Annotated[
        float | None,
        typer.Option(
            metavar="MM",
            help="Keep a person again when a joint has moved by more than this, in millimetres.",
            show_default="150",
        ),
    ] = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    text_weight: TextWeight = None,
    model_options: ModelOptions = None,
    yes: Yes = False,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|COLUMN=VALUE",
            help="Do not index; permanently delete a picture, or all with a metadata value (person=anna); repeatable.",
            show_default="nothing",
        ),
    ] = None,
    on: On = "here",
    worker_cpus: WorkerCpus = 1.0,
    worker_gpus: WorkerGpus = 0.0,
) -> None:
    """Index a folder's pictures and videos: people, poses, features. A second run processes only what has changed."""
    from autocompose.core.log import say

    if forget:
        from autocompose.gallery.indexing.index import forget as delete

        paths = delete(out, forget)
        say(f"{out}: deleted {len(paths)} pictures: {', '.join(paths[:5])}{' ...' if paths[5:] else ''}")
        return
    kind = None if approximate is None else "approximate" if approximate else "exact"
    with spread(on, processes, worker_cpus, worker_gpus):
        _build(
            pictures,
            out,
            model,
            poses=poses,
            pose_weights=pose_weights,
            kind=kind,
            store=store,
            processes=processes,
            people=people,
            videos=videos,
            sampling=_sampling(out, video_rate, video_change),
            changes=model_changes(model_options, query_prompt, document_prompt, text_weight),
            consent=yes,
        )
    say(f"search it with: autocompose search {out} 'raise your left arm'")
    say(f"or open it with: autocompose serve {out}")


def _sampling(out: Path, rate: float | None, change: float | None) -> Sampling | None:
    """The sampling of videos with some values changed; None: none is."""
    from autocompose.estimate.videos.sampling import Sampling
    from autocompose.gallery.gallery_folder import read_config

    if rate is None and change is None:
        return None
    config = read_config(out)
    old = config.sampling if config else Sampling()
    return Sampling(old.rate if rate is None else rate, old.change if change is None else change)


def _build(
    pictures: str, out: Path, model: str | None, *, poses: bool | None = None, pose_weights: Path | None = None,
    changes: Mapping[str, Any] | None = None, consent: bool = False, **options: Any,
) -> None:  # fmt: skip
    """Index. An option that is None keeps the gallery's setting."""
    from autocompose.core.log import say
    from autocompose.gallery.gallery_folder import finder_for, model_for, read_config
    from autocompose.gallery.indexing.index import build
    from autocompose.gallery.search import RENDERS_ONLY, made_for_renders

    config = read_config(out)
    made = {"kind": config.index, "store": config.store} if config else {}
    options = {**made, **{name: value for name, value in options.items() if value is not None}}
    embedder = model_for(config, model or "", changes, consent)
    finder = finder_for(config, poses, pose_weights)
    report = build(pictures, embedder, out, model_name=embedder.name, finder=finder, **options)
    say(report.line())
    if (report.people.kept or report.seen) and made_for_renders(embedder.card):
        say(RENDERS_ONLY)


@app.command(rich_help_panel=SEARCH)
def search(
    gallery: GalleryFolder,
    words: Annotated[str, typer.Argument(metavar="TEXT", help="The same as --text.", show_default=False)] = "",
    reference: Annotated[
        str,
        typer.Option(
            help="Reference picture: an item id, a path in the gallery (VIDEO#t=SECONDS), or any picture file.",
            show_default="none",
        ),
    ] = "",
    text: Annotated[str, typer.Option(help="What to change, such as 'raise the left arm'.", show_default="none")] = "",
    k: Annotated[int, typer.Option("-k", "--top", min=1, max=500, help="Number of results.")] = 10,
    weight: Annotated[
        float, typer.Option(min=0, max=1, help="Weight of the text; 0 = picture only, 1 = text only.")
    ] = 0.5,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Mirror the reference, and swap left and right in the text.")
    ] = False,
    sides: Annotated[
        str, typer.Option(help="Whose left the text means: own (the person's) or seen (the viewer's).")
    ] = "own",
    where: Annotated[
        list[str] | None, typer.Option(help="Filter COLUMN=VALUE; repeatable.", show_default="none")
    ] = None,
    like: Annotated[
        list[str] | None, typer.Option(help="Item id of a result to prefer; repeatable.", show_default="none")
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option(help="Item id of a result to avoid; repeatable.", show_default="none")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="auto (both where possible), learned (the model), symbolic (3D poses and rules).")
    ] = "auto",
    model: ModelFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show the results as an HTML contact sheet.")] = False,
    clips: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the results in videos as a clip list: .csv or .edl.", show_default="none"
        ),
    ] = None,
    around: Annotated[
        float, typer.Option(min=0, max=60, help="Seconds before and after each moment of a clip list.")
    ] = 2.0,
    rerank: reranking.Rerank = None,
    rerank_model: reranking.RerankModel = "",
    rerank_url: reranking.RerankUrl = reranking.URL,
    key_env: reranking.KeyEnv = reranking.KEY,
    rerank_way: reranking.Way = reranking.WAY,
    max_cost: reranking.MaxCost = None,
    max_tokens: reranking.MaxTokens = None,
    prices: reranking.Prices = None,
    yes: Yes = False,
) -> None:
    """Find pictures like the reference, but with the change that the text describes."""
    from autocompose.gallery.request import SearchRequest
    from autocompose.gallery.search import Gallery

    if words and text:
        raise InputError("the text is given twice, as TEXT and with --text; use only one")
    reranker = reranking.reranker_of(
        rerank, rerank_model, rerank_url, key_env, rerank_way, max_cost, max_tokens, prices, max(2, min(k, 20))
    )
    opened = Gallery.open(gallery, model)
    likes, unlikes = ([opened.item(name).key for name in names or ()] for names in (like, unlike))
    values = {
        "ref": reference, "text": words or text, "k": k, "weight": weight, "mirror": mirror, "sides": sides,
        "where": where or [], "like": likes, "unlike": unlikes, "engine": engine,
    }  # fmt: skip
    request = SearchRequest.parse(values, "search")
    if clips:
        _check_clip_list(clips)
    answer = opened.answer(request)
    if reranker:
        from autocompose.gallery.reranked import Reranking

        answer = Reranking(opened, request, answer, reranker).run(yes)
    if clips:
        _write_clips(opened, answer, clips, around)
    if as_json:
        typer.echo(json_line(answer.record(), indent=1))
    else:
        _print(answer)
    if not answer.hits:
        why = f"leave out one of the filters {', '.join(where)}" if where else "all others equal the reference"
        raise NothingLeftError(f"{gallery}: none of the {opened.store.count()} items remain; {why}")
    if open_sheet:
        from autocompose.gallery.server.answer_sheet import write_sheet

        sheet = write_sheet(opened, answer)
        typer.echo(f"{sheet}", err=True)
        typer.launch(sheet.as_uri())


def _check_clip_list(path: Path) -> None:
    from autocompose.core.run_folder import require_ours
    from autocompose.gallery.moments.clips import MARKS

    if path.suffix.lower() not in (".csv", ".edl"):
        raise InputError(f"--clips {path}: expected a name that ends in .csv or .edl")
    require_ours(path, *MARKS)


def _write_clips(gallery: Gallery, answer: Answer, path: Path, around: float) -> None:
    from autocompose.core.files import write_text
    from autocompose.core.log import say
    from autocompose.gallery.moments.clips import MAX_EVENTS, written

    clips, kind = gallery.clips(answer, around), path.suffix.lower()[1:]
    write_text(path, written(clips, kind, answer.text))
    pictures = sum(hit.item.moment is None for hit in answer.hits)
    left_out = f"; left out {pictures} results that are pictures" if pictures else ""
    say(f"{path}: {min(len(clips), MAX_EVENTS) if kind == 'edl' else len(clips)} clips{left_out}")


def _print(answer: Answer) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from autocompose.core.log import say

    understood = ", ".join(f"{part.who}: {part.what}" for part in answer.reading.parts)
    changed = f"searched for: {answer.text}" if answer.text != answer.trail[-1].text else ""
    ranked = f"ranked by: {answer.engine} ({answer.why})"
    for line in (understood and f"understood: {understood}", answer.reading.warning, changed, ranked, *answer.notes):
        if line:
            say(line)
    console = Console()
    if console.width < NARROW:
        for hit in answer.hits:
            console.print(Text(f"{hit.rank} {hit.score:.3f} {hit.item.label} {hit.item.key}"), overflow="fold")
        return
    rank, score, key = (Column(name, no_wrap=True) for name in ("", "score", "id"))
    table = Table(rank, score, Column("picture", overflow="fold"), key, "about", box=None)
    for hit in answer.hits:
        near = [f"{len(hit.near)} more of this scene"] if hit.near else []
        about = ", ".join([*near, *(f"{key}={value}" for key, value in hit.item.meta.items())])
        short = Text(about, no_wrap=True, overflow="ellipsis")  # one line for each; all of it in --json
        table.add_row(str(hit.rank), f"{hit.score:.3f}", Text(hit.item.label), hit.item.key, short)
    console.print(table)


@app.command(rich_help_panel=SEARCH)
def serve(
    gallery: GalleryFolder,
    pictures: Annotated[
        str | None,
        typer.Option(
            "--index",
            metavar="PICTURES",
            help="First make or update the gallery from this folder or corpus.",
            show_default="no update",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; any but 127.0.0.1 is open to the network.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    model: ModelFolder = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of server processes; they share the gallery's files.")
    ] = 1,
    rate: Annotated[
        float, typer.Option(min=0, help="Maximum number of requests per second and client; 0 = no limit.")
    ] = 20.0,
    token: Annotated[
        str,
        typer.Option(
            envvar="AUTOCOMPOSE_TOKEN",
            help="Secret that clients must send; prefer the environment variable.",
            show_default="none",
        ),
    ] = "",
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Proxy (address or network) whose X-Forwarded-For names the client; repeatable.",
            show_default="none",
        ),
    ] = None,
    rerank: reranking.Rerank = None,
    rerank_model: reranking.RerankModel = "",
    rerank_url: reranking.RerankUrl = reranking.URL,
    key_env: reranking.KeyEnv = reranking.KEY,
    rerank_way: reranking.Way = reranking.WAY,
    max_cost: reranking.MaxCost = None,
    max_tokens: reranking.MaxTokens = None,
    prices: reranking.Prices = None,
) -> None:
    """Open the gallery's web page and REST interface; stop with Ctrl-C.

    With --rerank, the page has a button that sends the reference and the first results to the model when it is pressed.
    """
    from autocompose.gallery.server.launch import ServerConfig, run_server

    if pictures:
        _build(pictures, gallery, model)
    settings = {"gallery": str(gallery), "host": host, "port": port, "workers": workers, "rate": rate, "token": token}
    more = {"model": model or "", "trusted_proxy": tuple(trusted_proxy or ())}
    reranker = reranking.reranker_of(
        rerank, rerank_model, rerank_url, key_env, rerank_way, max_cost, max_tokens, prices
    )
    run_server(ServerConfig.parse({**settings, **more, "rerank": reranker.record() if reranker else None}))
