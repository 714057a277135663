"""Report on an annotation and the quality of its texts, beside the rule texts of the same variants."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.text_fields import Edit, Source
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.judging import pose_checks as geometry
from autocompose.describe.mllm.judging.witness import agreement
from autocompose.describe.mllm.judging.wording import WORDS, mentions
from autocompose.describe.mllm.recipe import journal_path
from autocompose.describe.mllm.recording.described import Variant
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.recording.journal_reading import described, last_run, progress, spent_on
from autocompose.describe.rules.token_limit import CLIP_TOKENS, count_tokens


def status(root: Path) -> dict[str, Any]:
    """Progress, failures, requests and cost of the journal beside a corpus."""
    journal = Journal(journal_path(root), must_exist=True)
    try:
        return _status(journal)
    finally:
        journal.close()


def _status(journal: Journal) -> dict[str, Any]:
    version, last, living = journal.version(), last_run(journal), {run["id"] for run in journal.living()}
    counts = progress(journal, version)
    answered = [r.seconds for r in counts.requests if r.kind == "ok" and r.seconds]
    return {
        "version": version,
        "model": json.loads(last["recipe"])["model"] if last else None,
        "running": len(living),
        "last run": (last["stopped"] or ("at work" if last["id"] in living else "killed")) if last else None,
        "done": sum(counts.done.values()),
        "imperfect": {kind: n for kind, n in counts.done.items() if kind},
        "failed": counts.failed,
        "stale": counts.stale,
        "requests": {r.kind: r.count for r in counts.requests},
        "answer seconds": round(answered[0], 3) if answered else None,
        "cost": round(sum(r.cost for r in counts.requests), 6),
        "prices of": ", ".join(journal.get("prices") or ()) or None,
        "tokens": sum(r.tokens for r in counts.requests),
    }


def report(root: Path) -> dict[str, Any]:
    """``status``, cost per pair, shares of all finished variants, and text statistics, also of the rule texts."""
    journal = Journal(journal_path(root), must_exist=True)
    try:
        counts = _status(journal)
        finished = described(journal, counts["version"])
        spent = spent_on(journal, counts["version"])
    finally:
        journal.close()
    corpus = load_corpus(root)
    units, pairs = max(1, len(finished)), max(1, len({annotation.variant[:2] for annotation in finished}))
    texts = {
        annotation.variant: [w.text for w in annotation.wordings]
        for annotation in finished
        if annotation.state == "done"
    }
    rules = {
        (p.reference, p.target, edit): list(p.texts_of(Source.RULES, edit))
        for split in corpus.pairs.values() for p in split for edit in Edit
        if (p.reference, p.target, edit) in texts and p.texts_of(Source.RULES, edit)
    }  # fmt: skip
    agreed = agreement(finished).values()  # counts, as in the status, never shares
    crossed = sum("crossed" in wording.flags for annotation in finished for wording in annotation.wordings[:1])
    return {
        **counts,
        "per pair": {key: round(spent[key] / pairs, 6) for key in ("cost", "tokens", "seconds")},
        "per variant": {key: round(spent[key] / units, 6) for key in ("cost", "tokens", "seconds")},
        "variants": len(finished),
        "repaired": sum(bool(annotation.repaired) for annotation in finished),
        "mirrors compared": len(agreed),
        "mirrors that disagree": len(agreed) - sum(agreed),
        "crossed limbs": crossed,
        "texts": {"mllm": statistics(corpus, texts), "rules": statistics(corpus, rules)},
    }


def statistics(corpus: Corpus, texts: dict[Variant, list[str]]) -> dict[str, float]:
    """Length, vocabulary, diversity and, with poses, what the texts cover and contradict.

    :param texts: (reference, target, edit) -> wordings.
    """
    every = [text for group in texts.values() for text in group]
    if not every:
        return {}
    words = [WORDS.findall(text.lower()) for text in every]
    tokens = [count_tokens(text) for text in every]
    result = {
        "texts": len(every),
        "words per text": float(np.mean([len(w) for w in words])),
        "CLIP tokens per text": float(np.mean(tokens)),
        "over 77 CLIP tokens": sum(n > CLIP_TOKENS for n in tokens),
        "vocabulary": len({word for text in words for word in text}),
        "self-BLEU of a pair's wordings": float(np.mean([self_bleu(g) for g in texts.values() if len(g) > 1] or [0])),
    }
    if corpus.poses is not None:
        result |= _against_poses(corpus, texts)
    return result


def _against_poses(corpus: Corpus, texts: dict[Variant, list[str]]) -> dict[str, float]:
    assert corpus.poses is not None
    rows = corpus.poses.index()
    covered: list[float] = []
    sums = Counter[str]()
    for (reference, target, edit), group in texts.items():
        item = Item(reference, target, edit)
        poses = geometry.joints_of(corpus.poses, item, rows)
        if poses is None:
            continue
        moved = geometry.moved_limbs(poses)
        for text in group:
            if moved:
                covered.append(len(moved & mentions(text).limbs) / len(moved))
            claims = geometry.audit(text, poses)
            sums.update(claims._asdict() | {"texts": 1, "bad texts": claims.wrong > 0})
    if not sums["texts"]:
        return {}
    return {
        "moved limbs mentioned": float(np.mean(covered or [0])),
        "claims per text": sums["checked"] / sums["texts"],
        "claims supported": sums["supported"] / max(1, sums["checked"]),
        "claims contradicted": sums["contradicted"] / max(1, sums["checked"]),
        "claims true with sides exchanged": sums["swapped"] / max(1, sums["checked"]),
        "claims wrong (either)": sums["wrong"] / max(1, sums["checked"]),
        "texts with a wrong claim": sums["bad texts"] / sums["texts"],
    }


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU-4 of each text against the others, 0..1; low means diverse. Add-one smoothing above unigrams."""
    tokens = [WORDS.findall(text.lower()) for text in texts]
    return float(np.mean([_bleu(t, [o for j, o in enumerate(tokens) if j != i]) for i, t in enumerate(tokens)]))


def _bleu(hypothesis: list[str], references: list[list[str]]) -> float:
    if not hypothesis:
        return 0.0
    logs = 0.0
    for n in range(1, 5):
        grams = _grams(hypothesis, n)
        best: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            best |= _grams(reference, n)
        hit, total = sum((grams & best).values()), sum(grams.values())
        smooth = 0 if n == 1 else 1
        if hit + smooth == 0:
            return 0.0
        logs += math.log((hit + smooth) / max(1, total + smooth)) / 4
    closest = min((abs(len(r) - len(hypothesis)), len(r)) for r in references)[1]
    return min(1.0, math.exp(1 - closest / len(hypothesis))) * math.exp(logs)


def _grams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def lines(values: dict[str, Any], indent: str = "") -> list[str]:
    """A nested record as readable lines."""
    out = []
    for key, value in values.items():
        if isinstance(value, dict):
            out += [f"{indent}{key}:" + ("" if value else " none"), *lines(value, indent + "  ")]
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else "-" if value is None else f"{value}"
            out.append(f"{indent}{key}: {shown}")
    return out
