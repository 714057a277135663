"""Verbs on corpora: prepare from raw data, check, split, export, import, inspect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import app
from autocompose.core.errors import CorpusError

CorpusFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Corpus folder (captions/, images/, image_splits/).")]


@app.command()
def validate(
    folder: CorpusFolder,
    images: Annotated[bool, typer.Option("--images", help="Also decode every picture.")] = False,
    allow_shared: Annotated[
        list[str] | None,
        typer.Option(help="What the splits may share by protocol: image, uid, pose, cube or sequence; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every finding as JSON instead of a table.")] = False,
) -> None:
    """Check a corpus: files, pairs, groups, galleries, leaks between splits, texts, poses."""
    from rich.console import Console

    from autocompose.corpus.validate import SHARED_KEYS, table
    from autocompose.corpus.validate import validate as run_checks

    unknown = sorted(set(allow_shared or ()) - set(SHARED_KEYS))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r}; allowed: {', '.join(SHARED_KEYS)}", param_hint="--allow-shared")
    checks = run_checks(folder, images=images, allow_shared=allow_shared or ())
    if as_json:
        typer.echo(json.dumps([check.__dict__ for check in checks], indent=1, ensure_ascii=False))
    else:
        Console().print(table(checks))
    faults = [fault for check in checks for fault in check.faults]
    if faults:
        raise CorpusError(f"{folder}: {len(faults)} faults; first: {faults[0]}", faults)


@app.command()
def split(
    folder: CorpusFolder,
    share: Annotated[float, typer.Option(help="Share of the train pairs that go to val, above 0, at most 0.5.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Decides which pairs go.")] = 0,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Column or extra key whose values stay on one side; repeatable [default: uid pose cube sequence]."
        ),
    ] = None,
) -> None:
    """Carve a validation split out of train; pairs that share a picture, pose or sequence stay together."""
    from autocompose.core.log import say
    from autocompose.core.records import Split
    from autocompose.corpus.format import load_corpus
    from autocompose.corpus.split import GROUP_KEYS, carve_val

    corpus = carve_val(load_corpus(folder), share, seed, key or GROUP_KEYS)
    corpus.save()
    say(f"{folder}: {len(corpus.pairs[Split.TRAIN]):,} train pairs, {len(corpus.pairs[Split.VAL]):,} val pairs")
