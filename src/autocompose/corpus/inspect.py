"""One HTML page about a corpus: counts, texts, duplicates, near-duplicates between splits, and pairs to look at."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.core.files import write_text
from autocompose.core.log import track
from autocompose.core.records import Pair, Split
from autocompose.core.run_folder import PAGE_MARK, require_ours
from autocompose.corpus.about import About
from autocompose.corpus.format import TEXT_KEYS, Corpus, load_corpus
from autocompose.corpus.pictures.near import Near, near_duplicates, perceptual_hash
from autocompose.corpus.pictures.transforms import open_image
from autocompose.corpus.validate import CLIP_TOKENS, Check, share_over_clip, validate

SHOWN_NEAR = 12
THUMB = 150  # pixels


@dataclass(frozen=True)
class TextFacts:
    """The texts of one field in one split.

    :param pairs: pairs that have the field. :param words: mean and greatest number of words.
    :param vocabulary: different words. :param over: share with more than 77 CLIP tokens.
    :param repeated: texts that occur more than once, counted without their first occurrence.
    :param common: the most frequent words, function words left out.
    """

    split: Split
    key: str
    pairs: int
    texts: int
    mean_words: float
    max_words: int
    vocabulary: int
    over: float
    repeated: int
    common: tuple[str, ...]


@dataclass(frozen=True)
class Likeness:
    """Near-duplicates between two splits: how many pictures of ``other`` have one in ``one``, and the nearest."""

    one: Split
    other: Split
    count: int
    pairs: tuple[tuple[str, str, int], ...]


FUNCTION_WORDS = (
    "a an and are as at be by for from in into is it of on or so that the their them then to up with you your"
)
COMMON_LEFT_OUT = frozenset(FUNCTION_WORDS.split())


def text_facts(pairs: tuple[Pair, ...], split: Split, key: str) -> TextFacts | None:
    """Statistics of one field, None when no pair has it."""
    texts = [text for pair in pairs for text in pair.texts.get(key, ())]
    if not texts:
        return None
    words = [re.findall(r"[\w'-]+", text.lower()) for text in texts]
    counts = Counter(word for text_words in words for word in text_words)
    common = [word for word, _ in counts.most_common(40) if word not in COMMON_LEFT_OUT][:10]
    lengths = [len(text_words) for text_words in words]
    return TextFacts(
        split, key, sum(key in p.texts for p in pairs), len(texts), float(np.mean(lengths)), max(lengths), len(counts),
        share_over_clip(texts), len(texts) - len(set(texts)), tuple(common),
    )  # fmt: skip


def likenesses(corpus: Corpus) -> list[Likeness]:
    """Near-duplicate pictures between every two splits; pictures that cannot be opened are left out."""
    names = {s: list(dict.fromkeys(corpus.galleries[s])) for s in corpus.pairs}
    hashes: dict[str, np.ndarray] = {}
    for name in track({n for gallery in names.values() for n in gallery}, "hashing pictures"):
        hashes[name] = perceptual_hash(open_image(corpus.image_path(name)))
    result = []
    for one, other in combinations(names, 2):
        others, ones = (np.array([hashes[n] for n in names[s]], np.uint8).reshape(-1, 32) for s in (other, one))
        alike: list[Near] = near_duplicates(others, ones)
        shown = tuple((names[one][near.other], names[other][near.one], near.bits) for near in alike[:SHOWN_NEAR])
        result.append(Likeness(one, other, len(alike), shown))
    return result


def inspect_corpus(root: Path, out: Path, shown: int = 60, seed: int = 0) -> None:
    """Write the page.

    :param shown: pairs of each split on the page, drawn at random.
    :raises ImageError: a picture of a gallery cannot be opened; CorpusError: the corpus has no readable structure.
    """
    from jinja2 import Environment, PackageLoader

    corpus = load_corpus(root)
    facts = [text_facts(p, s, key) for s, p in corpus.pairs.items() for key in sorted(TEXT_KEYS)]
    checks: list[Check] = validate(corpus)
    near = likenesses(corpus)
    rng = np.random.default_rng(seed)
    chosen = {
        split: [pairs[i] for i in sorted(rng.permutation(len(pairs))[:shown])] for split, pairs in corpus.pairs.items()
    }
    names = {n for pairs in chosen.values() for p in pairs for n in (p.reference, p.target)}
    names |= {name for likeness in near for *both, _ in likeness.pairs for name in both}
    environment = Environment(
        loader=PackageLoader("autocompose.corpus", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("inspect.html").render(
        about=About.of(corpus.root),
        root=corpus.root.resolve().name,
        corpus=corpus,
        repeats={s: len(p) - len({(x.reference, x.target) for x in p}) for s, p in corpus.pairs.items()},
        facts=[fact for fact in facts if fact is not None],
        checks=checks,
        faults=[fault for check in checks for fault in check.faults],
        near=near,
        chosen=chosen,
        thumbs={name: _thumb(corpus.image_path(name)) for name in track(sorted(names), "thumbnails", len(names))},
        tokens=CLIP_TOKENS,
    )
    require_ours(out, PAGE_MARK, b" - corpus</title>")
    write_text(out, page)


def _thumb(path: Path) -> str:
    image = open_image(path, 2 * THUMB)
    image.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
