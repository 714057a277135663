"""Choosing the texts of the journal to export, with a reason for each that is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autocompose.core.log import Limit, Tally
from autocompose.core.text_fields import TEXT_FIELDS, Source
from autocompose.corpus.format import Corpus
from autocompose.describe.audit.score import MIN_AGREEMENT
from autocompose.describe.mllm.asking.sent_pictures import Pictures
from autocompose.describe.mllm.judging.pose_checks import Audit
from autocompose.describe.mllm.judging.witness import TWIN, agreement
from autocompose.describe.mllm.judging.wording import sides_named
from autocompose.describe.mllm.recipe import Recipe
from autocompose.describe.mllm.recording.described import Described, Review, Variant, Wording
from autocompose.describe.side_words import swap_sides

REJECTED = "rejected in review"
LONG = "over 77 CLIP tokens"
CONTRADICTED = "contradicted by the poses"
FEWER = "too few wordings"
STALE = "picture or pose changed since"
DISAGREES = "its mirror says something else"
OPTIONS = {LONG: "--keep-long", FEWER: "--allow-fewer", STALE: "--allow-stale", DISAGREES: "without --mirrors-agree"}
"""Options that accept texts despite a reason to skip them."""

Reviews = Mapping[tuple[Variant, int], Review]
Chosen = dict[Variant, tuple[str, ...]]
_Missing = dict[Variant, str]
Reviewed = dict[tuple[str, str], dict[str, list[dict[str, Any]]]]


@dataclass(frozen=True)
class Rules:
    """Which texts go into the corpus.

    :param min_agreement: minimum agreement score of a text: the probability that it is right by the poses, 0..1
        (``audit.score``); texts without a checkable claim (or without poses) pass.
    :param keep_long: also texts over 77 CLIP tokens, which training truncates.
    :param mirrors_agree: only variants whose mirrored twin moves the same parts, sides exchanged; the check that needs
        no poses.
    :param fill_mirrors: a field without accepted texts gets those of its mirrored twin, with left and right swapped.
    :param allow_fewer: also pairs with fewer wordings than requested.
    :param allow_stale: also texts whose pictures or poses have changed since.
    """

    min_agreement: float = MIN_AGREEMENT
    mirrors_agree: bool = False
    fill_mirrors: bool = False
    keep_long: bool = False
    allow_fewer: bool = False
    allow_stale: bool = False


def choose(
    corpus: Corpus, recipe: Recipe, variants: list[Described], latest: Reviews, rules: Rules
) -> tuple[Chosen, dict[str, Tally], Reviewed]:
    """Apply the rules to every described variant.

    :param latest: the latest review of each text.
    :return: texts of the variants that pass; for each field a tally with reasons; and the reviewers' verdicts.
    """
    pictures = Pictures(corpus, recipe)
    chosen: Chosen = {}
    reviewed: Reviewed = {}
    missing: _Missing = {}
    agreed = agreement(variants) if rules.mirrors_agree else {}
    limits: dict[Variant, Limit | None] = {}
    for annotation in variants:
        stale = annotation.inputs != pictures.inputs(annotation.item)
        kept, reasons = _kept(annotation, stale, recipe.texts, latest, rules)
        if not agreed.get(annotation.variant, True):
            reasons.append(DISAGREES)
        if reasons:
            missing[annotation.variant] = " and ".join(dict.fromkeys(reasons))
            limits[annotation.variant] = _limit(annotation, reasons, recipe.texts, rules)
            continue
        chosen[annotation.variant] = kept
        judged = [latest[key] for n in range(recipe.texts) if (key := (annotation.variant, n)) in latest]
        if judged:
            notes = [{"number": r.number, "verdict": r.verdict, "by": r.reviewer} for r in judged]
            reviewed.setdefault(annotation.variant[:2], {})[TEXT_FIELDS[Source.MLLM, annotation.item.edit]] = notes
    if recipe.mirror == "derive":
        _derive(chosen, missing)
    if rules.fill_mirrors:
        _fill(chosen, missing)
    return chosen, _tallies(chosen, missing, limits), reviewed


def _kept(
    variant: Described, stale: bool, wanted: int, latest: Reviews, rules: Rules
) -> tuple[tuple[str, ...], list[str]]:
    """The texts of a variant to export, or every reason why there are none."""
    if variant.state == "failed":
        return (), [f"failed ({variant.kind})"]
    texts = [_accepted(word, latest.get((variant.variant, n)), rules) for n, word in enumerate(variant.wordings)]
    kept = tuple(text for text, _ in texts if text)
    reasons = [STALE] if stale and not rules.allow_stale else []
    if not kept or (len(kept) < wanted and not rules.allow_fewer):
        reasons += [why for text, why in texts if not text] or [FEWER]
    return kept, reasons


def _limit(variant: Described, reasons: list[str], wanted: int, rules: Rules) -> Limit | None:
    """The lower --min-agreement that would keep the variant, if agreement is its only fault."""
    agreements = sorted((Audit(*wording.audit).agreement for wording in variant.wordings), reverse=True)
    needed = 1 if rules.allow_fewer else wanted
    if set(reasons) != {CONTRADICTED} or len(agreements) < needed:
        return None
    return Limit("--min-agreement", rules.min_agreement, agreements[needed - 1])


def advice(tallies: Mapping[str, Tally], recipe: Recipe) -> str:
    """Options of export and of describing again that address the reasons."""
    said = " ".join(reason for tally in tallies.values() for reason in tally.dropped)
    options = [option for reason, option in OPTIONS.items() if reason in said]
    loosen = f"try {', '.join(options)}" if options else ""
    if "failed (length)" in said:
        more = f"--answer-tokens {4 * recipe.max_tokens}"
        loosen += f"{'; ' * bool(loosen)}answers were cut: describe again with {more}"
    elif "failed" in said:
        loosen += f"{'; ' * bool(loosen)}describe retry --failed asks the failed ones again"
    return loosen


def _accepted(wording: Wording, review: Review | None, rules: Rules) -> tuple[str, str]:
    """The exported text, or '' and the reason; a reviewer's verdict overrides every filter."""
    if review is not None:
        if review.verdict == "reject":
            return "", REJECTED
        return (review.text, "edited") if review.verdict == "edit" else (wording.text, "")
    if "long" in wording.flags and not rules.keep_long:
        return "", LONG
    if Audit(*wording.audit).agreement < rules.min_agreement:
        return "", CONTRADICTED
    return wording.text, ""


def _derive(chosen: Chosen, missing: _Missing) -> None:
    """Mirrored fields from the plain ones."""
    for (reference, target, edit), texts in list(chosen.items()):
        if edit.mirrors:
            continue
        twin = (reference, target, TWIN[edit])
        if mirrored := _mirrored(texts):
            chosen[twin] = mirrored
        else:
            missing[twin] = "sides could not be swapped"


def _fill(chosen: Chosen, missing: _Missing) -> None:
    """Fields without texts from their mirrored twins; fields that a reviewer has rejected stay empty."""
    for (reference, target, edit), reason in list(missing.items()):
        texts = chosen.get((reference, target, TWIN[edit]), ())
        if reason != REJECTED and (mirrored := _mirrored(texts)):
            chosen[reference, target, edit] = mirrored
            del missing[reference, target, edit]


def _mirrored(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts with left and right swapped; () when one cannot be swapped."""
    mirrored = tuple(swap_sides(text) for text in texts)
    pairs = zip(texts, mirrored, strict=True)
    sound = all(swap_sides(b) == a and sides_named(b) == sides_named(a)[::-1] for a, b in pairs)
    return mirrored if sound else ()


def _tallies(chosen: Chosen, missing: _Missing, limits: Mapping[Variant, Limit | None]) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for variant in {**chosen, **missing}:
        field = TEXT_FIELDS[Source.MLLM, variant[2]]
        tally = tallies.setdefault(field, Tally(field))
        if reason := missing.get(variant):
            tally.drop(reason, f"{variant[0]} -> {variant[1]}", limit=limits.get(variant))
        else:
            tally.keep()
    return tallies
