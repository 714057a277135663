"""Verb: audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import TEXTS, app
from autocompose.cli.options.spread import PROCESSES, On, WorkerCpus, spread
from autocompose.core.reading.jsontext import json_line
from autocompose.core.records import Split


@app.command(rich_help_panel=TEXTS)
def audit(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Corpus folder with poses.npz.")],
    texts: Annotated[
        list[str] | None,
        typer.Option(help="Texts to judge: human, rules, mllm, mllm-reverse ...; repeatable.", show_default="all"),
    ] = None,
    split: Annotated[
        list[Split] | None, typer.Option(help="Use only this split; repeatable.", show_default="all")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the verdicts on every text to this JSONL file.", show_default="none")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page with the summary and the worst texts to this HTML file.", show_default="none"),
    ] = None,
    turns: Annotated[
        bool, typer.Option("--turns", help="Also check claims about turns (poses.npz gives headings in one scene).")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Number of processes that judge.", show_default=PROCESSES)
    ] = None,
    on: On = "here",
    worker_cpus: WorkerCpus = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of a table.")] = False,
) -> None:
    """Check texts against the 3D poses: supported, contradicted, left and right swapped, not checkable."""
    from rich.console import Console

    from autocompose.core.log import say
    from autocompose.corpus.format import load_corpus
    from autocompose.describe.audit.corpus import audit_corpus
    from autocompose.describe.audit.report import console_table, write_report

    with spread(on, processes, worker_cpus):
        summaries, tally = audit_corpus(
            load_corpus(corpus, split), texts or (), split or (), turns, out, processes=processes or 1
        )
    if report is not None:
        write_report(report, summaries, tally, corpus.resolve().name)
    say(tally.line())
    if as_json:
        typer.echo(json_line([summary.to_json() for summary in summaries], 1))
    else:
        Console().print(console_table(summaries))
    for path in (out, report):
        if path is not None:
            say(f"wrote {path}")
