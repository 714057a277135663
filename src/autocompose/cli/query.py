"""Verbs on galleries: index, search, serve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autocompose.cli.app import app
from autocompose.core.errors import InputError

if TYPE_CHECKING:
    from autocompose.gallery.query import Answer

GalleryFolder = Annotated[Path, typer.Argument(metavar="GALLERY", help="Gallery folder that index has written.")]
ModelFolder = Annotated[Path | None, typer.Option("--model", metavar="RUN", help="Run folder of the model.")]


@app.command()
def index(
    pictures: Annotated[Path, typer.Argument(metavar="PICTURES", help="Folder of pictures, or a corpus.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Gallery folder to make or to update.")],
    model: ModelFolder = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Inverted lists instead of exact search; the recall is measured.")
    ] = False,
    store: Annotated[str, typer.Option(help="embedded, or qdrant://host:port/collection.")] = "embedded",
    processes: Annotated[int, typer.Option(min=1, help="How many processes embed pictures.")] = 1,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|COLUMN=VALUE",
            help="Instead of indexing, delete a picture or a metadata value (person=anna) for good; repeatable.",
        ),
    ] = None,
) -> None:
    """Embed all pictures of a folder into a gallery; a second run touches only what has changed."""
    from autocompose.core.log import say
    from autocompose.gallery import index as work
    from autocompose.gallery.folder import read_config
    from autocompose.gallery.item import parse_where
    from autocompose.gallery.model import RunFolder

    if forget:
        conditions = [entry for entry in forget if "=" in entry]
        paths = work.forget(out, [entry for entry in forget if "=" not in entry], parse_where(conditions))
        say(f"{out}: deleted {len(paths)} pictures: {', '.join(paths[:5])}{' ...' if paths[5:] else ''}")
        return
    config = read_config(out)
    folder = model or (Path(config.model) if config and config.model else None)
    if folder is None:
        raise InputError("--model: no model named; give the run folder that training has written")
    report = work.build(
        pictures,
        RunFolder(folder),
        out,
        kind="approximate" if approximate else "exact",
        store=store,
        processes=processes,
        model_folder=folder,
    )
    say(report.line())
    say(f"search it with: autocompose search {out} --text 'raise the left arm'")
    say(f"or open it with: autocompose serve {out}")


@app.command()
def search(
    gallery: GalleryFolder,
    reference: Annotated[
        str | None, typer.Option(help="Picture to start from: an item id, a path in the gallery, or any picture file.")
    ] = None,
    text: Annotated[str, typer.Option(help="What to change, such as 'raise the left arm'.")] = "",
    k: Annotated[int, typer.Option("-k", "--top", min=1, max=500, help="How many results.")] = 10,
    weight: Annotated[float, typer.Option(min=0, max=1, help="Text against picture; 0.5 = as the model does.")] = 0.5,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Mirror the reference, and left and right in the text.")
    ] = False,
    sides: Annotated[
        str, typer.Option(help="Whose left the text means: own (the person's) or seen (the viewer's).")
    ] = "own",
    where: Annotated[list[str] | None, typer.Option(help="Filter COLUMN=VALUE; repeatable.")] = None,
    like: Annotated[list[str] | None, typer.Option(help="Item id to come closer to; repeatable.")] = None,
    unlike: Annotated[list[str] | None, typer.Option(help="Item id to get away from; repeatable.")] = None,
    engine: Annotated[
        str, typer.Option(help="learned, symbolic (3D poses and rules, needs no model) or blend.")
    ] = "learned",
    model: ModelFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    open_sheet: Annotated[bool, typer.Option("--open", help="Show the results as an HTML contact sheet.")] = False,
) -> None:
    """Pictures like the reference, but with the change that the text asks for."""
    from autocompose.gallery.item import parse_where
    from autocompose.gallery.query import Engine, Sides
    from autocompose.gallery.search import Gallery

    for option, value, kind in (("--sides", sides, Sides), ("--engine", engine, Engine)):
        if value not in [member.value for member in kind]:
            raise InputError(f"{option} {value}: expected one of {', '.join(member.value for member in kind)}")
    opened = Gallery.open(gallery, model)
    answer = opened.search(
        reference=reference,
        text=text,
        k=k,
        weight=weight,
        mirror=mirror,
        sides=sides,
        where=parse_where(where or []),
        like=like or [],
        unlike=unlike or [],
        engine=engine,
    )
    if as_json:
        typer.echo(json.dumps(answer.record(), indent=1, ensure_ascii=False))
    else:
        _print(answer)
    if open_sheet:
        from autocompose.gallery.sheet import write_sheet

        sheet = write_sheet(opened, answer)
        typer.echo(f"{sheet}", err=True)
        typer.launch(sheet.as_uri())


def _print(answer: Answer) -> None:
    from rich.console import Console
    from rich.table import Table

    from autocompose.core.log import say

    understood = ", ".join(f"{part.who}: {part.what}" for part in answer.reading.parts)
    for line in (understood and f"understood: {understood}", answer.reading.warning, *answer.notes):
        if line:
            say(line)
    table = Table("", "score", "picture", "id", "about", box=None)
    for hit in answer.hits:
        about = ", ".join(f"{key}={value}" for key, value in hit.item.meta.items())
        table.add_row(str(hit.rank), f"{hit.score:.3f}", hit.item.path, hit.item.key, about)
    Console().print(table)


@app.command()
def serve(
    gallery: GalleryFolder,
    host: Annotated[str, typer.Option(help="Address to listen on; others than 127.0.0.1 are open to the network.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    model: ModelFolder = None,
    workers: Annotated[int, typer.Option(min=1, help="Server processes; they share the gallery's files.")] = 1,
    rate: Annotated[float, typer.Option(min=0, help="Requests per second and client; 0 = no limit.")] = 20.0,
    token: Annotated[
        str, typer.Option(envvar="AUTOCOMPOSE_TOKEN", help="Secret that clients must give; best set by the variable.")
    ] = "",
) -> None:
    """Open the gallery's web page and REST interface; stop with Ctrl-C."""
    from autocompose.gallery.server.run import ServerConfig, run_server

    settings = {"gallery": str(gallery), "host": host, "port": port, "workers": workers, "rate": rate, "token": token}
    run_server(ServerConfig.parse({**settings, "model": str(model) if model else ""}))
