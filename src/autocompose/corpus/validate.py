"""Does a corpus keep the rules of its format? One function for each rule, each returning the exact entries at fault."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from autocompose.core.errors import ImageError
from autocompose.core.log import track
from autocompose.core.reading.plain import cause
from autocompose.core.records import Pair, Split
from autocompose.core.text_fields import TEXT_FIELDS, Edit, Source
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.names import name_fault
from autocompose.corpus.pictures.transforms import open_image
from autocompose.corpus.split import NO_VALUE

CLIP_TOKENS = 77
DECODED = 256  # pixels of the longer side: damage shows when a JPEG is decoded small, too
SHARED_KEYS = ("image", "gallery", "uid", "pose", "cube", "sequence")
"""What two splits must not share: ``image`` is a picture of a pair in both, ``gallery`` any picture in both; the others
are columns of ``poses.npz`` or extra keys of the pairs."""


@dataclass(frozen=True)
class Check:
    """The outcome of one rule.

    :param seen: what was looked at, for a person ("1,184 pairs").
    :param faults: one line for each entry that breaks the rule, such as ``captions/test.json[12]: ...``.
    :param notes: facts worth knowing that break nothing.
    """

    rule: str
    seen: str
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def validate(corpus: Corpus | Path, *, images: bool = False, allow_shared: Iterable[str] = ()) -> list[Check]:
    """Check a corpus against every rule of the format.

    :param images: also decode every picture (otherwise only its presence is checked).
    :param allow_shared: members of ``SHARED_KEYS`` that splits may share, besides those that ``about.json`` allows;
        they are counted as notes.
    :raises CorpusError: the JSON files do not have the structure of a corpus at all.
    """
    if not isinstance(corpus, Corpus):
        corpus = load_corpus(corpus)
    return [
        _names(corpus),
        _pictures(corpus, images),
        _pairs(corpus),
        _groups(corpus),
        _galleries(corpus),
        _splits(corpus, {*allow_shared, *About.of(corpus.root).shares}),
        _texts(corpus),
        _mirrored_texts(corpus),
        _poses(corpus),
    ]


def table(checks: list[Check]) -> Table:
    """The outcome for a terminal."""
    grid = Table("rule", "looked at", "faults", "notes", box=SIMPLE)
    for check in checks:
        faults = f"[red]{len(check.faults):,}[/red]" if check.faults else "[green]none[/green]"
        grid.add_row(check.rule, check.seen, faults, escape("\n".join(check.notes)))
    return grid


def _each(corpus: Corpus) -> Iterator[tuple[Split, str, Pair]]:
    for split, pairs in corpus.pairs.items():
        for i, pair in enumerate(pairs):
            yield split, f"captions/{split}.json[{i}]", pair


def _used(corpus: Corpus) -> dict[str, str]:
    """Every picture name of the corpus -> the first place that names it."""
    first: dict[str, str] = {}
    for _, place, pair in _each(corpus):
        for name in (pair.reference, pair.target, *pair.img_set):
            first.setdefault(name, place)
    for split, names in corpus.galleries.items():
        for i, name in enumerate(names):
            first.setdefault(name, f"image_splits/{split}.json[{i}]")
    return first


def _names(corpus: Corpus) -> Check:
    used = _used(corpus)
    faults = [f"{place}: {name!r} {fault}" for name, place in used.items() if (fault := name_fault(name))]
    return Check("names stay below images/", f"{len(used):,} names", tuple(faults))


def _pictures(corpus: Corpus, decode: bool) -> Check:
    used = {name: place for name, place in _used(corpus).items() if not name_fault(name)}
    faults = []
    for name, place in track(used.items(), "pictures", len(used)):
        path = corpus.image_path(name)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                faults.append(f"{place}: images/{name} is not a file")
            elif decode:
                open_image(path, DECODED)
        except FileNotFoundError:
            faults.append(f"{place}: images/{name} does not exist")
        except OSError as error:
            faults.append(f"{place}: images/{name}: {cause(error)}")
        except ImageError as error:
            faults.append(f"{place}: {error}")
    how = "decoded" if decode else "looked for"
    return Check("pictures exist and open", f"{len(used):,} pictures {how}", tuple(faults))


def _pairs(corpus: Corpus) -> Check:
    faults = [
        f"{place}: reference = target = {p.reference}" for _, place, p in _each(corpus) if p.reference == p.target
    ]
    notes = []
    for split, pairs in corpus.pairs.items():
        twice = sum(n - 1 for n in Counter((p.reference, p.target) for p in pairs).values())
        if twice:
            notes.append(f"{split}: {twice:,} pairs occur more than once")
    counts = ", ".join(f"{len(pairs):,} {split}" for split, pairs in corpus.pairs.items())
    return Check("reference and target differ", f"{counts} pairs", tuple(faults), tuple(notes))


def _groups(corpus: Corpus) -> Check:
    faults: list[str] = []
    notes: list[str] = []
    sizes = []
    for split in (s for s in corpus.pairs if s is not Split.TRAIN):
        pairs = corpus.pairs[split]
        if split is Split.VAL and pairs and not any(p.img_set for p in pairs):
            notes.append("val: no groups, so no group recall")
            continue
        if pairs:
            size, holds = _usual([(len(p.img_set), p.reference in p.img_set) for p in pairs])
            sizes.append(f"{split} {size} ({'with' if holds else 'without'} the reference)")
            faults += [
                f"captions/{split}.json[{i}]: {fault}"
                for i, pair in enumerate(pairs)
                for fault in _group_faults(pair, size, holds)
            ]
    return Check("img_set fits group recall", "; ".join(sizes) or "nothing to check", tuple(faults), tuple(notes))


def _usual(values: list[tuple[int, bool]]) -> tuple[int, bool]:
    return Counter(values).most_common(1)[0][0]


def _group_faults(pair: Pair, size: int, holds: bool) -> Iterator[str]:
    if not pair.img_set:
        yield "img_set is empty"
        return
    if pair.target not in pair.img_set:
        yield f"target {pair.target} is not in img_set"
    if len(set(pair.img_set)) < len(pair.img_set):
        yield "img_set names a picture twice"
    if len(pair.img_set) != size:
        yield f"img_set has {len(pair.img_set)} members, the others have {size}"
    if (pair.reference in pair.img_set) != holds:
        yield f"the reference is {'not ' if holds else ''}in img_set, unlike in the others"


def _galleries(corpus: Corpus) -> Check:
    faults: list[str] = []
    for split, names in corpus.galleries.items():
        places: dict[str, int] = {}
        for i, name in enumerate(names):
            if name in places:
                faults.append(f"image_splits/{split}.json[{i}]: {name} is already entry {places[name]}")
            places.setdefault(name, i)
        for i, pair in enumerate(corpus.pairs.get(split, ())):
            members = () if split is Split.TRAIN else pair.img_set  # the group of a train pair is never used
            missing = [n for n in dict.fromkeys((pair.reference, pair.target, *members)) if n not in places]
            faults += [f"captions/{split}.json[{i}]: {name} is not in image_splits/{split}.json" for name in missing]
    counts = ", ".join(f"{len(names):,} {split}" for split, names in corpus.galleries.items())
    return Check("galleries hold every picture once", f"{counts} pictures", tuple(faults))


def shared_values(corpus: Corpus, key: str) -> dict[Split, set[str]]:
    """Split -> the values of one of ``SHARED_KEYS`` that its pairs and gallery have."""
    values: dict[Split, set[str]] = {}
    column = corpus.poses.columns.get(key) if corpus.poses is not None else None
    index = corpus.poses.index() if corpus.poses is not None and column is not None else {}
    for split, pairs in corpus.pairs.items():
        in_pairs = {n for p in pairs for n in (p.reference, p.target)}
        used = in_pairs | set(corpus.galleries.get(split, ()))
        if key in ("image", "gallery"):
            values[split] = in_pairs if key == "image" else used
            continue
        split_values = {str(p.extra[key]) for p in pairs if p.extra.get(key) is not None}
        if column is not None and column.ndim == 1:
            split_values |= {str(column[index[name]]) for name in used if name in index}
        values[split] = split_values - set(NO_VALUE)
    return values


def _splits(corpus: Corpus, allowed: set[str]) -> Check:
    faults: list[str] = []
    notes: list[str] = []
    checked = []
    for key in SHARED_KEYS:
        values = {split: split_values for split, split_values in shared_values(corpus, key).items() if split_values}
        checked += [key] * bool(values)
        for one, other in combinations(values, 2):
            both = sorted(values[one] & values[other])
            if both and key in allowed:
                notes.append(f"{one} and {other} share {len(both):,} of {key} (allowed)")
            else:
                faults += [f"{one} and {other} share {key} {value}" for value in both]
    return Check("splits share nothing", ", ".join(checked), tuple(faults), tuple(notes))


def _texts(corpus: Corpus) -> Check:
    faults: list[str] = []
    without: Counter[Split] = Counter()
    texts: list[str] = []
    for split, place, pair in _each(corpus):
        without[split] += not pair.texts
        for key, values in pair.texts.items():
            texts += values
            if not values:
                faults.append(f"{place}: {key!r} is an empty list; leave the key out instead")
            faults += [f"{place}: {key}[{k}] is blank" for k, text in enumerate(values) if not text.strip()]
    notes = [f"{split}: {n:,} pairs without any text" for split, n in without.items() if n]
    if texts:
        over = share_over_clip(texts)
        notes.append(f"{over:.1%} of the texts are over {CLIP_TOKENS} CLIP tokens and will be cut")
    return Check("texts are not blank", f"{len(texts):,} texts", tuple(faults), tuple(notes))


def clip_lengths(texts: Iterable[str]) -> list[int]:
    """CLIP token counts of texts, start and end token included, before any cut."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    return [len(tokenizer.encode(text)) + 2 for text in texts]


def share_over_clip(texts: list[str]) -> float:
    """Share of texts (0..1) with more than 77 CLIP tokens."""
    # a token has at least one character besides spaces, so short texts need no tokenizer (nor its slow import)
    long = [text for text in texts if len(text) > CLIP_TOKENS - 2]
    return sum(n > CLIP_TOKENS for n in clip_lengths(long)) / len(texts) if long else 0.0


def _mirrored_texts(corpus: Corpus) -> Check:
    """A mirrored text speaks of left where the plain one speaks of right; texts are free, so this only counts."""
    seen = kept_sides = 0
    for _, _, pair in _each(corpus):
        for source in (Source.RULES, Source.MLLM):
            plain, mirrored = (pair.texts_of(source, edit) for edit in (Edit.PLAIN, Edit.MIRROR))
            for one, other in zip(plain, mirrored, strict=False):
                left, right = _sides(one)
                if left != right:
                    seen += 1
                    kept_sides += _sides(other) == (left, right)
    notes = (f"{kept_sides:,} mirrored texts name the same sides as the plain text",) if kept_sides else ()
    keys = "/".join(TEXT_FIELDS[source, Edit.MIRROR] for source in (Source.RULES, Source.MLLM))
    return Check("mirrored texts exchange sides", f"{seen:,} one-sided texts with {keys}", (), notes)


def _sides(text: str) -> tuple[int, int]:
    words = re.findall(r"[a-z]+", text.lower())
    return words.count("left"), words.count("right")


def _poses(corpus: Corpus) -> Check:
    if corpus.poses is None:
        return Check("poses are usable", "no poses.npz")
    poses = corpus.poses
    bad = ~np.isfinite(poses.joints).all((1, 2)) | ~np.isfinite(poses.yaw)
    faults = [
        f"poses.npz[{row}]: {poses.names[row]} has joints or yaw that are not numbers" for row in np.flatnonzero(bad)
    ]
    twice = [name for name, n in Counter(poses.names).items() if n > 1]
    faults += [f"poses.npz: {name} has more than one row" for name in twice]
    used = _used(corpus)
    counts = {
        "pictures without a pose": len(used.keys() - set(poses.names)),
        "poses that no pair or gallery uses": len(set(poses.names) - used.keys()),
    }
    notes = [f"{n:,} {what}" for what, n in counts.items() if n]
    return Check("poses are usable", f"{len(poses.names):,} poses", tuple(faults), tuple(notes))
