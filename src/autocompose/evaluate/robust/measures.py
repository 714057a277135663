"""Values of units (queries, or pairs with several wordings) that are not defined for every unit, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autocompose.core.errors import CorpusError
from autocompose.evaluate.metrics import Difference, bootstrap_means, difference


@dataclass(frozen=True)
class Measures:
    """Values of U units.

    :param values: measure -> ``(U,)`` float64 from 0 to 1; NaN: not defined for that unit, which then takes no part.
    :param clusters: ``(U,)`` labels; intervals resample these.
    """

    values: dict[str, np.ndarray]
    clusters: np.ndarray

    def defined(self, name: str) -> np.ndarray:
        """``(U,)`` bool: units that have this value."""
        return ~np.isnan(self.values[name])

    def summary(self, seed: int = 0) -> dict[str, Any]:
        """Percent and 95 % interval of every measure with the number of units behind it (``n``); JSON-able.

        A measure that no unit has is left out, but for its ``n`` of 0.
        """
        percent: dict[str, Any] = {}
        intervals, counts = {}, {}
        for name, values in self.values.items():
            rows = self.defined(name)
            counts[name] = int(rows.sum())
            if counts[name]:
                draws = bootstrap_means(values[rows][:, None], self.clusters[rows], seed)
                percent[name] = 100 * float(values[rows].mean())
                intervals[name] = [100 * float(v) for v in np.percentile(draws, [2.5, 97.5])]
        return {**percent, "ci95": intervals, "n": counts}


def compare_measures(first: Measures, second: Measures, seed: int = 0) -> dict[str, Difference]:
    """Paired differences, second minus first, over the units that have the value in both.

    :raises CorpusError: the runs have different numbers of units.
    """
    if len(first.clusters) != len(second.clusters):
        raise CorpusError(
            f"the runs have {len(first.clusters)} and {len(second.clusters)} units; compare the same test"
        )
    differences = {}
    for name in (name for name in first.values if name in second.values):
        rows = first.defined(name) & second.defined(name)
        if rows.any():
            change = second.values[name][rows] - first.values[name][rows]
            differences[name] = difference(change[:, None], first.clusters[rows], seed)[0]
    return differences


def joined(parts: Sequence[Measures]) -> Measures:
    """Several runs' units one after the other; measures that not all have are left out."""
    names = [name for name in parts[0].values if all(name in part.values for part in parts)]
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in names}
    return Measures(values, np.concatenate([part.clusters for part in parts]))
