"""Giving poses up early against the rough score of all."""

from __future__ import annotations

import numpy as np
import pytest

from autocompose.describe.audit.measure import Feature
from autocompose.evaluate import pose_index
from autocompose.evaluate.measured import Measured
from autocompose.evaluate.pose_coordinates import COLUMN
from autocompose.evaluate.pose_index import PoseIndex
from autocompose.evaluate.pose_scan import Scan
from autocompose.evaluate.symbolic import PoseQuery
from tests.describe.audit.poses import random_joints

JOINTS = random_joints(2500, 5).astype(np.float32)
INDEX = PoseIndex.of(JOINTS)
TEXTS = (
    "", "raise your left arm", "bend the right knee slightly and lean forward", "put both hands on your head",
    "lower both arms a lot, turn to the left and put your feet together", "left hand on the right knee",
)  # fmt: skip


def rough(query: PoseQuery) -> np.ndarray:
    """The rough score of all poses, from the whole columns."""
    scan = Scan.of(query, INDEX.variances)
    columns = INDEX._measured_columns([feature for feature in scan.features if feature not in COLUMN])

    def column(feature: Feature) -> np.ndarray:
        return INDEX._values(feature, columns, slice(None))

    return scan.costs(INDEX.coordinates, column)


def query_of(text: str, weight: float, states: bool) -> PoseQuery:
    return PoseQuery.of(text, None if states else Measured.one(JOINTS[7]), weight)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("weight", "states"), [(0.5, False), (0.1, False), (1.0, False), (0.5, True)])
def test_all_poses_within_the_limit_are_kept(
    text: str, weight: float, states: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pose_index, "SCANNED", 700)
    costs, query, depth = rough(query_of(text, weight, states)), query_of(text, weight, states), 60
    rows = INDEX.candidates(query, depth)
    if len(np.unique(costs)) < len(costs) / 2:  # many poses of equal cost: any of them
        assert len(rows) >= depth and costs[rows].max() <= np.sort(costs)[2 * depth] + 1e-4
        return
    limit = np.quantile(costs, depth / len(costs))  # the sample is all of so few
    assert set(np.flatnonzero(costs < limit - 1e-4)) <= set(rows) <= set(np.flatnonzero(costs <= limit + 1e-4))


def test_a_sample_that_tells_too_little_excludes_no_pose(monkeypatch: pytest.MonkeyPatch) -> None:
    query, allowed = query_of(TEXTS[2], 0.5, False), np.arange(len(JOINTS)) % 2 == 0
    expected = INDEX.candidates(query, 60, allowed)
    monkeypatch.setattr(pose_index, "LIKELY", 1_000_000)
    rows = INDEX.candidates(query, 60, allowed)
    assert allowed[rows].all() and len(rows) == 60
    assert len(np.intersect1d(rows, expected)) >= 55
