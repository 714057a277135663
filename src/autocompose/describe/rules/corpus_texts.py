"""Write rule texts into a corpus: resumable, over several processes, always with the same output."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autocompose import __version__
from autocompose.bodies.convert import EXCHANGED
from autocompose.bodies.pose_frame import faults, sides_exchanged
from autocompose.core.errors import CorpusError, PoseError
from autocompose.core.files import atomic_file, file_hash, json_bytes, read_json, value_hash, write_json
from autocompose.core.log import Tally, say, track
from autocompose.core.records import Pair, Split
from autocompose.core.run_folder import RunFolder
from autocompose.core.several import several
from autocompose.core.text_fields import TEXT_FIELDS, Edit, Source
from autocompose.core.workers import each
from autocompose.corpus.format import Corpus, load_corpus, pair_to_json
from autocompose.corpus.poses import PoseTable
from autocompose.describe.rules.changes import Figures
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.statement import Statement
from autocompose.describe.rules.texts import Description, describe

PART = 2000  # pairs per part
STAGE = "describe-rules"
DEFAULTS = RuleOptions()


class Job(NamedTuple):
    """One part: some pairs of a split under one edit."""

    path: Path
    start: Figures
    goal: Figures
    keys: tuple[str, ...]
    edit: Edit
    seed: int
    n_texts: int
    options: RuleOptions
    numbers: bool


class Counts(NamedTuple):
    """The outcome of a run.

    :param entries: (pair, field) entries: kept, and dropped with reasons.
    :param wordings: the requested texts of the kept entries.
    :param per_entry: texts requested per entry.
    """

    entries: Tally
    wordings: Tally
    per_entry: int

    def add(self, pair: Pair, texts: int) -> None:
        """An entry with ``texts`` texts."""
        name = f"{pair.reference} -> {pair.target}"
        if not texts:
            self.entries.drop("nothing changes enough to be described", name)
            return
        self.entries.keep()
        self.wordings.keep(texts)
        if texts < self.per_entry:
            self.wordings.drop("too similar to another wording of the pair", name, self.per_entry - texts)

    def lines(self) -> str:
        """For the console."""
        return f"{self.entries.line()}\n{self.wordings.line()}"


def write_texts(
    corpus: Corpus | str | Path,
    *,
    options: RuleOptions = DEFAULTS,
    n_texts: int = 3,
    seed: int = 0,
    edits: Edit | str | Iterable[Edit | str] = tuple(Edit),
    splits: Split | str | Iterable[Split | str] | None = None,
    processes: int = 1,
    codes: bool = False,
) -> Counts:
    """Write texts into a corpus by rules, from its 3D poses.

    The corpus keys are ``auto``, ``auto-reverse``, ``auto-mirror`` and ``auto-mirror-reverse``.
    A pair without a usable pose, or with nothing to say, keeps the texts that it has. The texts of a pair depend on
    ``seed``, the names of its two images, the edit and the options alone. A column ``known`` (N, 22) of poses.npz marks
    joints that the source skeleton lacks.

    :param corpus: the folder, or what was loaded from it; its captions files are rewritten.
    :param n_texts: wordings per pair and field.
    :param edits: which of the four fields to write.
    :param codes: also write ``codes/SPLIT.jsonl``, a line per pair: the statements of its texts and their numbers.
    :raises CorpusError: there are no pairs.
    :raises PoseError: the corpus has no poses.npz.
    """
    root = corpus.root if isinstance(corpus, Corpus) else Path(corpus)
    corpus, fields = load_corpus(root, splits), [Edit(edit) for edit in several(edits)]
    if corpus.poses is None:
        raise PoseError(f"{root}: no poses.npz; rules need the 3D pose of every image")
    if not any(corpus.pairs.values()):
        raise CorpusError(f"{root}: no pairs to describe; run `autocompose pairs {root}` first")
    _check_sides(corpus.poses, root)
    if options.head and "rotations" not in corpus.poses.columns:
        raise PoseError(f"{root}/poses.npz: no column 'rotations', which --head needs; leave the option off")
    settings = {
        "options": options.model_dump(),
        "n_texts": n_texts,
        "seed": seed,
        "fields": [TEXT_FIELDS[Source.RULES, e] for e in fields],
        "codes": codes,
        "pairs": {str(s): value_hash([(p.reference, p.target) for p in ps]) for s, ps in corpus.pairs.items()},
        "poses": file_hash(corpus.root / "poses.npz"),
        "program": __version__,
    }
    folder = corpus.root / f".{STAGE}-{value_hash(settings)[:16]}"
    counts = Counts(Tally("rule texts"), Tally("wordings"), n_texts)
    usable = {s: _usable(corpus.poses, pairs, counts.entries, len(fields)) for s, pairs in corpus.pairs.items()}
    jobs = [
        job
        for split, rows in usable.items()
        for edit in fields
        for job in _jobs(folder, corpus, split, rows, edit, (seed, n_texts, options, codes))
    ]
    _run([j for j in jobs if not j.path.exists()], len(jobs), processes)
    for split, rows in usable.items():
        _merge(folder, corpus, split, rows, fields, counts, codes)
    RunFolder(corpus.root, STAGE).finish(settings, **counts.entries.record(), wordings=counts.wordings.record())
    for old in corpus.root.glob(f".{STAGE}-{'[0-9a-f]' * 16}"):
        shutil.rmtree(old)
    return counts


def _check_sides(poses: PoseTable, root: Path) -> None:
    sound = np.array([not fault for fault in faults(poses.joints)], bool)
    share = sides_exchanged(poses.joints[sound])
    if share > EXCHANGED:
        raise PoseError(
            f"{root}/poses.npz: knees or toes point backwards in {share:.0%} of the poses; left and right are swapped, "
            "or an axis has the wrong sign"
        )


def _usable(poses: PoseTable, pairs: tuple[Pair, ...], tally: Tally, n_fields: int) -> dict[int, tuple[int, int]]:
    """Pair number -> pose rows, for the pairs whose two poses are there and sound."""
    index, wrong = poses.index(), faults(poses.joints)
    result = {}
    for number, pair in enumerate(pairs):
        rows = (index.get(pair.reference), index.get(pair.target))
        reasons = ["no 3D pose" if row is None else wrong[row] for row in rows]
        reason = reasons[0] or reasons[1]
        if reason or rows[0] is None or rows[1] is None:
            tally.drop(reason, f"{pair.reference} -> {pair.target}", n_fields)
        else:
            result[number] = (rows[0], rows[1])
    return result


def _jobs(
    folder: Path,
    corpus: Corpus,
    split: Split,
    rows: dict[int, tuple[int, int]],
    edit: Edit,
    how: tuple[int, int, RuleOptions, bool],
) -> Iterator[Job]:
    pairs, poses = corpus.pairs[split], corpus.poses
    assert poses is not None
    columns = poses.columns
    figures = Figures(
        poses.joints, columns["rotations"] if how[2].head else None, columns.get("known"), columns.get("scene")
    )
    numbers = list(rows)
    for start in range(0, len(numbers), PART):
        part = numbers[start : start + PART]
        a, b = (figures.rows([rows[n][side] for n in part]) for side in (0, 1))
        # str(): how a format string writes an Enum depends on the version of Python, and the key decides every draw
        keys = tuple(f"{pairs[n].reference}\n{pairs[n].target}\n{edit!s}" for n in part)
        yield Job(_part_path(folder, split, edit, start), a, b, keys, edit, *how)


def _part_path(folder: Path, split: Split, edit: Edit, start: int) -> Path:
    return folder / f"{split}-{edit.value}-{start:08d}.json"


def _run(jobs: list[Job], total: int, processes: int) -> None:
    if len(jobs) < total:
        say(f"continuing: {total - len(jobs)} of {total} parts are done")
    for _ in track(each(_do, jobs, processes), "rule texts", len(jobs)):
        pass


def _do(job: Job) -> None:
    start, goal = (job.goal, job.start) if job.edit.reverses else (job.start, job.goal)
    if job.edit.mirrors:
        start, goal = start.mirrored(), goal.mirrored()
    descriptions = describe(start, goal, job.seed, job.n_texts, job.options, job.keys, job.numbers)
    write_json(job.path, [_record(d, job.numbers) for d in descriptions], indent=None)


def _record(description: Description, numbers: bool) -> dict[str, Any]:
    """What a part keeps of one pair."""
    record: dict[str, Any] = {"texts": description.texts, "left_out": sum(map(len, description.left_out))}
    if numbers:
        record["codes"] = {
            "measured": description.measured,
            "texts": [
                {"text": text, "says": _codes(said), "left_out": _codes(left)}
                for text, said, left in zip(description.texts, description.said, description.left_out, strict=True)
            ],
        }
    return record


def _codes(statements: list[Statement]) -> list[dict[str, Any]]:
    return [
        {"category": s.category, "codes": list(s.codes), "part": " ".join(filter(None, (s.side, s.part)))}
        | ({"second": " ".join(filter(None, (s.side2, s.part2)))} if s.part2 else {})
        for s in statements
    ]


def _merge(
    folder: Path,
    corpus: Corpus,
    split: Split,
    rows: dict[int, tuple[int, int]],
    edits: list[Edit],
    counts: Counts,
    codes: bool,
) -> None:
    """Merge the parts of one split and write its captions (and codes)."""
    pairs = list(corpus.pairs[split])
    numbers, left = list(rows), 0
    with ExitStack() as stack:
        file = stack.enter_context(atomic_file(corpus.root / "codes" / f"{split}.jsonl")) if codes else None
        for start in range(0, len(numbers), PART):
            parts = {TEXT_FIELDS[Source.RULES, e]: read_json(_part_path(folder, split, e, start)) for e in edits}
            for i, number in enumerate(numbers[start : start + PART]):
                records = {key: part[i] for key, part in parts.items()}
                left += sum(r["left_out"] for r in records.values())
                pairs[number] = _with_texts(pairs[number], records, counts)
                if file is not None:
                    names = {"reference": pairs[number].reference, "target": pairs[number].target}
                    line = names | {key: r["codes"] for key, r in records.items()}
                    file.write(json_bytes(line) + b"\n")
    write_json(corpus.root / "captions" / f"{split}.json", [pair_to_json(p) for p in pairs])
    if left:
        say(f"{split}: {left} statements did not fit into their texts (least important first)")


def _with_texts(pair: Pair, records: dict[str, Any], counts: Counts) -> Pair:
    """The pair with its new texts; a field without new texts keeps its old ones."""
    for record in records.values():
        counts.add(pair, len(record["texts"]))
    texts = {key: tuple(record["texts"]) for key, record in records.items() if record["texts"]}
    return replace(pair, texts={**pair.texts, **texts})
