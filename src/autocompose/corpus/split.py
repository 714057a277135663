"""Carving a validation split out of train without leaking pictures, poses or sequences."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from autocompose.core.errors import CorpusError
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus

T = TypeVar("T")
GROUP_KEYS = ("uid", "pose", "cube", "sequence")
NO_VALUE = ("", "-1")
"""How a column of ``poses.npz`` says that a picture has no value."""


def carve_val(corpus: Corpus, share: float = 0.1, seed: int = 0, keys: Iterable[str] = GROUP_KEYS) -> Corpus:
    """Move whole components of train into a new ``val`` split.

    Two pairs belong to one component when they have a picture in common (reference, target or group), or a value of one
    of ``keys`` (a one-dimensional column of ``poses.npz``, or an extra key of the pair).

    :param share: wanted share of the train pairs, above 0 and at most 0.5; val gets at most that many pairs, unless
        the smallest component alone is larger.
    :param seed: decides which components; the same corpus and seed give the same split.
    :return: a new corpus (not saved); pairs and galleries keep their file order.
    :raises CorpusError: no train split, a val split exists already, or the pairs are too connected to be divided.
    """
    if not 0 < share <= 0.5:
        raise CorpusError(f"share = {share}: expected a number above 0 and at most 0.5")
    if corpus.pairs.get(Split.VAL):
        raise CorpusError(f"{corpus.root}: a val split already exists; remove captions/val.json to make another")
    pairs = corpus.split(Split.TRAIN)
    labels = _Labels(corpus, tuple(keys))
    of_pair = [labels.of_pair(p) for p in pairs]
    components = components_of(of_pair)
    chosen = _choose(components, share, seed)
    if not chosen:
        raise CorpusError(
            f"{corpus.root}: the {len(pairs)} train pairs cannot be divided; most of them are linked by shared pictures"
            f" or {', '.join(labels.keys)}; pass fewer group keys, or train on all without validation (--no-val)"
        )
    moved = [c in chosen for c in components]
    held = {label for pair_labels, m in zip(of_pair, moved, strict=True) if m for label in pair_labels}
    gallery = dict.fromkeys((*corpus.galleries.get(Split.TRAIN, ()), *(n for p in pairs for n in _names(p))))
    goes = {name: not held.isdisjoint(labels.of_picture(name)) for name in gallery}
    new_pairs = {  # val first: it is saved first, so an interruption can only double pairs, never lose them
        Split.VAL: tuple(p for p, m in zip(pairs, moved, strict=True) if m),
        Split.TRAIN: tuple(p for p, m in zip(pairs, moved, strict=True) if not m),
    }
    new_galleries = {
        Split.VAL: tuple(n for n in gallery if goes[n]),
        Split.TRAIN: tuple(n for n in gallery if not goes[n]),
    }
    return replace(corpus, pairs=new_pairs | _rest(corpus.pairs), galleries=new_galleries | _rest(corpus.galleries))


def components_of(labels: Sequence[Iterable[Hashable]]) -> list[int]:
    """Connected components: items with a label in common, directly or through others, get the same number.

    :return: for each item the index of the first item of its component.
    """
    parent = list(range(len(labels)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, item_labels in enumerate(labels):
        for label in item_labels:
            a, b = root(i), root(first.setdefault(label, i))
            parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(labels))]


def _choose(components: list[int], share: float, seed: int) -> set[int]:
    numbers, sizes = np.unique(components, return_counts=True)
    wanted = round(share * len(components))
    chosen: set[int] = set()
    total = 0
    for i in np.random.default_rng(seed).permutation(len(numbers)):
        if total + sizes[i] <= wanted:
            chosen.add(int(numbers[i]))
            total += int(sizes[i])
    if not chosen and len(numbers) and 2 * sizes.min() <= len(components):
        chosen = {int(numbers[sizes.argmin()])}
    return chosen


class _Labels:
    """What a pair or picture has that must not be on both sides of a split."""

    def __init__(self, corpus: Corpus, keys: tuple[str, ...]) -> None:
        self.keys = keys
        columns = corpus.poses.columns if corpus.poses is not None else {}
        self.columns = {k: columns[k] for k in keys if k in columns and columns[k].ndim == 1}
        self.rows = corpus.poses.index() if corpus.poses is not None else {}

    def of_picture(self, name: str) -> set[Hashable]:
        row = self.rows.get(name)
        values = {} if row is None else {key: str(column[row]) for key, column in self.columns.items()}
        return {("image", name), *((key, value) for key, value in values.items() if value not in NO_VALUE)}

    def of_pair(self, pair: Pair) -> set[Hashable]:
        extra = {(key, str(pair.extra[key])) for key in self.keys if pair.extra.get(key) is not None}
        return extra.union(*(self.of_picture(name) for name in _names(pair)))


def _names(pair: Pair) -> tuple[str, ...]:
    return (pair.reference, pair.target, *pair.img_set)


def _rest(of_split: Mapping[Split, T]) -> dict[Split, T]:
    return {split: value for split, value in of_split.items() if split is Split.TEST}
