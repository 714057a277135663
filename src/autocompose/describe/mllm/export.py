"""From the journal into the corpus: a pure function of both, written atomically."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autocompose.core.errors import AnnotationError
from autocompose.core.log import Tally
from autocompose.core.records import TEXT_FIELDS, Edit, Pair, Source, Split
from autocompose.core.store import write_json
from autocompose.corpus.format import Corpus, load_corpus, pair_to_json
from autocompose.describe.edits import swap_sides
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.geometry import Audit
from autocompose.describe.mllm.journal import Journal
from autocompose.describe.mllm.pictures import Pictures
from autocompose.describe.mllm.settings import Recipe, journal_path
from autocompose.describe.mllm.wording import sides_named

PLAIN_OF = {Edit.MIRROR: Edit.PLAIN, Edit.MIRROR_REVERSE: Edit.REVERSE}
CARD = "annotation.json"


@dataclass(frozen=True)
class Rules:
    """Which texts go into the corpus.

    :param min_agreement: least share of checkable claims that are not wrong by the poses (contradicted, or true only
        with left and right exchanged), 0..1; texts without a checkable claim (or without poses) pass.
    :param keep_long: also texts over 77 CLIP tokens, which training would cut.
    :param allow_fewer: also pairs with fewer wordings than asked for.
    :param allow_stale: also texts whose pictures or poses have changed since.
    """

    min_agreement: float = 1.0
    keep_long: bool = False
    allow_fewer: bool = False
    allow_stale: bool = False


def export(root: Path, rules: Rules | None = None) -> dict[str, Tally]:
    """Write the texts of the latest run's version into the corpus.

    Pairs that the journal does not know keep the fields they have; a known pair whose texts are filtered out
    loses them.

    :return: for each field, how many pairs got it, and why others did not.
    :raises AnnotationError: nothing has been described yet; StorageError: old files stay as they were.
    """
    rules = rules or Rules()
    journal = Journal(journal_path(root), must_exist=True)
    try:
        version, recipe, rows = _finished(journal)
        reviews = _reviews(journal, version)
    finally:
        journal.close()
    corpus = load_corpus(root)
    chosen, tallies, reviewed = _choose(corpus, recipe, rows, reviews, rules)
    known = {(r["reference"], r["target"]) for r in rows}
    fields = {TEXT_FIELDS[Source.MLLM, e]: e for e in Edit if TEXT_FIELDS[Source.MLLM, e] in tallies}
    for split, pairs in corpus.pairs.items():
        changed = [_with_texts(p, chosen, reviewed, fields) if (p.reference, p.target) in known else p for p in pairs]
        if changed != list(pairs):
            write_json(corpus.root / "captions" / f"{split}.json", [pair_to_json(p) for p in changed])
    write_json(root / CARD, _card(version, recipe, rules, tallies))
    return tallies


def _finished(journal: Journal) -> tuple[str, Recipe, list[sqlite3.Row]]:
    version = journal.version()
    row = journal.db.execute("SELECT recipe FROM runs WHERE version = ? LIMIT 1", (version,)).fetchone()
    if row is None:
        raise AnnotationError(f"{journal.path}: nothing has been described yet; run 'autocompose describe mllm' first")
    stored = json.loads(row["recipe"])
    stored["prompts"] = "v1"  # the prompt files are no longer needed; their hash is part of the version
    rows = journal.db.execute("SELECT * FROM items WHERE version = ? AND state != 'claimed'", (version,)).fetchall()
    return version, Recipe.parse(stored, str(journal.path)), rows


def _reviews(journal: Journal, version: str) -> dict[tuple[str, str, str, int], sqlite3.Row]:
    """The latest review of each text."""
    rows = journal.db.execute("SELECT * FROM reviews WHERE version = ? ORDER BY at", (version,))
    return {(r["reference"], r["target"], r["edit"], r["number"]): r for r in rows}


_Chosen = dict[tuple[str, str, Edit], tuple[str, ...]]
_Reviewed = dict[tuple[str, str], dict[str, list[dict[str, Any]]]]


def _choose(
    corpus: Corpus,
    recipe: Recipe,
    rows: list[sqlite3.Row],
    reviews: Mapping[tuple[str, str, str, int], sqlite3.Row],
    rules: Rules,
) -> tuple[_Chosen, dict[str, Tally], _Reviewed]:
    pictures = Pictures(corpus, recipe)
    chosen: _Chosen = {}
    reviewed: _Reviewed = {}
    tallies: dict[str, Tally] = {}
    for row in rows:
        edit, pair = Edit(row["edit"]), (row["reference"], row["target"])
        tally = tallies.setdefault(TEXT_FIELDS[Source.MLLM, edit], Tally(TEXT_FIELDS[Source.MLLM, edit]))
        name = f"{pair[0]} -> {pair[1]}"
        item = Item(*pair, edit, Split(row["split"]))
        if row["state"] == "failed":
            tally.drop(f"failed ({row['kind']})", name)
        elif not rules.allow_stale and row["inputs"] != pictures.inputs(item):
            tally.drop("picture or pose changed since", name)
        else:
            texts = [
                _accepted(row, number, text, reviews, rules) for number, text in enumerate(json.loads(row["texts"]))
            ]
            kept = tuple(text for text, _ in texts if text)
            if not kept or (len(kept) < recipe.texts and not rules.allow_fewer):
                reasons = [why for text, why in texts if not text] or ["too few wordings"]
                tally.drop(reasons[0], name)
                continue
            tally.keep()
            chosen[(*pair, edit)] = kept
            found = [reviews[key] for n in range(len(texts)) if (key := (*pair, edit.value, n)) in reviews]
            if found:
                notes = [{"number": r["number"], "verdict": r["verdict"], "by": r["reviewer"]} for r in found]
                reviewed.setdefault(pair, {})[tally.what] = notes
    if recipe.mirror == "derive":
        _derive(chosen, tallies)
    return chosen, tallies, reviewed


def _accepted(
    row: sqlite3.Row, number: int, text: dict[str, Any], reviews: Mapping[Any, sqlite3.Row], rules: Rules
) -> tuple[str, str]:
    """The text as it is exported, or '' and the reason; a reviewer's word beats every filter."""
    review = reviews.get((row["reference"], row["target"], row["edit"], number))
    if review is not None:
        if review["verdict"] == "reject":
            return "", "rejected in review"
        return (review["text"], "edited") if review["verdict"] == "edit" else (text["text"], "")
    if "long" in text["flags"] and not rules.keep_long:
        return "", "over 77 CLIP tokens"
    if Audit(*text.get("audit", ())).agreement < rules.min_agreement:
        return "", "contradicted by the poses"
    return text["text"], ""


def _derive(chosen: _Chosen, tallies: dict[str, Tally]) -> None:
    """Mirrored fields from the plain ones by exchanging sides, each checked."""
    for mirror, plain in PLAIN_OF.items():
        field = TEXT_FIELDS[Source.MLLM, mirror]
        for (reference, target, edit), texts in list(chosen.items()):
            if edit is not plain:
                continue
            tally = tallies.setdefault(field, Tally(field))
            mirrored = tuple(swap_sides(text) for text in texts)
            pairs = zip(texts, mirrored, strict=True)
            if all(swap_sides(b) == a and sides_named(b) == sides_named(a)[::-1] for a, b in pairs):
                chosen[reference, target, mirror] = mirrored
                tally.keep()
            else:
                tally.drop("sides could not be exchanged", f"{reference} -> {target}")


def _with_texts(pair: Pair, chosen: _Chosen, reviewed: _Reviewed, fields: dict[str, Edit]) -> Pair:
    texts = {key: value for key, value in pair.texts.items() if key not in fields}
    for key, edit in fields.items():
        if found := chosen.get((pair.reference, pair.target, edit)):
            texts[key] = found
    extra = {key: value for key, value in pair.extra.items() if key != "reviewed"}
    if notes := reviewed.get((pair.reference, pair.target)):
        extra["reviewed"] = notes
    return replace(pair, texts=texts, extra=extra)


def _card(version: str, recipe: Recipe, rules: Rules, tallies: dict[str, Tally]) -> dict[str, Any]:
    """Where the texts come from. The model's terms of use may bind whoever uses or trains on them."""
    return {
        "version": version,
        "model": recipe.model,
        "recipe": recipe.model_dump(mode="json"),
        "filters": rules.__dict__,
        "fields": {field: tally.record() for field, tally in sorted(tallies.items())},
        "note": f"Texts written by {recipe.model}; its licence or terms of use apply to them.",
    }
