"""The measures beside recall as files keep them: extra columns of ``ranks.csv``, read again to compare runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autocompose.core.errors import InputError
from autocompose.evaluate.metrics import Difference
from autocompose.evaluate.results import rank_files, rank_lines, read_ranks
from autocompose.evaluate.robust.judged import NAMES
from autocompose.evaluate.robust.measures import Measures, compare_measures, joined
from autocompose.evaluate.robust.wordings import wording_measures


def compare_robustness(first: Path, second: Path, seed: int = 0) -> dict[str, Difference]:
    """Paired differences, second minus first, of the spread over wordings and of what poses say, where both have it.

    :raises InputError, CorpusError: as ``read_ranks``; the runs have different queries.
    """
    differences: dict[str, Difference] = {}
    (queries, clusters, one), (_, _, two) = read_ranks(first), read_ranks(second)
    wordings = [wording_measures(queries, ranks, clusters) for ranks in (one, two)]
    for left, right in (wordings, [read_judged(path) for path in (first, second)]):
        if left is not None and right is not None:
            differences |= compare_measures(left, right, seed)
    return differences


def read_judged(path: Path) -> Measures | None:
    """The measures of the same file or folder, in the order of its queries; None when it has none.

    :raises InputError: missing, not such a file, or a measure is not a number from 0 to 1.
    """
    parts = [_judged_part(part) for part in rank_files(Path(path))]
    return joined([part for part in parts if part is not None]) if all(parts) else None


def _judged_part(path: Path) -> Measures | None:
    lines = rank_lines(path)
    names = [name for name in NAMES if name in lines[0]]
    if not names:
        return None
    clusters = np.array([line["cluster"] for line in lines], dtype=object)
    return Measures({name: np.array([_share(line[name], path) for line in lines]) for name in names}, clusters)


def _share(cell: str, path: Path) -> float:
    try:
        value = float(cell or "nan")
    except ValueError:
        value = -1.0
    if value < 0 or value > 1:
        raise InputError(f"{path}: {cell!r} is no measure; expected a number from 0 to 1, or nothing")
    return value
