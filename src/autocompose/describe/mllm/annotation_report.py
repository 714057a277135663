"""What an annotation did and how good its texts look, beside the rule texts of the same variants."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.records import Edit, Source
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.judging import pose_checks as geometry
from autocompose.describe.mllm.judging.witness import agreement
from autocompose.describe.mllm.judging.wording import WORDS, mentions
from autocompose.describe.mllm.recipe import journal_path
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.rules.token_limit import CLIP_TOKENS, count_tokens


def status(root: Path) -> dict[str, Any]:
    """Progress, failures, requests and cost of the journal beside a corpus."""
    journal = Journal(journal_path(root), must_exist=True)
    try:
        db, version = journal.db, journal.version()
        items = db.execute(
            "SELECT version = ? AS current, state, kind, COUNT(*) AS n FROM items GROUP BY 1, 2, 3", (version,)
        ).fetchall()
        attempts = db.execute(
            "SELECT kind, COUNT(*) AS n, TOTAL(cost) AS cost, TOTAL(prompt_tokens + completion_tokens) AS tokens,"
            " AVG(seconds) AS seconds FROM attempts GROUP BY kind"
        ).fetchall()
        last = db.execute("SELECT * FROM runs ORDER BY started DESC, rowid DESC LIMIT 1").fetchone()
        living = journal.living()
        return {
            "version": version,
            "model": json.loads(last["recipe"])["model"] if last else None,
            "running": len(living),
            "last run": _ending(last, {run["id"] for run in living}) if last else None,
            "done": sum(r["n"] for r in items if r["current"] and r["state"] == "done"),
            "imperfect": {r["kind"]: r["n"] for r in items if r["current"] and r["state"] == "done" and r["kind"]},
            "failed": {r["kind"]: r["n"] for r in items if r["current"] and r["state"] == "failed"},
            "stale": sum(r["n"] for r in items if not r["current"]),
            "requests": {r["kind"]: r["n"] for r in attempts},
            "answer seconds": next(
                (round(r["seconds"], 3) for r in attempts if r["kind"] == "ok" and r["seconds"]), None
            ),
            "cost": round(sum(r["cost"] for r in attempts), 6),
            "prices of": ", ".join(journal.get("prices") or ()) or None,
            "tokens": int(sum(r["tokens"] for r in attempts)),
        }
    finally:
        journal.close()


def _ending(run: sqlite3.Row, living: set[str]) -> str:
    return run["stopped"] or ("at work" if run["id"] in living else "killed")


def report(root: Path) -> dict[str, Any]:
    """``status``, cost per pair, acceptance by kind, and text statistics, also of the rule texts."""
    found = status(root)
    journal = Journal(journal_path(root), must_exist=True)
    try:
        rows = journal.db.execute("SELECT * FROM items WHERE version = ?", (found["version"],)).fetchall()
        spent = journal.db.execute(
            "SELECT TOTAL(a.cost) AS cost, TOTAL(a.prompt_tokens + a.completion_tokens) AS tokens,"
            " TOTAL(a.seconds) AS seconds FROM attempts a JOIN asks q ON q.key = a.key JOIN items i ON i.id = q.item"
            " WHERE i.version = ?",
            (found["version"],),
        ).fetchone()
    finally:
        journal.close()
    corpus = load_corpus(root)
    finished = [r for r in rows if r["state"] != "claimed"]
    units, pairs = max(1, len(finished)), max(1, len({(r["reference"], r["target"]) for r in finished}))
    texts = {
        (r["reference"], r["target"], r["edit"]): [t["text"] for t in json.loads(r["texts"])]
        for r in finished if r["state"] == "done"
    }  # fmt: skip
    rules = {
        (p.reference, p.target, edit.value): list(p.texts_of(Source.RULES, edit))
        for split in corpus.pairs.values() for p in split for edit in Edit
        if (p.reference, p.target, edit.value) in texts and p.texts_of(Source.RULES, edit)
    }  # fmt: skip
    agreed = agreement(finished).values()
    outcomes = Counter((r["kind"] or "accepted") if r["state"] == "done" else f"failed: {r['kind']}" for r in finished)
    return {
        **found,
        "per pair": {key: round(spent[key] / pairs, 6) for key in ("cost", "tokens", "seconds")},
        "per variant": {key: round(spent[key] / units, 6) for key in ("cost", "tokens", "seconds")},
        "outcomes": {key: n / units for key, n in outcomes.most_common()},
        "repaired": sum(bool(r["repaired"]) for r in finished) / units,
        "forward and mirror disagree": 1 - sum(agreed) / len(agreed) if agreed else None,
        "crossed limbs": sum("crossed" in t["flags"] for r in finished for t in json.loads(r["texts"])[:1]) / units,
        "texts": {"mllm": statistics(corpus, texts), "rules": statistics(corpus, rules)},
    }


def statistics(corpus: Corpus, texts: dict[tuple[str, str, str], list[str]]) -> dict[str, float]:
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
        "over 77 CLIP tokens": float(np.mean([n > CLIP_TOKENS for n in tokens])),
        "vocabulary": len({word for text in words for word in text}),
        "self-BLEU of a pair's wordings": float(np.mean([self_bleu(g) for g in texts.values() if len(g) > 1] or [0])),
    }
    if corpus.poses is not None:
        result |= _against_poses(corpus, texts)
    return result


def _against_poses(corpus: Corpus, texts: dict[tuple[str, str, str], list[str]]) -> dict[str, float]:
    assert corpus.poses is not None
    rows = corpus.poses.index()
    covered: list[float] = []
    sums = Counter[str]()
    for (reference, target, edit), group in texts.items():
        item = Item(reference, target, Edit(edit))
        poses = geometry.joints_of(corpus.poses, item, rows)
        if poses is None:
            continue
        moved = geometry.moved_limbs(poses)
        for text in group:
            if moved:
                covered.append(len(moved & mentions(text).limbs) / len(moved))
            found = geometry.audit(text, poses)
            sums.update(found._asdict() | {"texts": 1, "bad texts": found.wrong > 0})
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
