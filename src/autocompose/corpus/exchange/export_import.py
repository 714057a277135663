"""Export to other tools' formats and import again: parquet (Hugging Face ``datasets``) and WebDataset tar shards."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from pathlib import Path

from autocompose.core.errors import CorpusError, InputError
from autocompose.core.files import write_bytes, write_json, write_text
from autocompose.core.log import say
from autocompose.core.reading.plain import read_file
from autocompose.core.records import Split
from autocompose.core.run_folder import RunFolder
from autocompose.corpus.about import About
from autocompose.corpus.exchange import parquet, webdataset
from autocompose.corpus.exchange.transfer import Arrivals
from autocompose.corpus.format import TEXT_KEYS, Corpus, load_corpus
from autocompose.corpus.validate import validate

SHARD = 400  # megabytes
EXPORTED = ("poses.npz", "about.json", "README.md")


class Format(str, Enum):
    """``parquet``: readable by Hugging Face ``datasets``, pandas, DuckDB. ``webdataset``: tar shards for streaming."""

    PARQUET = "parquet"
    WEBDATASET = "webdataset"

    def __str__(self) -> str:
        return self.value


WRITERS = {Format.PARQUET: parquet, Format.WEBDATASET: webdataset}


def export_corpus(root: Path, out: Path, kind: Format = Format.PARQUET, shard: int = SHARD) -> None:
    """Write a corpus with its pictures, all fields, poses, and a dataset card (``README.md``).

    :param shard: size of a shard in megabytes, about.
    An export that was cut short is begun again; a finished one belongs to whoever asked for it.

    :raises CorpusError: the corpus breaks its format; InputError: ``out`` holds something else.
    """
    corpus = load_corpus(root)
    out = Path(out)
    settings = {"verb": "export", "kind": str(kind), "shard": shard, "corpus": str(Path(root).resolve())}
    own = RunFolder(out, "export", "an unfinished export")
    own.check(settings)
    faults = [fault for check in validate(corpus) for fault in check.faults]
    if faults:
        raise CorpusError(f"{root}: not exported, {len(faults)} faults; first: {faults[0]}", faults)
    own.start(settings, EXPORTED, WRITERS[kind].PATTERNS)
    own.clear()  # what an export that was cut short has left
    own.start(settings, EXPORTED, WRITERS[kind].PATTERNS)
    about = About.of(corpus.root)
    for split in corpus.pairs:
        WRITERS[kind].write_split(corpus, split, out, shard * 1_000_000)
    if corpus.poses is not None:
        corpus.poses.save(out / "poses.npz")
    about.save(out)
    shards = {split: webdataset.shards(out, split) for split in corpus.pairs}
    write_text(out / "README.md", dataset_card(corpus, about, kind, shards))
    own.release()
    say(f"{out}: exported; redistribution: {about.redistribution}")


def import_corpus(source: Path, out: Path) -> Corpus:
    """Make a corpus from an export of either format.

    :raises InputError: no such files, damaged ones, or ``out`` holds a corpus; CorpusError: names that leave the
        picture folder, or a corpus that breaks its format. Nothing is written under its final name before the checks.
    """
    source, out = Path(source), Path(out)
    own = RunFolder(out, "import", "an unfinished import")
    if (out / "captions").exists() and own.made_with() is None:
        raise InputError(f"{out}: already contains a corpus; choose another folder")
    kinds = [module for module in WRITERS.values() if source.is_dir() and module.is_export(source)]
    if not kinds:
        raise InputError(
            f"{source}: contains neither pairs/*.parquet nor pairs-*.tar; expected the folder of an export"
        )
    arrivals = Arrivals(out)
    own.claim({"source": str(source.resolve())})
    kinds[0].read(source, arrivals)
    for split in arrivals.pairs:
        write_json(out / "captions" / f"{split}.json", arrivals.pairs[split])
        write_json(out / "image_splits" / f"{split}.json", arrivals.galleries[split])
    for name in ("poses.npz", "about.json"):
        if (source / name).is_file():
            write_bytes(out / name, read_file(source / name))
    corpus = load_corpus(out)
    own.release()
    faults = [fault for check in validate(corpus) for fault in check.faults]
    if faults:
        raise CorpusError(f"{out}: imported with {len(faults)} faults; first: {faults[0]}", faults)
    say(f"{out}: " + ", ".join(f"{len(p):,} {s} pairs" for s, p in corpus.pairs.items()))
    return corpus


def dataset_card(corpus: Corpus, about: About, kind: Format, shards: dict[Split, str]) -> str:
    """The README of an export: sources, licences, counts, fields, how to load.

    :param shards: numbers of the tar files with the pairs of a split.
    """
    from jinja2 import Environment, PackageLoader

    texts = {key: Counter({s: sum(len(p.texts.get(key, ())) for p in pairs) for s, pairs in corpus.pairs.items()})
             for key in sorted(TEXT_KEYS)}  # fmt: skip
    counts = {split: (len(pairs), len(corpus.galleries[split])) for split, pairs in corpus.pairs.items()}
    loader = PackageLoader("autocompose.corpus", "templates")
    environment = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return environment.get_template("card.md").render(
        about=about,
        kind=kind.value,
        counts=counts,
        texts={key: by_split for key, by_split in texts.items() if by_split.total()},
        splits=list(corpus.pairs),
        shards=shards,
        poses=corpus.poses is not None,
        total=sum(len(p) for p in corpus.pairs.values()),
    )
