"""From the journal into the corpus: a pure function of both, written atomically."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autocompose.core.errors import AnnotationError
from autocompose.core.files import write_json
from autocompose.core.log import Tally
from autocompose.core.records import TEXT_FIELDS, Edit, Pair, Source, Split
from autocompose.corpus.format import Corpus, load_corpus, pair_to_json
from autocompose.describe.audit.score import LEAST
from autocompose.describe.mllm.asking.sent_pictures import Pictures
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.judging.pose_checks import Audit
from autocompose.describe.mllm.judging.witness import TWIN, Variant, agreement
from autocompose.describe.mllm.judging.wording import sides_named
from autocompose.describe.mllm.recipe import Recipe, journal_path
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.side_words import swap_sides

REJECTED = "rejected in review"
CARD = "annotation.json"
NOTHING = "nothing has been described with the latest settings; run 'autocompose describe mllm' first"


@dataclass(frozen=True)
class Rules:
    """Which texts go into the corpus.

    :param min_agreement: least agreement score of a text, the probability that it is right by the poses, 0..1
        (``audit.score``); texts without a checkable claim (or without poses) pass.
    :param keep_long: also texts over 77 CLIP tokens, which training would cut.
    :param mirrors_agree: only variants whose mirrored twin moves the same parts, sides exchanged; the check that needs
        no poses.
    :param fill_mirrors: a field that lost its texts gets those of its mirrored twin, left and right exchanged.
    :param allow_fewer: also pairs with fewer wordings than asked for.
    :param allow_stale: also texts whose pictures or poses have changed since.
    """

    min_agreement: float = LEAST
    mirrors_agree: bool = False
    fill_mirrors: bool = False
    keep_long: bool = False
    allow_fewer: bool = False
    allow_stale: bool = False


def export(root: Path, rules: Rules | None = None) -> dict[str, Tally]:
    """Write the texts of the latest run's version into the corpus.

    Pairs that the journal does not know keep the fields they have; a known pair whose texts are filtered out
    loses them.

    :return: for each field, how many pairs got it, and why others did not.
    :raises AnnotationError: nothing has been described yet, or mirrors that were not asked about shall agree;
        StorageError: old files stay as they were.
    """
    rules = rules or Rules()
    journal = Journal(journal_path(root), must_exist=True)
    try:
        version, recipe, rows = _finished(journal)
        reviews = _reviews(journal, version)
    finally:
        journal.close()
    if rules.mirrors_agree and recipe.mirror == "derive":
        raise AnnotationError(f"{root}: mirrored pictures were not asked about (--mirror derive); none can disagree")
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
        raise AnnotationError(f"{journal.path}: {NOTHING}")
    stored = json.loads(row["recipe"])
    stored["prompts"] = "v1"  # the prompt files are no longer needed; their hash is part of the version
    rows = journal.db.execute("SELECT * FROM items WHERE version = ? AND state != 'claimed'", (version,)).fetchall()
    if not rows:
        raise AnnotationError(f"{journal.path}: {NOTHING}")
    return version, Recipe.parse(stored, str(journal.path)), rows


def _reviews(journal: Journal, version: str) -> dict[tuple[str, str, str, int], sqlite3.Row]:
    """The latest review of each text."""
    rows = journal.db.execute("SELECT * FROM reviews WHERE version = ? ORDER BY at", (version,))
    return {(r["reference"], r["target"], r["edit"], r["number"]): r for r in rows}


_Chosen = dict[Variant, tuple[str, ...]]
_Missing = dict[Variant, str]
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
    missing: _Missing = {}
    agreed = agreement(rows) if rules.mirrors_agree else {}
    for row in rows:
        edit, pair = Edit(row["edit"]), (row["reference"], row["target"])
        stale = row["inputs"] != pictures.inputs(Item(*pair, edit, Split(row["split"])))
        kept, reason = _kept(row, stale, recipe.texts, reviews, rules)
        if not reason and not agreed.get((*pair, edit), True):
            reason = "its mirror says something else"
        if reason:
            missing[(*pair, edit)] = reason
            continue
        chosen[(*pair, edit)] = kept
        found = [reviews[key] for n in range(recipe.texts) if (key := (*pair, edit.value, n)) in reviews]
        if found:
            notes = [{"number": r["number"], "verdict": r["verdict"], "by": r["reviewer"]} for r in found]
            reviewed.setdefault(pair, {})[TEXT_FIELDS[Source.MLLM, edit]] = notes
    if recipe.mirror == "derive":
        _derive(chosen, missing)
    if rules.fill_mirrors:
        _fill(chosen, missing)
    return chosen, _tallies(chosen, missing), reviewed


def _kept(
    row: sqlite3.Row, stale: bool, wanted: int, reviews: Mapping[Any, sqlite3.Row], rules: Rules
) -> tuple[tuple[str, ...], str]:
    """The texts of a variant that are exported, or why there are none."""
    if row["state"] == "failed":
        return (), f"failed ({row['kind']})"
    if stale and not rules.allow_stale:
        return (), "picture or pose changed since"
    texts = [_accepted(row, number, text, reviews, rules) for number, text in enumerate(json.loads(row["texts"]))]
    kept = tuple(text for text, _ in texts if text)
    if kept and (len(kept) >= wanted or rules.allow_fewer):
        return kept, ""
    return (), next((why for text, why in texts if not text), "too few wordings")


def _accepted(
    row: sqlite3.Row, number: int, text: dict[str, Any], reviews: Mapping[Any, sqlite3.Row], rules: Rules
) -> tuple[str, str]:
    """The text as it is exported, or '' and the reason; a reviewer's word beats every filter."""
    review = reviews.get((row["reference"], row["target"], row["edit"], number))
    if review is not None:
        if review["verdict"] == "reject":
            return "", REJECTED
        return (review["text"], "edited") if review["verdict"] == "edit" else (text["text"], "")
    if "long" in text["flags"] and not rules.keep_long:
        return "", "over 77 CLIP tokens"
    if Audit(*text.get("audit", ())).agreement < rules.min_agreement:
        return "", "contradicted by the poses"
    return text["text"], ""


def _derive(chosen: _Chosen, missing: _Missing) -> None:
    """Mirrored fields from the plain ones."""
    for (reference, target, edit), texts in list(chosen.items()):
        if edit.mirrors:
            continue
        twin = (reference, target, TWIN[edit])
        if mirrored := _mirrored(texts):
            chosen[twin] = mirrored
        else:
            missing[twin] = "sides could not be exchanged"


def _fill(chosen: _Chosen, missing: _Missing) -> None:
    """Fields without texts from their mirrored twins; what a reviewer has rejected stays empty."""
    for (reference, target, edit), reason in list(missing.items()):
        texts = chosen.get((reference, target, TWIN[edit]), ())
        if reason != REJECTED and (mirrored := _mirrored(texts)):
            chosen[reference, target, edit] = mirrored
            del missing[reference, target, edit]


def _mirrored(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts with left and right exchanged; () when one of them resists."""
    mirrored = tuple(swap_sides(text) for text in texts)
    pairs = zip(texts, mirrored, strict=True)
    sound = all(swap_sides(b) == a and sides_named(b) == sides_named(a)[::-1] for a, b in pairs)
    return mirrored if sound else ()


def _tallies(chosen: _Chosen, missing: _Missing) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for reference, target, edit in {**chosen, **missing}:
        field = TEXT_FIELDS[Source.MLLM, edit]
        tally = tallies.setdefault(field, Tally(field))
        if reason := missing.get((reference, target, edit)):
            tally.drop(reason, f"{reference} -> {target}")
        else:
            tally.keep()
    return tallies


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
