"""What composing is measured on: BodyCPR's test part, and the validation part of the preset ``full`` in halves.

Variants are compared on the first half; the second half and the test part are for final figures. A half is a set of
bodies, so that no cluster is in both. Pictures are rendered, looked at and forgotten.

    python -m autocompose.train.poses.parts LIFTING PART

collects what the estimator's networks see in the pictures of a part: about 0.1 s of one core a picture.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from autocompose.bodies.skeleton import turn
from autocompose.core.errors import InputError
from autocompose.core.files import read_json, write_json
from autocompose.core.log import Tally, track
from autocompose.core.records import Pair, Split
from autocompose.corpus.poses import PoseTable
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.texts import describe_pairs
from autocompose.estimate.estimator import Estimator
from autocompose.estimate.lifting import Lifter
from autocompose.evaluate.metrics import QueryRows
from autocompose.model.small2.pose_net import trunk_of
from autocompose.prepare.bodycpr import clusters as bodycpr
from autocompose.prepare.bodycpr import frozen, frozen_texts
from autocompose.train.lifting.benchmark import CHUNK, collect_rows, split_paths
from autocompose.train.lifting.fit import Data

PartName = Literal["val-first", "val-second", "test"]
PRESET = bodycpr.PRESETS["full"]
FIRST_CUBES = PRESET.val // 2  # the bodies of these are the first half
COUNT = 1400  # questions of a half
EVERY = 5  # of the test part's pairs
BANKS = {"auto": ("coach", 3), "sents": ("independent", 1)}  # key -> word bank, wordings of which the first is asked
Questions = list[tuple[str, int, int]]  # text, and the rows of reference and target


@dataclass(frozen=True)
class Part:
    """N pictures as the estimator sees them, eight of a cube one after the other, and questions about them.

    :param trunks: ``(N, TRUNK)``, zeros where nobody was found. :param joints: ``(N, 22, 3)`` metres, scene frame.
    :param uncertainty: ``(N, 22)`` metres. :param detected: ``(N,)`` bool. :param body: ``(N,)`` labels of clusters.
    """

    trunks: Tensor
    joints: np.ndarray
    uncertainty: np.ndarray
    detected: np.ndarray
    body: np.ndarray
    questions: dict[str, Questions]

    @classmethod
    def read(cls, lifting: Path, name: PartName, limit: int | None = None) -> Part:
        """A part that was collected.

        :param limit: only its first so many files, and the questions about these.
        :raises InputError: files are missing.
        """
        paths = part_paths(lifting, name)[:limit]
        if missing := [path for path in paths if not path.exists()]:
            raise InputError(f"{missing[0]}: missing; run python -m autocompose.train.poses.parts {lifting} {name}")
        seen = Data.read(paths)
        detected = seen.columns["found"]
        with torch.inference_mode():
            joints, heading, uncertainty = Lifter.load()(seen.seen)
        trunks = trunk_of(joints, heading, uncertainty) * torch.from_numpy(detected)[:, None]
        every = _test_questions() if name == "test" else _val_questions(lifting, name)
        questions = {key: [q for q in some if q[2] < len(detected)] for key, some in every.items()}
        seen_joints = turn(joints.numpy(), np.degrees(heading.numpy()))
        return cls(trunks, seen_joints, uncertainty.numpy(), detected, seen.columns["body"], questions)

    def rows(self, key: str) -> QueryRows:
        """The questions of a bank as rows; their groups are the other pictures of the cube."""
        reference, target = (np.array([question[end] for question in self.questions[key]]) for end in (1, 2))
        cubes = (target // 8 * 8)[:, None] + np.arange(8)
        groups = tuple(cube[cube != row] for cube, row in zip(cubes, reference, strict=True))
        return QueryRows(reference, target, groups)


def part_paths(lifting: Path, name: PartName) -> list[Path]:
    """The files of a part, 16 pictures each."""
    if name == "test":
        return split_paths(lifting, Split.TEST)
    border, every = 8 * FIRST_CUBES // CHUNK, 8 * PRESET.val // CHUNK
    numbers = range(border) if name == "val-first" else range(border, every)
    return [Path(lifting) / f"full-{number:03d}.npz" for number in numbers]


def val_table(lifting: Path) -> PoseTable:
    """Poses of the preset's validation part, kept in the folder; the first bodies come first."""
    path = Path(lifting) / "full-poses.npz"
    if not path.exists():
        tasks = [task for task in bodycpr.tasks(PRESET) if task.split is Split.VAL]
        made = [bodycpr.make_cluster(task, 0, PRESET.per_cluster) for task in track(tasks, "clusters", len(tasks))]
        bodycpr.pose_table(made, PRESET.test).save(path)
    return PoseTable.load(path)


def collect_part(lifting: Path, name: PartName) -> None:
    """Look at the pictures whose files are missing."""
    torch.set_num_threads(1)
    paths = part_paths(lifting, name)
    table, estimator = val_table(lifting), Estimator.load()
    chunks = np.arange(len(table.names)).reshape(-1, CHUNK)[[int(path.stem[-3:]) for path in paths]]
    for path, rows in track(zip(paths, chunks, strict=True), name, len(paths)):
        collect_rows(path, table, rows, 8 * PRESET.test, estimator)


def _test_questions() -> dict[str, Questions]:
    """Every fifth pair by rules; the odd cubes by a multimodal LLM, because the parser was developed on the even."""
    names = {name: row for row, name in enumerate(frozen.load().names)}
    rules, written = frozen_texts.load(), frozen_texts.load_written()["texts"]
    questions: dict[str, Questions] = {key: [] for key in (*frozen_texts.KEYS, frozen_texts.WRITTEN)}
    for pair in list(rules)[::EVERY]:
        reference, target = (names[end] for end in pair.split())
        for key in frozen_texts.KEYS:
            questions[key].append((rules[pair][key][0], reference, target))
    for pair, texts in written.items():
        reference, target = (names[end] for end in pair.split())
        if int(pair[:5]) % 2:
            questions[frozen_texts.WRITTEN] += [(text, reference, target) for text in texts]
    return questions


def _val_questions(lifting: Path, name: PartName) -> dict[str, Questions]:
    """Pairs of a half drawn at random; kept in the folder, because the texts of all pairs take minutes."""
    path = Path(lifting) / f"{name}-questions.json"
    if not path.exists():
        write_json(path, _drawn(val_table(lifting), name))
    stored = read_json(path, dict)
    return {key: [(text, a, b) for text, a, b in rows] for key, rows in stored.items()}


def _drawn(table: PoseTable, name: PartName) -> dict[str, Questions]:
    row, border = table.index(), 8 * FIRST_CUBES
    first = set(table.columns["body"][:border].tolist())
    second = name == "val-second"
    pairs = [p for at in range(0, len(row), 8) for p in bodycpr.cube_pairs(table, at, Tally("pairs"))]
    mine = [p for p in pairs if (table.columns["body"][row[p.reference]] not in first) == second]
    texts = {key: _texts(table, mine, bank, wordings) for key, (bank, wordings) in BANKS.items()}
    usable = [i for i in range(len(mine)) if all(texts[key][i] for key in texts)]
    chosen = np.array(usable)[np.random.default_rng(int(second)).permutation(len(usable))[:COUNT]]
    start = border if second else 0
    ends = {i: (row[mine[i].reference] - start, row[mine[i].target] - start) for i in chosen.tolist()}
    kept = [i for i, (a, b) in ends.items() if second or max(a, b) < border]
    return {key: [(texts[key][i][0], *ends[i]) for i in kept] for key in texts}


def _texts(table: PoseTable, pairs: Sequence[Pair], bank: str, wordings: int) -> list[list[str]]:
    options = RuleOptions(noise=0.0, rotation=False, absolute="none", trunk=True, max_parts=4, bank=bank)  # type: ignore[arg-type]
    a, b = (table.joints[table.rows([getattr(p, end) for p in pairs])] for end in ("reference", "target"))
    return describe_pairs(a, b, 1, wordings, options, [f"{p.reference} {p.target}" for p in pairs])


if __name__ == "__main__":
    collect_part(Path(sys.argv[1]), sys.argv[2])  # type: ignore[arg-type]
