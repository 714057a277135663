"""The paper's corpus format: load and save (dataset_formats, section 1).

ROOT/captions/{train,val,test}.json       list of pairs with texts
ROOT/image_splits/{train,val,test}.json   list of image names: the gallery of the split
ROOT/images/                              the pictures
ROOT/poses.npz                            3D poses, optional
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from autocompose.core.errors import CorpusError, missing_file
from autocompose.core.files import read_json, write_json
from autocompose.core.reading.jsontext import json_type
from autocompose.core.records import Pair, Question, Split, split_of
from autocompose.core.several import several
from autocompose.core.text_fields import PARTIAL_KEYS, TEXT_FIELDS, text_field
from autocompose.corpus.names import name_fault
from autocompose.corpus.poses import PoseTable

TEXT_KEYS = frozenset(TEXT_FIELDS.values())


@dataclass(frozen=True)
class Corpus:
    """Pairs, galleries and poses of one dataset folder.

    :param root: the dataset folder.
    :param pairs: split -> pairs in file order.
    :param galleries: split -> image names in file order.
    :param poses: 3D poses, or None.
    :param files: split -> name of its files, where that is another: ``captions/NAME.json``.
    """

    root: Path
    pairs: Mapping[Split, tuple[Pair, ...]]
    galleries: Mapping[Split, tuple[str, ...]]
    poses: PoseTable | None = field(default=None, repr=False)
    files: Mapping[Split, str] = field(default_factory=dict)

    def image_path(self, name: str) -> Path:
        """Where a picture lies."""
        return self.root / "images" / name

    def split(self, split: Split | str) -> tuple[Pair, ...]:
        """The pairs of a split.

        :raises CorpusError: the corpus has no such split; ConfigError: no split is called so.
        """
        split = split_of(split)
        if split not in self.pairs:
            raise CorpusError(f"{self.root}: no split {split}; there is {', '.join(str(s) for s in self.pairs)}")
        return self.pairs[split]

    def questions(self, split: Split | str, key: str = "human", flatten: bool = False) -> list[Question]:
        """The questions of a split.

        A multimodal LLM's texts may cover a part of the pairs (``PARTIAL_KEYS``); the others are not asked.

        :param key: which texts: ``human``, ``rules``, ``mllm``, or a corpus key.
        :param flatten: one query per text (the paper's rule for AIST) instead of only the first text.
        :raises CorpusError: the split is empty, or pairs that must have a text under ``key`` have none; lists them.
        """
        split, key = split_of(split), text_field(key)
        pairs, file = self.split(split), f"captions/{self.files.get(split, split)}.json"
        if not pairs:
            raise CorpusError(f"{self.root}: {file} has no pairs, so there are no queries")
        without = [f"{file}[{i}]: no {key!r}" for i, p in enumerate(pairs) if not p.texts.get(key)]
        if without and (key not in PARTIAL_KEYS or len(without) == len(pairs)):
            raise CorpusError(f"{self.root}: {without[0]} ({len(without)} pairs lack it)", without)
        return [
            Question(p.reference, text, p.target, p.img_set, i)
            for i, p in enumerate(pairs)
            for text in p.texts.get(key, ())[: None if flatten else 1]
        ]

    def save(self) -> None:
        """Write captions, galleries and poses atomically, file by file."""
        for split, pairs in self.pairs.items():
            write_json(self.root / "captions" / f"{split}.json", [pair_to_json(p) for p in pairs])
        for split, names in self.galleries.items():
            write_json(self.root / "image_splits" / f"{split}.json", list(names))
        if self.poses is not None:
            self.poses.save(self.root / "poses.npz")


def load_corpus(
    root: str | Path,
    splits: Split | str | Iterable[Split | str] | None = None,
    files: Mapping[Split, str] | None = None,
) -> Corpus:
    """Read a corpus folder; the authors' layout is read unchanged, also without ``val``.

    :param splits: only these; default: all that exist.
    :param files: names of the files of a split, where they are not called as the split is.
    :raises CorpusError: wrong structure, with the entries at fault; InputError: a file is missing or not JSON.
    """
    root = Path(root)
    if not (root / "captions").is_dir():
        raise missing_file(root / "captions", "folder", "a corpus needs captions/, image_splits/ and images/")
    there = [split for split in Split if (root / "captions" / f"{split}.json").exists()]
    wanted = there if splits is None else [split_of(split) for split in several(splits)]
    if not wanted:
        raise missing_file(
            root / "captions" / "train.json", "captions", "a corpus needs at least one of train, val, test"
        )
    names = {s: (files or {}).get(s, s.value) for s in wanted}
    pairs = {s: _read_pairs(root / "captions" / f"{name}.json") for s, name in names.items()}
    galleries = {s: read_gallery(root / "image_splits" / f"{name}.json") for s, name in names.items()}
    poses = PoseTable.load(root / "poses.npz") if (root / "poses.npz").exists() else None
    return Corpus(root, pairs, galleries, poses, files or {})


def as_corpus(corpus: Corpus | str | Path) -> Corpus:
    """A corpus, or the one in a folder."""
    return corpus if isinstance(corpus, Corpus) else load_corpus(corpus)


def pair_to_json(pair: Pair) -> dict[str, Any]:
    """The pair as an entry of a captions file."""
    texts = {key: list(values) for key, values in pair.texts.items()}
    return {"reference": pair.reference, "target": pair.target, "img_set": list(pair.img_set), **texts, **pair.extra}


def read_gallery(path: Path) -> tuple[str, ...]:
    """The names of an ``image_splits`` file.

    :raises CorpusError: not a list of names; InputError: unreadable.
    """
    names = read_json(path)
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise CorpusError(f"{path}: expected a list of image names")
    faults = [f"{path}[{i}]: {name!a} {fault}" for i, name in enumerate(names) if (fault := name_fault(name))]
    if faults:
        raise CorpusError(_all_of(faults), faults)
    return tuple(names)


def _read_pairs(path: Path) -> tuple[Pair, ...]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise CorpusError(f"{path}: expected a list of pairs, got {json_type(entries)}")
    faults = [f"{path}[{i}]: {fault}" for i, e in enumerate(entries) for fault in _faults(e)]
    if faults:
        raise CorpusError(_all_of(faults), faults)
    return tuple(_pair(e) for e in entries)


def _all_of(faults: list[str]) -> str:
    more = f" (and {len(faults) - 1:,} more faults in the file)" if len(faults) > 1 else ""
    return faults[0] + more


def _faults(entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return [f"expected an object, got {json_type(entry)}"]
    faults = [
        f"{key!r} must be an image name" for key in ("reference", "target") if not isinstance(entry.get(key), str)
    ]
    for key in ("img_set", *sorted(TEXT_KEYS & entry.keys())):
        value = entry.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            faults.append(f"{key!r} must be a list of strings")
        elif key == "img_set":
            faults += [f"{name!a} {fault}" for name in value if (fault := _name_fault(name))]
    for key in ("reference", "target"):
        if isinstance(name := entry.get(key), str) and (fault := _name_fault(name)):
            faults.append(f"{name!a} {fault}")
    return faults


_name_fault = lru_cache(1 << 16)(name_fault)  # the same names stand in many pairs


def _pair(entry: dict[str, Any]) -> Pair:
    texts = {key: tuple(value) for key, value in entry.items() if key in TEXT_KEYS}
    extra = {
        key: value
        for key, value in entry.items()
        if key not in TEXT_KEYS and key not in ("reference", "target", "img_set")
    }
    return Pair(entry["reference"], entry["target"], tuple(entry.get("img_set", ())), texts, extra)
