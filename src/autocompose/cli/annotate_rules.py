"""Verbs: describe rules, pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autocompose.cli.app import CORPORA, app, describe
from autocompose.core.log import nothing_left, say
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit


@describe.command("rules")
def describe_rules(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder with poses.npz.")],
    wordings: Annotated[int, typer.Option(min=1, help="Number of wordings per pair and edit.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    split: Annotated[
        list[Split] | None, typer.Option(help="Use only this split; repeatable.", show_default="all")
    ] = None,
    edit: Annotated[
        list[Edit] | None,
        typer.Option(help="Write only texts for this edit of the pair; repeatable.", show_default="all"),
    ] = None,
    bank: Annotated[str, typer.Option(help="Word bank: coach, human or independent.")] = "coach",
    noise: Annotated[float, typer.Option(help="Measurement noise; 1 = as PoseFix, 0 = none.")] = 1.0,
    max_clip_tokens: Annotated[int, typer.Option(help="Maximum length of a text in CLIP tokens; 0 = no limit.")] = 77,
    max_parts: Annotated[int, typer.Option(help="Maximum number of statements per text; 0 = as many as fit.")] = 0,
    absolute: Annotated[
        str,
        typer.Option(
            help="Also describe the target pose itself: all (as PoseFix), filtered (moving limbs only), none."
        ),
    ] = "all",
    trunk: Annotated[bool, typer.Option("--trunk", help="Also describe how the trunk leans and twists.")] = False,
    head: Annotated[
        bool, typer.Option("--head", help="Also describe how the head turns; needs rotations in poses.npz.")
    ] = False,
    rotation: Annotated[bool, typer.Option(help="Describe how far the person turns (poses share one scene).")] = True,
    codes: Annotated[
        bool, typer.Option("--codes", help="Also write the measured pose codes to codes/SPLIT.jsonl.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Number of processes; the output does not depend on it.")] = 1,
) -> None:
    """Write rule texts from the 3D poses of a corpus (keys auto, auto-reverse, auto-mirror ...)."""
    from autocompose.describe.rules.corpus_texts import write_texts
    from autocompose.describe.rules.options import RuleOptions

    options = RuleOptions.parse(
        {
            "bank": bank,
            "noise": noise,
            "max_tokens": max_clip_tokens or None,
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
        n_texts=wordings,
        seed=seed,
        edits=edit or list(Edit),
        splits=split,
        processes=processes,
        codes=codes,
    )
    say(counts.lines())
    if not counts.entries.kept:
        raise nothing_left(corpus, [counts.entries])


@app.command(rich_help_panel=CORPORA)
def pairs(
    corpus: Annotated[Path, typer.Argument(help="Corpus folder with image_splits/ and poses.npz.")],
    seed: Annotated[int, typer.Option(help="Seed for choosing among equally good reference poses.")] = 0,
    low: Annotated[float, typer.Option(help="Minimum cosine similarity of the two poses.")] = 0.80,
    high: Annotated[float, typer.Option(help="Maximum cosine similarity of the two poses.")] = 0.97,
    gap: Annotated[float, typer.Option(help="Maximum number of seconds between two poses of one sequence.")] = 0.5,
    replace: Annotated[bool, typer.Option("--replace", help="Discard the existing pairs and their texts.")] = False,
) -> None:
    """Choose which poses form (reference, target) pairs within each split."""
    from autocompose.prepare.pairing.pairs import PairOptions, pair_corpus

    options = PairOptions.parse({"low": low, "high": high, "gap": gap}, "pairs")
    say(pair_corpus(corpus, seed=seed, options=options, replace_pairs=replace).line())
