"""The demo's texts: rules for all four fields, and `sents` from banks and planners that share nothing with them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.files import write_json
from autocompose.core.records import Pair, Split
from autocompose.core.run_folder import RunFolder
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.demo.presets import DemoSettings
from autocompose.describe.rules.corpus_texts import write_texts
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.texts import describe_pairs
from autocompose.prepare.bodycpr.clusters import PRESETS
from autocompose.prepare.bodycpr.frozen_texts import with_frozen_texts

STAGE = "texts"
SENTS_BANK = {Split.TRAIN: "human", Split.VAL: "independent", Split.TEST: "independent"}


def rule_options(settings: DemoSettings, bank: str = "coach") -> RuleOptions:
    """No absolute end states (they would describe the target instead of the change), no noise, short texts."""
    values = {"noise": 0.0, "rotation": False, "absolute": "none", "trunk": True, "max_parts": settings.statements}
    return RuleOptions.parse({**values, "bank": bank})


def thin(corpus: Corpus, per_cube: int, seed: int) -> Corpus:
    """Keep ``per_cube`` random training pairs of every cube."""
    rng = np.random.default_rng([seed, 11])
    by_cube: dict[Any, list[int]] = {}
    for number, pair in enumerate(corpus.split(Split.TRAIN)):
        by_cube.setdefault(pair.extra["cube"], []).append(number)
    kept = sorted(n for rows in by_cube.values() for n in rng.permutation(rows)[:per_cube])
    train = tuple(corpus.split(Split.TRAIN)[n] for n in kept)
    return dataclasses.replace(corpus, pairs={**corpus.pairs, Split.TRAIN: train})


def write_demo_texts(corpus: Corpus, settings: DemoSettings, seed: int) -> Corpus:
    """Describe a corpus in place; returns at once when that has been done."""
    identity = {"seed": seed, **settings.model_dump(include={"preset", "train_pairs", "statements", "wordings"})}
    own = RunFolder(corpus.root, STAGE)
    if not own.finished(identity):
        frozen = PRESETS[settings.preset].frozen_test
        described = [s for s in corpus.pairs if not (frozen and s is Split.TEST)]
        thinned = thin(corpus, settings.train_pairs, seed)
        pairs = {
            **thinned.pairs,
            **{s: describe_split(thinned, s, "sents", SENTS_BANK[s], 1, settings, seed) for s in described},
        }
        if frozen:
            pairs[Split.TEST] = with_frozen_texts(corpus.split(Split.TEST))
        dataclasses.replace(thinned, pairs=pairs).save()
        options, processes = rule_options(settings), os.cpu_count() or 1
        write_texts(
            corpus.root, options=options, n_texts=settings.wordings, seed=seed, splits=described, processes=processes
        )
        corpus = load_corpus(corpus.root)
        write_json(corpus.root / "text_statistics.json", statistics(corpus))
        own.finish(identity)
        return corpus
    return load_corpus(corpus.root)


def described(root: Path) -> bool:
    """The texts have been written."""
    return RunFolder(root, STAGE).record() is not None and (root / "captions").exists()


def describe_split(
    corpus: Corpus, split: Split, key: str, bank: str, wordings: int, settings: DemoSettings, seed: int
) -> tuple[Pair, ...]:
    """The pairs of a split with texts of a word bank under ``key``."""
    pairs, poses = corpus.split(split), corpus.poses
    assert poses is not None, "BodyCPR always has poses"
    a, b = (poses.joints[poses.rows([getattr(p, end) for p in pairs])] for end in ("reference", "target"))
    keys = [f"{p.reference} {p.target}" for p in pairs]
    texts = describe_pairs(a, b, seed + 1, wordings, rule_options(settings, bank), keys)
    return tuple(dataclasses.replace(p, texts={**p.texts, key: tuple(t)}) for p, t in zip(pairs, texts, strict=True))


def statistics(corpus: Corpus) -> dict[str, dict[str, float]]:
    """How far each kind of test text lies from the training texts (`auto`): shares in percent."""
    train = [t for p in corpus.split(Split.TRAIN) for t in p.texts.get("auto", ())]
    words, grams = set(), set()
    for text in train:
        tokens = _words(text)
        words.update(tokens)
        grams.update(_grams(tokens))
    by_key = {}
    for key in ("auto", "sents"):
        tokens_of = [_words(p.texts[key][0]) for p in corpus.split(Split.TEST) if p.texts.get(key)]
        all_words = [w for tokens in tokens_of for w in tokens]
        all_grams = [g for tokens in tokens_of for g in _grams(tokens)]
        by_key[key] = {
            "unseen_words": 100 * float(np.mean([w not in words for w in all_words])),
            "shared_5_grams": 100 * float(np.mean([g in grams for g in all_grams])) if all_grams else 0.0,
            "mean_words": float(np.mean([len(tokens) for tokens in tokens_of])),
            "vocabulary": float(len(set(all_words))),
        }
    return by_key


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split()


def _grams(words: list[str], n: int = 5) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
