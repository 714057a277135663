"""Export from the journal into the corpus: a pure function of both, written atomically."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from autocompose.core.errors import AnnotationError
from autocompose.core.files import write_json
from autocompose.core.log import Tally, nothing_left
from autocompose.core.records import Pair
from autocompose.core.text_fields import TEXT_FIELDS, Edit, Source
from autocompose.corpus.format import load_corpus, pair_to_json
from autocompose.describe.mllm.choosing import Chosen, Reviewed, Rules, advice, choose
from autocompose.describe.mllm.recipe import Recipe, journal_path
from autocompose.describe.mllm.recording.described import Described
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.recording.journal_reading import described, recipe_of, reviews

CARD = "annotation.json"
NOTHING = "nothing has been described with the latest settings; run 'autocompose describe mllm' first"


def export_texts(root: str | Path, rules: Rules | None = None) -> dict[str, Tally]:
    """Write the texts of the latest run's version into the corpus.

    Pairs that are not in the journal keep their fields; a pair in the journal whose texts are all filtered out
    loses them.

    :return: for each field, a tally of the pairs with reasons.
    :raises AnnotationError: nothing has been described yet, or mirrors are to agree that were derived;
        NothingLeftError: no text passes, so the described pairs have lost theirs; StorageError: old files stay as they
        were.
    """
    root, rules = Path(root), rules or Rules()
    journal = Journal(journal_path(root), must_exist=True)
    try:
        version, recipe, variants = _finished(journal)
        latest = {(review.variant, review.number): review for review in reviews(journal, version)}
    finally:
        journal.close()
    if rules.mirrors_agree and recipe.mirror == "derive":
        raise AnnotationError(f"{root}: mirrored pictures were not asked about (--mirrored derive): none can disagree")
    corpus = load_corpus(root)
    chosen, tallies, reviewed = choose(corpus, recipe, variants, latest, rules)
    known = {annotation.variant[:2] for annotation in variants}
    fields = {TEXT_FIELDS[Source.MLLM, e]: e for e in Edit if TEXT_FIELDS[Source.MLLM, e] in tallies}
    for split, pairs in corpus.pairs.items():
        changed = [_with_texts(p, chosen, reviewed, fields) if (p.reference, p.target) in known else p for p in pairs]
        if changed != list(pairs):
            write_json(corpus.root / "captions" / f"{split}.json", [pair_to_json(p) for p in changed])
    write_json(root / CARD, _card(version, recipe, rules, tallies))
    if not chosen:
        raise nothing_left(root, tallies.values(), advice(tallies, recipe))
    return tallies


def _finished(journal: Journal) -> tuple[str, Recipe, list[Described]]:
    version = journal.version()
    stored, variants = recipe_of(journal, version), described(journal, version)
    if stored is None or not variants:
        raise AnnotationError(f"{journal.path}: {NOTHING}")
    stored["prompts"] = "v1"  # the prompt files are no longer needed; their hash is part of the version
    return version, Recipe.parse(stored, str(journal.path)), variants


def _with_texts(pair: Pair, chosen: Chosen, reviewed: Reviewed, fields: dict[str, Edit]) -> Pair:
    texts = {key: value for key, value in pair.texts.items() if key not in fields}
    for key, edit in fields.items():
        if wordings := chosen.get((pair.reference, pair.target, edit)):
            texts[key] = wordings
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
