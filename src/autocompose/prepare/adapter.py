"""What every adapter does first and last: refuse to overwrite, place pictures, check, save, and report counts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autocompose.core.errors import CorpusError, InputError
from autocompose.core.files import Manifest, atomic_file, clear_parts, value_hash
from autocompose.core.log import Tally, nothing_left, say
from autocompose.core.records import Pair, Split
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.split import carve_val
from autocompose.corpus.validate import validate


def fingerprint(paths: Iterable[Path]) -> str:
    """A hash of the names and sizes of all files below ``paths``: has the raw data changed since the last run?"""
    files = sorted(f for path in paths for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file())
    return value_hash([(f.name, f.stat().st_size) for f in files])


class Stage:
    """One run of an adapter into a folder.

    :param out: the corpus folder to make.
    :param settings: everything that decides the result, JSON-able.
    :raises InputError: ``out`` holds a corpus made with other settings, or one that no adapter made.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self.out = Path(out)
        self.settings = dict(settings)
        self.manifest = Manifest(self.out, "prepare")
        started = Manifest(self.out, "prepare-started")
        self.finished = self.manifest.matches(self.settings)
        if self.finished:
            say(f"{self.out}: already prepared with these settings")
            return
        if self.manifest.read() or ((self.out / "captions").exists() and not started.matches(self.settings)):
            raise InputError(
                f"{self.out}: holds a corpus made with other settings or from other raw files; choose another folder,"
                f" or delete {self.out / 'captions'} and {self.manifest.path.name} to make it anew"
            )
        started.write(self.settings)

    def result(self) -> Corpus:
        """The corpus of a finished run."""
        return load_corpus(self.out)

    def finish(
        self,
        corpus: Corpus,
        about: About,
        tallies: Iterable[Tally],
        val_share: float,
        seed: int,
        group: Callable[[Sequence[Pair]], Sequence[Pair]] | None = None,
        pairless: bool = False,
    ) -> Corpus:
        """Carve ``val``, validate, save, and print the counts; nothing is saved when a check fails.

        :param val_share: share of the train pairs for ``val``; 0 makes none.
        :param group: gives the pairs of val and of test their candidate groups, from the pictures of that split only.
        :param pairless: without a single pair the pictures are saved all the same, since searching needs no pairs.
        :raises CorpusError: a rule of the format is broken, with the entries at fault; NothingLeftError: no pair is
            left.
        """
        about.save(self.out)
        tallies = list(tallies)
        for tally in tallies:
            say(tally.line())
        if val_share:
            try:
                corpus = carve_val(corpus, val_share, seed)
            except CorpusError as error:
                say(f"no val split: {error}")
        if group is not None:
            grouped = {s: p if s is Split.TRAIN else tuple(group(p)) for s, p in corpus.pairs.items()}
            corpus = replace(corpus, pairs=grouped)
        empty = [split for split, pairs in corpus.pairs.items() if not pairs]
        if len(empty) == len(corpus.pairs):
            nothing = nothing_left(self.out, tallies)
            if not pairless or not any(corpus.galleries.values()):
                raise nothing
            say(f"no pair is left, so this can be searched but not trained on; {nothing}")
            empty = [split for split in empty if not corpus.galleries[split]]
        for bare in empty:
            if pictures := len(corpus.galleries[bare]):
                say(f"{bare}: no pair is left, so its {pictures:,} pictures are in no gallery")
        corpus = replace(corpus, pairs={s: p for s, p in corpus.pairs.items() if s not in empty})
        corpus = replace(corpus, galleries={s: g for s, g in corpus.galleries.items() if s in corpus.pairs})
        faults = [fault for check in validate(corpus) for fault in check.faults]
        if faults:
            raise CorpusError(f"{self.out}: not saved, {len(faults)} faults; first: {faults[0]}", faults)
        corpus.save()
        clear_parts(self.out)
        counts = {str(s): {"pairs": len(p), "pictures": len(corpus.galleries[s])} for s, p in corpus.pairs.items()}
        self.manifest.write(self.settings, counts=counts, tallies={t.what: t.record() for t in tallies})
        for split, count in counts.items():
            say(f"{split}: {count['pairs']:,} pairs, {count['pictures']:,} pictures")
        return corpus


def place(source: Path, target: Path) -> None:
    """Put a picture file under ``target``: a hard link where the disk allows it, otherwise a copy.

    :raises StorageError: the disk refuses.
    """
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.link")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
        os.replace(part, target)
    except OSError:
        part.unlink(missing_ok=True)
        with open(source, "rb") as data, atomic_file(target) as file:
            shutil.copyfileobj(data, file)
