"""FixMyPose (AAAI 2021) -> corpus: captioning and retrieval JSON, pictures from PNG files or HDF5 pixel arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import CorpusError, InputError
from autocompose.core.files import read_json
from autocompose.core.fingerprint import files_below
from autocompose.core.log import Tally, say
from autocompose.core.records import Pair, Split
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus
from autocompose.corpus.names import name_fault
from autocompose.prepare.adapter import Stage
from autocompose.prepare.foreign_files import as_texts, base_name, find_file
from autocompose.prepare.releases.fixmypose_pictures import place_pictures

CANDIDATES = 10
FOLDERS = (".", "dataset/fixmypose", "fixmypose")
UID = re.compile(r"\d{1,9}(_\d{1,9}){4}", re.ASCII)
EXPECTED = {"valid_NC": 563, "valid_seen_NC": 562, "valid_ret_NC": 1184}
"""Items of the public files, counted on the files of the authors' repository."""

ABOUT = About(
    name="fixmypose",
    sources=("FixMyPose, Kim et al., AAAI 2021: https://github.com/hyounghk/FixMyPose",),
    licence="repository and JSON files: MIT; the licence of the pictures is not stated by the authors",
    redistribution="texts may be passed on under MIT with the notice; ask the authors before passing pictures on",
)


# into about.json; not the docstring below, which Python may leave out
PROTOCOLS = (
    "Which of the public files become train and test. "
    "``retrieval``: train_ret -> train, valid_ret -> test with its ten candidates; split by movement. "
    "``captioning``: train -> train, valid -> test; the rooms of the test are unseen. "
    "``captioning-seen``: the same with valid_seen, whose rooms occur in train. "
    "``both-tasks``: train_ret and train -> train, valid_ret -> test; leaks, because most test items of the retrieval "
    "task are training items of the captioning task."
)


class Protocol(str, Enum):
    """Which of the public files become train and test; see ``PROTOCOLS``."""

    RETRIEVAL = "retrieval"
    CAPTIONING = "captioning"
    CAPTIONING_SEEN = "captioning-seen"
    BOTH_TASKS = "both-tasks"

    def __str__(self) -> str:
        return self.value


FILES: dict[Protocol, tuple[tuple[str, ...], str]] = {
    Protocol.RETRIEVAL: (("train_ret_NC",), "valid_ret_NC"),
    Protocol.CAPTIONING: (("train_NC",), "valid_NC"),
    Protocol.CAPTIONING_SEEN: (("train_NC",), "valid_seen_NC"),
    Protocol.BOTH_TASKS: (("train_ret_NC", "train_NC"), "valid_ret_NC"),
}


@dataclass(frozen=True)
class Item:
    """One entry of a raw file.

    :param file: stem of the file, such as ``valid_ret_NC``; ``row``: index in it.
    :param pictures: dataset name in the HDF5 file (img0, img1, trg0 ...) -> picture name, in file order.
    :param candidates: the ten of the retrieval task, () in the captioning task.
    """

    file: str
    row: int
    uid: str
    reference: str
    target: str
    pictures: dict[str, str]
    candidates: tuple[str, ...]
    sents: tuple[str, ...]
    hindi: tuple[str, ...]


def prepare_fixmypose(
    raw: Path,
    out: Path,
    *,
    protocol: Protocol = Protocol.RETRIEVAL,
    flatten: bool = False,
    allow_leak: bool = False,
    pictures: Path | None = None,
    val_share: float = 0.1,
    seed: int = 0,
) -> Corpus:
    """Make a corpus from the files of the authors' repository and one of their picture archives.

    :param raw: folder with the JSON files, or with ``dataset/fixmypose`` below it.
    :param flatten: one entry for each sentence, instead of one entry with all sentences of an item.
    :param allow_leak: accept a protocol whose train and test share items.
    :param pictures: folder with the PNG or HDF5 files, if not below ``raw``.
    :param val_share: share of the train pairs that become ``val``, 0 to make none.
    :raises InputError: files missing or different from the published layout; CorpusError: items at fault, or a leak.
    """
    train_files, test_file = FILES[protocol]
    files = {
        name: find_file(raw, f"{name}.json", "FixMyPose annotations", FOLDERS) for name in (*train_files, test_file)
    }
    settings = {
        "verb": "fixmypose",
        "protocol": str(protocol),
        "flatten": flatten,
        "val_share": val_share,
        "seed": seed,
    }
    below = files_below([*files.values(), pictures or Path(raw)])
    known_before = [*files.values(), *(files_below([pictures]).values() if pictures else ())]
    stage = Stage(out, settings, below, known_before)
    if stage.finished:
        return stage.result()
    items = {name: read_items(path, name) for name, path in files.items()}
    tally = Tally("items")
    train = unique_items([item for name in train_files for item in items[name]], tally)
    test = items[test_file]
    _refuse_leak(train, test, protocol, allow_leak)
    stage.name_pictures(dict.fromkeys(name for item in (*train, *test) for name in item.pictures.values()))
    there = place_pictures([*train, *test], pictures or raw, stage.out / "images")
    sides = {Split.TRAIN: _complete(train, there, tally), Split.TEST: _complete(test, there, tally)}
    corpus = Corpus(
        stage.out,
        {split: tuple(pairs_of(kept, flatten)) for split, kept in sides.items()},
        {split: tuple(dict.fromkeys(n for i in kept for n in i.pictures.values())) for split, kept in sides.items()},
    )
    # a distractor of a test group may be a picture of the training movements, by the authors' design
    shares = ("gallery", *(("image", "uid") if allow_leak else ()))
    about = ABOUT.model_copy(update={"protocol": f"{protocol}, one of: {PROTOCOLS}", "shares": shares})
    return stage.finish(corpus, about, [tally], val_share, seed, add_groups)


def read_items(path: Path, file: str) -> list[Item]:
    """Read one JSON file of either task.

    :raises CorpusError: entries that differ from the published layout; lists them all.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of items, got {type(entries).__name__}")
    items, faults = [], []
    for row, entry in enumerate(entries):
        try:
            items.append(_item(entry, file, row))
        except InputError as error:
            faults.append(f"{path.name}[{row}]: {error}")
    if faults:
        raise CorpusError(f"{path}: {len(faults)} items differ from the published layout; first: {faults[0]}", faults)
    if EXPECTED.get(file, len(items)) != len(items):
        say(f"{path.name}: {len(items):,} items; the published file has {EXPECTED[file]:,}")
    return items


def _item(entry: Any, file: str, row: int) -> Item:
    if not isinstance(entry, dict):
        raise InputError(f"expected an object, got {type(entry).__name__}")
    retrieval = "trg0" in entry
    keys = ["img0", *([f"trg{k}" for k in range(CANDIDATES)] if retrieval else ["img1"])]
    for key in ("uid", *keys):
        if not isinstance(entry.get(key), str):
            raise InputError(f"{key!r} must be a string")
    uid = entry["uid"]
    if not UID.fullmatch(uid):
        raise InputError(f"uid {uid!r}: expected five numbers such as 6_19_2_11_0")
    names = {key: base_name(entry[key]) for key in keys}
    for key, name in names.items():
        if name_fault(name):
            raise InputError(f"{key}: picture name {name!r} {name_fault(name)}")
    answer = entry.get("ans_idx") if retrieval else None
    if retrieval and (type(answer) is not int or not 0 <= answer < CANDIDATES):
        raise InputError(f"ans_idx = {answer!r}: expected 0..{CANDIDATES - 1}")
    target = names[f"trg{answer}" if retrieval else "img1"]
    for name, wanted in ((names["img0"], f"current_{uid}.png"), (target, f"target_{uid}.png")):
        if name != wanted:
            raise InputError(f"picture {name!r} does not belong to uid {uid}: expected {wanted}")
    candidates = tuple(names[key] for key in keys[1:]) if retrieval else ()
    if len(set(candidates)) < len(candidates):
        raise InputError("a candidate occurs twice")
    sents = as_texts(entry.get("sents"), "sents")
    hindi = as_texts(entry.get("sents_hindi", []), "sents_hindi")
    return Item(file, row, uid, names["img0"], target, names, candidates, sents, hindi)


def unique_items(items: Sequence[Item], tally: Tally) -> list[Item]:
    """Items of one uid become the first of them, with the sentences of all (the two tasks share some)."""
    merged: dict[str, Item] = {}
    for item in items:
        first = merged.setdefault(item.uid, item)
        if first is not item:
            new = [i for i, text in enumerate(item.sents) if text not in first.sents]
            sents = (*first.sents, *(item.sents[i] for i in new))
            hindi = (*first.hindi, *(item.hindi[i] for i in new if i < len(item.hindi)))
            merged[item.uid] = replace(first, sents=sents, hindi=hindi)
            tally.drop("uid occurred before; its sentences are kept there", f"{item.file}[{item.row}]")
    return list(merged.values())


def _refuse_leak(train: list[Item], test: list[Item], protocol: Protocol, allowed: bool) -> None:
    shared = sorted({i.uid for i in train} & {i.uid for i in test})
    if shared and not allowed:
        raise CorpusError(
            f"protocol {protocol}: {len(shared):,} of {len(test):,} test items are also training items, the first is"
            f" {shared[0]}; use the protocol retrieval, or --allow-leak to accept results that mean little",
            [f"uid {uid} is in train and test" for uid in shared],
        )
    if shared:
        say(f"warning: {len(shared):,} of {len(test):,} test items are also training items")


def _complete(items: list[Item], there: set[str], tally: Tally) -> list[Item]:
    kept = []
    for item in items:
        missing = [name for name in item.pictures.values() if name not in there]
        if missing:
            tally.drop("picture missing or damaged", f"{item.file}[{item.row}]: {missing[0]}")
        elif not item.sents:
            tally.drop("no sentence", f"{item.file}[{item.row}]")
        else:
            tally.keep()
            kept.append(item)
    return kept


def pairs_of(items: list[Item], flatten: bool) -> list[Pair]:
    """Entries of the common format; those of the captioning task have no candidate group yet."""
    pairs = []
    for item in items:
        rows = [slice(i, i + 1) for i in range(len(item.sents))] if flatten else [slice(None)]
        for row in rows:
            hindi = {"sents_hindi": list(item.hindi[row])} if item.hindi[row] else {}
            texts = {"sents": item.sents[row]}
            pairs.append(Pair(item.reference, item.target, item.candidates, texts, {"uid": item.uid, **hindi}))
    return pairs


def add_groups(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Give each pair without candidates ten of them: reference, target, and the nearest pictures of the same split.

    Nearest: the same set-up (uid fields 2, 3, 5) before the same room before others, then the same movement, then the
    distance along it; so they resemble the authors' candidates of the retrieval task.
    """
    items = list({p.extra["uid"]: p for p in pairs}.values())
    fields = np.array([[int(f) for f in item.extra["uid"].split("_")] for item in items]).reshape(-1, 5)
    grouped = []
    for pair in pairs:
        if not pair.img_set:
            own = np.array([int(f) for f in pair.extra["uid"].split("_")])
            differs, far = fields != own, np.abs(fields - own)
            order = np.lexsort((far[:, 0], far[:, 3], differs[:, 0], differs[:, 1], differs[:, [1, 2, 4]].any(1)))
            near = (name for i in order for name in (items[i].target, items[i].reference))
            names = tuple(dict.fromkeys((pair.reference, pair.target, *near)))[:CANDIDATES]
            pair = replace(pair, img_set=names)
        grouped.append(pair)
    return tuple(grouped)
