"""The audit of a corpus: one record per text, and a summary per field and split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.bodies.skeleton import COCO17, mirror_joints
from autocompose.core.errors import CorpusError, InputError
from autocompose.core.files import atomic_file, json_bytes
from autocompose.core.log import Tally, track
from autocompose.core.records import Pair, Split, split_of
from autocompose.core.run_folder import require_ours
from autocompose.core.several import several
from autocompose.core.text_fields import TEXT_FIELDS, Edit, text_field
from autocompose.core.workers import each
from autocompose.corpus.format import Corpus, as_corpus
from autocompose.corpus.poses import PoseTable
from autocompose.describe.audit.changes import UNITS, large_changes, mentioned
from autocompose.describe.audit.judge import Judgement, Verdict, judge_pair
from autocompose.describe.audit.measure import Poses
from autocompose.describe.audit.score import counts, score
from autocompose.describe.reading.parse import parse

EDIT_OF = {key: edit for (_, edit), key in TEXT_FIELDS.items()}
WORST_KEPT = 40
SHARD = 200  # pairs that a process judges at a time


@dataclass
class Summary:
    """Summary of one field of a split.

    :param texts, silent: texts, and those without any claim.
    :param verdicts: claims by verdict.
    :param swaps: claims that are not supported, but would be with left and right swapped.
    :param large, mentioned: large changes of the pairs (once per text), and those that a supported claim mentions.
    :param actions: verdicts by action of the claim.
    :param worst: records of the texts that agree least, worst first.
    """

    split: Split
    key: str
    texts: int = 0
    silent: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    swaps: int = 0
    large: int = 0
    mentioned: int = 0
    actions: dict[str, Counter[Verdict]] = field(default_factory=dict)
    worst: list[dict[str, Any]] = field(default_factory=list)

    @property
    def checked(self) -> int:
        """Number of claims that the joints can decide."""
        return self.verdicts.total() - self.verdicts[Verdict.UNCHECKABLE]

    @property
    def precision(self) -> float | None:
        """Supported share of the checked claims."""
        return self.verdicts[Verdict.SUPPORTED] / self.checked if self.checked else None

    def add(self, record: dict[str, Any], judged: Sequence[Judgement]) -> None:
        """Count one text."""
        self.texts += 1
        self.silent += not judged
        self.large += len(record["large_changes"])
        self.mentioned += len(record["mentioned"])
        for item in judged:
            self.verdicts[item.verdict] += 1
            self.swaps += item.swap
            self.actions.setdefault(item.claim.action, Counter())[item.verdict] += 1
        if record["agreement"] is not None and record["agreement"] < 1:
            self.worst.append(record)
            if len(self.worst) > 8 * WORST_KEPT:
                self.rank_worst()

    def rank_worst(self) -> None:
        """Keep the worst texts in order."""
        self.worst.sort(key=lambda record: (record["agreement"], -record["contradicted"], record["pair"]))
        del self.worst[WORST_KEPT:]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, shares in percent."""
        share = None if self.precision is None else round(100 * self.precision, 2)
        return {
            "split": str(self.split), "field": self.key, "texts": self.texts, "texts_without_claim": self.silent,
            "claims": self.verdicts.total(), **{str(v).replace(" ", "_"): self.verdicts[v] for v in Verdict},
            "precision": share, "swaps": self.swaps, "large_changes": self.large,
            "large_mentioned": round(100 * self.mentioned / self.large, 2) if self.large else None,
        }  # fmt: skip


def audit_corpus(
    corpus: Corpus | str | Path,
    fields: str | Sequence[str] = (),
    splits: Split | str | Sequence[Split | str] = (),
    turns: bool = False,
    out: Path | None = None,
    processes: int = 1,
) -> tuple[list[Summary], Tally]:
    """Judge every text of some fields against the poses of its pair.

    :param fields: which texts: ``human``, ``rules``, ``mllm-reverse`` ..., or corpus keys; () = all existing ones.
    :param splits: () = all.
    :param turns: the yaw of ``poses.npz`` gives headings in one scene, so claims about turns can be checked.
    :param out: a JSONL file, one record per text; replaced only when the audit is complete.
    :param processes: that judge; the result is the same for any number, and for the workers of Ray inside
        ``core.ray_workers.on_ray``.
    :raises InputError: no poses, or no such field.
    """
    corpus, fields = as_corpus(corpus), [text_field(name) for name in several(fields)]
    if corpus.poses is None:
        raise InputError(f"{corpus.root}: no poses.npz; the audit needs 3D poses of the pictures")
    parts = [split_of(split) for split in several(splits)] or list(corpus.pairs)
    present = {key for split in parts for pair in corpus.split(split) for key in pair.texts if pair.texts[key]}
    unknown = sorted(set(fields) - present)
    if unknown or not present:
        listed = ", ".join(sorted(present)) or "none"
        raise CorpusError(f"{corpus.root}: no texts in the field {(unknown or ['sents'])[0]!r}; fields: {listed}")
    chosen = fields or sorted(present)
    summaries, tally = [], Tally("texts")
    if out is None:
        for split in parts:
            summaries += [_audit_field(corpus, split, key, turns, processes, tally) for key in chosen]
        return summaries, tally
    require_ours(out, b'"text_index"')
    with atomic_file(out) as file:
        for split in parts:
            summaries += [_audit_field(corpus, split, key, turns, processes, tally, file) for key in chosen]
    return summaries, tally


def _audit_field(
    corpus: Corpus, split: Split, key: str, turns: bool, processes: int, tally: Tally, file: Any = None
) -> Summary:
    summary, shards = Summary(split, key), list(_shards(corpus, split, key, turns, tally))
    pairs = sum(len(shard.pairs) for shard in shards)
    for shard in track(each(_judged, shards, processes), f"audit {split} {key}", pairs, lambda _: SHARD):
        for record, judged in shard:
            tally.keep()
            summary.add(record, judged)
            if file is not None:
                file.write(json_bytes(record) + b"\n")
    summary.rank_worst()
    return summary


@dataclass(frozen=True)
class Shard:
    """Some pairs of a split, with the poses from which and to which their texts lead."""

    split: Split
    key: str
    numbers: list[int]
    pairs: list[Pair]
    start: Poses
    goal: Poses


def _shards(corpus: Corpus, split: Split, key: str, turns: bool, tally: Tally) -> Iterator[Shard]:
    edit, table = EDIT_OF.get(key, Edit.PLAIN), corpus.poses
    assert table is not None
    pairs = corpus.split(split)
    rows, kept = _pose_rows(table, pairs, key, edit, tally)
    for first in range(0, len(kept), SHARD):
        part, numbers = rows[first : first + SHARD], kept[first : first + SHARD]
        start, goal = (poses_of(table, part[:, end], edit, turns) for end in (0, 1))
        yield Shard(split, key, numbers, [pairs[number] for number in numbers], start, goal)


def _judged(shard: Shard) -> list[tuple[dict[str, Any], list[Judgement]]]:
    """Record and judgements of every text of a shard."""
    large, records = large_changes(shard.start, shard.goal), []
    for i, (number, pair) in enumerate(zip(shard.numbers, shard.pairs, strict=True)):
        changes = [unit for unit, big in zip(UNITS, large[i], strict=True) if big]
        for index, text in enumerate(pair.texts[shard.key]):
            judged = judge_pair(parse(text), shard.start.row(i), shard.goal.row(i))
            where = {"split": str(shard.split), "field": shard.key, "pair": number, "text_index": index}
            records.append((text_record(where, pair, text, judged, changes), judged))
    return records


def _pose_rows(
    poses: PoseTable, pairs: Sequence[Pair], key: str, edit: Edit, tally: Tally
) -> tuple[np.ndarray, list[int]]:
    """Pose rows (from, to) and numbers of the pairs whose poses are usable."""
    index, usable = poses.index(), np.isfinite(poses.joints).all((1, 2))
    rows, kept = [], []
    for number, pair in enumerate(pairs):
        texts = len(pair.texts.get(key, ()))
        ends = (pair.target, pair.reference) if edit.reverses else (pair.reference, pair.target)
        pose_rows = [index.get(name, -1) for name in ends]
        if not texts:
            continue
        if min(pose_rows) < 0:
            tally.drop("no 3D pose", f"{pair.reference} {pair.target}", texts)
        elif not usable[pose_rows].all():
            tally.drop("pose is not finite", f"{pair.reference} {pair.target}", texts)
        else:
            rows.append(pose_rows)
            kept.append(number)
    return np.array(rows, int).reshape(-1, 2), kept


def poses_of(table: PoseTable, rows: np.ndarray, edit: Edit, turns: bool) -> Poses:
    """The poses of a table as the audit measures them; mirrored where the edit mirrors the pictures."""
    joints, yaw = table.joints[rows].astype(np.float64), table.yaw[rows].astype(np.float64)
    coco = table.columns.get("coco")
    face = None if coco is None else face_direction(coco[rows].astype(np.float64))
    if edit.mirrors:
        joints, yaw = mirror_joints(joints), -yaw
        face = None if face is None else face * [-1.0, 1.0, 1.0]
    return Poses(joints, yaw if turns else None, face)


def face_direction(coco: np.ndarray) -> np.ndarray:
    """Where faces look: from the middle of the ears to the nose, ``(N, 17, 3)`` -> ``(N, 3)``."""
    ears = (coco[:, COCO17.index("left_ear")] + coco[:, COCO17.index("right_ear")]) / 2
    looks: np.ndarray = coco[:, COCO17.index("nose")] - ears
    return looks


def text_record(
    where: dict[str, Any], pair: Pair, text: str, judged: Sequence[Judgement], changes: list[str]
) -> dict[str, Any]:
    """One line of the verdicts file; ``agreement`` is the supported share of the checked claims, ``score`` the
    probability that the whole text is right, both None without any."""
    count = Counter(item.verdict for item in judged)
    checked = len(judged) - count[Verdict.UNCHECKABLE]
    spoken = mentioned(judged)
    return {
        **where, "reference": pair.reference, "target": pair.target, "text": text,
        "agreement": round(count[Verdict.SUPPORTED] / checked, 4) if checked else None,
        "score": round(score(*counts(judged)), 4) if checked else None,
        **{str(verdict).replace(" ", "_"): count[verdict] for verdict in Verdict},
        "swaps": sum(item.swap for item in judged), "large_changes": changes,
        "mentioned": [unit for unit in changes if unit in spoken], "claims": [item.to_json() for item in judged],
    }  # fmt: skip
