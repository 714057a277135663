"""The data of a training run: training pairs and validation queries."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from autocompose.core.distributed import require_shares
from autocompose.core.files import value_hash
from autocompose.core.log import say
from autocompose.core.records import Split
from autocompose.core.text_fields import TEXT_FIELDS, Edit
from autocompose.corpus.format import Corpus, pair_to_json
from autocompose.corpus.split import carve_val
from autocompose.evaluate.questions import questions_of
from autocompose.train.loop import LoopSettings
from autocompose.train.sampling import TextMode, TripletTable


@dataclass(frozen=True)
class Data:
    """A corpus and its use in a run.

    :param train, val: splits for training and validation; ``val`` None: no validation, and the last epoch is kept.
    :param key: corpus key of the validation questions; ``flatten``: one question per text.
    :param cache: folder for encoded and decoded pictures.
    """

    corpus: Corpus
    train: Split = Split.TRAIN
    val: Split | None = Split.VAL
    key: str = "sents"
    flatten: bool = False
    cache: Path | None = None

    @classmethod
    def of(
        cls, corpus: Corpus, text: TextMode, cache: Path | None = None, seed: int = 0, validate: bool = True
    ) -> Data:
        """The default: a ``val`` split, held out from train where the corpus has none, queried with human texts where
        all its pairs have them, otherwise with the first text of the training source.

        :param validate: False: nothing is held out; training uses all pairs of train.
        :raises CorpusError: there is no ``val`` split, and train cannot be divided.
        """
        if not validate:
            say(f"{corpus.root}: no validation; training on all {len(corpus.split(Split.TRAIN)):,} pairs of train")
            return cls(corpus, val=None, cache=cache)
        if Split.VAL not in corpus.pairs:
            corpus = _sound_groups(carve_val(corpus, seed=seed))
            held_out = len(corpus.split(Split.VAL))
            say(f"{corpus.root}: no val split; {held_out:,} pairs of train are held out for validation")
        human = all(p.texts.get("sents") for p in corpus.split(Split.VAL))
        return cls(corpus, key="sents" if human else TEXT_FIELDS[text.source, Edit.PLAIN], cache=cache)

    def table(self, text: TextMode, batch_size: int) -> TripletTable:
        """The training items, after all checks that could fail later in the run.

        :raises CorpusError: no pair has the texts, or a validation question is faulty.
        :raises ConfigError: fewer pairs than one batch, or the processes cannot share a batch.
        """
        require_shares(batch_size)
        if batch_size == 1:
            say("batch size 1: there is no negative to compare with, so the loss is 0 and nothing is learned")
        table = TripletTable(self.corpus.split(self.train), text, self.corpus.poses)
        table.require_batch(batch_size)
        if self.val is not None:
            questions_of(self.corpus, self.val, self.key, self.flatten)
        return table

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits in use."""
        return (self.train,) if self.val is None else (self.train, self.val)

    def chosen(self, loop: LoopSettings) -> LoopSettings:
        """Settings of a loop on these data: without validation no epoch can be chosen, the last one is kept."""
        if self.val is not None or loop.select is None:
            return loop
        say(f"no validation: keeping the last of {loop.epochs} epochs")
        return loop.model_copy(update={"select": None})

    def name(self, split: Split) -> str:
        """The name of a split in the corpus."""
        return self.corpus.files.get(split, split.value)

    def hash(self) -> str:
        """SHA-256 of the pairs and galleries in use."""
        splits = set(self.splits)
        pairs = {s.value: [pair_to_json(p) for p in self.corpus.split(s)] for s in splits}
        return value_hash([pairs, {s.value: list(self.corpus.galleries[s]) for s in splits}])


def _sound_groups(corpus: Corpus) -> Corpus:
    """The groups of train pairs are free in the paper's format; val keeps them only where they can be used."""
    val, gallery = corpus.split(Split.VAL), set(corpus.galleries[Split.VAL])
    if all(p.target in p.img_set and gallery.issuperset(p.img_set) for p in val):
        return corpus
    bare = tuple(dataclasses.replace(p, img_set=()) for p in val)
    return dataclasses.replace(corpus, pairs={**corpus.pairs, Split.VAL: bare})
