"""The first and last steps of every adapter: refuse to overwrite, place pictures, check, save, and report counts."""

from __future__ import annotations

import filecmp
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autocompose.core.errors import CorpusError, InputError
from autocompose.core.files import atomic_file, clear_parts, value_hash
from autocompose.core.fingerprint import Contents
from autocompose.core.log import Tally, nothing_left, say
from autocompose.core.records import Pair, Split
from autocompose.core.run_folder import RunFolder, some
from autocompose.corpus.about import About
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.corpus.split import carve_val
from autocompose.corpus.validate import validate

CORPUS_FILES = (
    "about.json", "poses.npz",
    *(f"{folder}/{split}.json" for folder in ("captions", "image_splits") for split in Split),
)  # fmt: skip


class Stage:
    """One run of an adapter into a folder.

    :param out: the corpus folder to make.
    :param settings: everything that determines the result, JSON-able.
    :param sources: name -> raw file that the corpus is made from.
    :param known_before: the sources that version 0.1 recorded; default: all.
    :raises InputError: ``out`` holds a corpus made with other settings, or files that no adapter made.
    """

    def __init__(
        self,
        out: Path,
        settings: Mapping[str, Any],
        sources: Mapping[str, Path] | None = None,
        known_before: Iterable[Path] | None = None,
    ) -> None:
        self.out, sources = Path(out), sources or {}
        self.own = RunFolder(self.out, "prepare", "a corpus")
        contents, self.settings = Contents(self.out), dict(settings)
        if sources:
            self.settings["raw"] = dict(zip(sources, contents.of(list(sources.values())), strict=True))
        old = self.settings
        if self.own.is_old and sources:
            old = {**settings, "raw": _names_and_sizes(sources.values() if known_before is None else known_before)}
        if differences := self.own.differences(self.settings, old):
            self._begin_anew(some(differences))
        self.finished = self.own.claim(self.settings, old, CORPUS_FILES) and (self.out / "captions").exists()
        contents.save()
        if self.finished:
            say(f"{self.out}: already prepared with these settings")

    def _begin_anew(self, differences: str) -> None:
        """Remove an unfinished corpus made with other settings; one with captions may contain somebody's work."""
        finished = self.own.record() or (self.out / "captions").exists()
        if finished or self.own.is_old:
            by_hand = f"{self.out / 'captions'} and {self.own.path.name}" if not self.own.is_old else f"{self.out}"
            raise InputError(
                f"{self.out}: holds a corpus made with other settings ({differences}); choose another folder, or "
                f"delete {by_hand} to start over"
            )
        say(f"{self.out}: was started with other settings ({differences}); starting over")
        self.own.clear()
        self.own.start(self.settings, CORPUS_FILES)

    def name_pictures(self, names: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Record the names of the pictures before they are made, so that changed settings can replace them.

        :param patterns: names below ``images/`` as patterns, where they are not known yet.
        """
        self.own.name_files([f"images/{name}" for name in names], [f"images/{pattern}" for pattern in patterns])

    def result(self) -> Corpus:
        """The corpus of a finished run.

        :raises CorpusError: some of its pictures are missing.
        """
        corpus = load_corpus(self.out)
        gone = [name for names in corpus.galleries.values() for name in names if not corpus.image_path(name).exists()]
        if gone:
            raise CorpusError(
                f"{self.out}: was prepared, but {len(gone):,} of its pictures are gone, such as {gone[0]}; put them"
                f" back, or delete {self.out / 'captions'} and {self.own.path.name} to start over"
            )
        return corpus

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
        :param pairless: save the pictures even without a single pair, since a search needs no pairs.
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
            say(f"no pairs remain, so this corpus can be searched but not trained on; {nothing}")
            empty = [split for split in empty if not corpus.galleries[split]]
        for bare in empty:
            if pictures := len(corpus.galleries[bare]):
                say(f"{bare}: no pairs remain, so its {pictures:,} pictures are in no gallery")
        corpus = replace(corpus, pairs={s: p for s, p in corpus.pairs.items() if s not in empty})
        corpus = replace(corpus, galleries={s: g for s, g in corpus.galleries.items() if s in corpus.pairs})
        faults = [fault for check in validate(corpus) for fault in check.faults]
        if faults:
            raise CorpusError(f"{self.out}: not saved, {len(faults)} faults; first: {faults[0]}", faults)
        corpus.save()
        clear_parts(self.out)
        counts = {str(s): {"pairs": len(p), "pictures": len(corpus.galleries[s])} for s, p in corpus.pairs.items()}
        self.own.finish(self.settings, counts=counts, tallies={t.what: t.record() for t in tallies})
        for split, count in counts.items():
            say(f"{split}: {count['pairs']:,} pairs, {count['pictures']:,} pictures")
        return corpus


def _names_and_sizes(paths: Iterable[Path]) -> str:
    """Names and sizes of raw files, as version 0.1 recorded them."""
    return value_hash([(f.name, f.stat().st_size) for f in sorted(paths)])


def place(source: Path, target: Path) -> None:
    """Put a picture file under ``target``: a hard link where the disk allows it, otherwise a copy.

    :raises StorageError: writing failed.
    """
    if target.exists() and (target.samefile(source) or filecmp.cmp(source, target, shallow=False)):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        os.link(source, part)
        os.replace(part, target)
    except OSError:
        part.unlink(missing_ok=True)
        with open(source, "rb") as data, atomic_file(target) as file:
            shutil.copyfileobj(data, file)
