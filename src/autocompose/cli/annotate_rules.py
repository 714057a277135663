"""Verbs: describe rules, pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import app, describe
from autocompose.core.log import nothing_left, say
from autocompose.core.records import Edit, Split


@describe.command("rules")
def describe_rules(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder with poses.npz.")],
    texts: Annotated[int, typer.Option(min=1, help="Different wordings per pair and field.")] = 3,
    seed: Annotated[int, typer.Option(help="Decides everything random.")] = 0,
    split: Annotated[list[Split] | None, typer.Option(help="Only this split; repeatable.", show_default="all")] = None,
    edit: Annotated[
        list[Edit] | None,
        typer.Option(help="Only this field: plain, reverse, mirror, mirror-reverse; repeatable.", show_default="all"),
    ] = None,
    bank: Annotated[str, typer.Option(help="Word bank: coach, human or independent.")] = "coach",
    noise: Annotated[float, typer.Option(help="Measurement noise; 1 = as PoseFix, 0 = none.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="Longest text in CLIP tokens; 0 = unlimited.")] = 77,
    max_parts: Annotated[int, typer.Option(help="Most statements per text; 0 = as many as fit.")] = 0,
    absolute: Annotated[
        str, typer.Option(help="States of the goal pose: all (as PoseFix), filtered (only on moving limbs), none.")
    ] = "all",
    trunk: Annotated[bool, typer.Option("--trunk", help="Also tell how the trunk leans and twists.")] = False,
    head: Annotated[bool, typer.Option("--head", help="Also tell how the head turns; needs rotations.")] = False,
    rotation: Annotated[bool, typer.Option(help="Tell how far the person turns (poses share one scene).")] = True,
    codes: Annotated[bool, typer.Option("--codes", help="Also write codes/SPLIT.jsonl: what was measured.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes; the output is the same for any number.")] = 1,
) -> None:
    """Write texts into a corpus by rules, from its 3D poses (fields auto, auto-reverse, auto-mirror ...)."""
    from autocompose.describe.rules.corpus_texts import write_texts
    from autocompose.describe.rules.options import RuleOptions

    options = RuleOptions.parse(
        {
            "bank": bank,
            "noise": noise,
            "max_tokens": max_tokens or None,
            "max_parts": max_parts or None,
            "absolute": absolute,
            "trunk": trunk,
            "head": head,
            "rotation": rotation,
        },
        "describe rules",
    )
    counts = write_texts(
        corpus,
        options=options,
        n_texts=texts,
        seed=seed,
        edits=edit or list(Edit),
        splits=split,
        processes=processes,
        codes=codes,
    )
    say(counts.lines())
    if not counts.entries.kept:
        raise nothing_left(corpus, [counts.entries])


@app.command()
def pairs(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder with image_splits/ and poses.npz.")],
    seed: Annotated[int, typer.Option(help="Decides the draws between equally good start poses.")] = 0,
    low: Annotated[float, typer.Option(help="Least cosine similarity of the two poses.")] = 0.80,
    high: Annotated[float, typer.Option(help="Highest cosine similarity.")] = 0.97,
    gap: Annotated[float, typer.Option(help="Seconds between poses of one sequence, at most.")] = 0.5,
    replace: Annotated[bool, typer.Option("--replace", help="Drop the pairs (and texts) that the corpus has.")] = False,
) -> None:
    """Choose which poses form (reference, target) pairs, within each split."""
    from autocompose.prepare.pairing.pairs import PairOptions, pair_corpus

    options = PairOptions.parse({"low": low, "high": high, "gap": gap}, "pairs")
    say(pair_corpus(corpus, seed=seed, options=options, replace_pairs=replace).line())
