"""The index of a large gallery against the full scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import StorageError
from autocompose.describe.audit.measure import Poses
from autocompose.evaluate import pose_index
from autocompose.evaluate.measured import Measured
from autocompose.evaluate.pose_index import PoseIndex
from autocompose.evaluate.symbolic import PoseQuery, rank
from tests.describe.audit.poses import random_joints

JOINTS = random_joints(3000, 3).astype(np.float32)
TEXTS = ("raise your left arm", "bend the right knee slightly and lean forward", "put both hands on your head")


@pytest.fixture(scope="module")
def index() -> PoseIndex:
    return PoseIndex.of(JOINTS)


@pytest.mark.parametrize("text", TEXTS)
def test_the_best_of_the_full_scan_are_found(index: PoseIndex, text: str) -> None:
    query = PoseQuery.of(text, Measured.one(JOINTS[7]))
    full = rank(text, JOINTS[7], JOINTS)
    rows, scores = index.search(query, 10, depth=300)
    np.testing.assert_allclose(scores, full[rows], atol=1e-3)
    assert len(np.intersect1d(rows, np.argsort(-full)[:10])) >= 9


def test_blocks_and_threads_change_nothing(index: PoseIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    query = PoseQuery.of(TEXTS[2], Measured.one(JOINTS[7]))
    whole = index.candidates(query, 200)
    monkeypatch.setattr(pose_index, "BLOCK", 700)
    np.testing.assert_array_equal(PoseIndex.of(JOINTS).candidates(query, 200), whole)


def test_states_are_searched_without_a_reference(index: PoseIndex) -> None:
    query = PoseQuery.of("hands on the hips")
    _, scores = index.search(query, 5, depth=300)
    np.testing.assert_allclose(
        scores, np.sort(query.scores(Measured(index._measured_rows(slice(None)).poses)))[::-1][:5], atol=1e-3
    )


@pytest.mark.parametrize("step", [3, 9])
def test_only_allowed_rows_are_found(index: PoseIndex, step: int) -> None:
    allowed = np.zeros(len(JOINTS), bool)
    allowed[::step] = True
    query = PoseQuery.of(TEXTS[2], Measured.one(JOINTS[7]))
    rows, _ = index.search(query, 10, allowed, depth=150)
    assert len(rows) == 10 and allowed[rows].all()
    full = np.where(allowed, rank(TEXTS[2], JOINTS[7], JOINTS), -np.inf)
    assert len(np.intersect1d(rows, np.argsort(-full)[:10])) >= 9


def test_features_are_those_of_the_poses_themselves(index: PoseIndex) -> None:
    features = [
        ("surface-gap", "hand", "left", "knee", "right"), ("gap", "foot"), ("aim", "up", "arm", "left", "chest"),
        ("before", "hand", "left", "torso", "none"), ("floor", "foot", "right"), ("tilt", "shin", "left"),
    ]  # fmt: skip
    poses = Poses(JOINTS)
    for feature, values in index._measured_columns(features).items():
        np.testing.assert_allclose(
            values, np.nan_to_num(poses.feature(feature)), atol=1e-3 if "aim" not in feature else 0.1
        )


def test_few_allowed_rows(index: PoseIndex) -> None:
    few = np.arange(len(JOINTS)) < 4
    assert sorted(index.search(PoseQuery.of(TEXTS[0], Measured.one(JOINTS[7])), 10, few)[0]) == [0, 1, 2, 3]


def test_files_say_what_they_were_made_from(tmp_path: Path) -> None:
    doubts = np.full((200, 22), 0.05, np.float32)
    assert PoseIndex.open(tmp_path, "7") is None
    written = PoseIndex.write(tmp_path, JOINTS[:200], doubts, "7")
    opened = PoseIndex.open(tmp_path, "7")
    assert opened is not None and isinstance(opened.poses, np.memmap)
    query = PoseQuery.of(TEXTS[0], Measured.one(JOINTS[7]))
    for found in (written, opened):
        np.testing.assert_array_equal(found.search(query, 9, depth=40)[0], opened.search(query, 9, depth=40)[0])
    assert PoseIndex.open(tmp_path, "8") is None
    (tmp_path / "coordinates.npy").write_bytes(b"no array")
    with pytest.raises(StorageError, match="cannot be read"):
        PoseIndex.open(tmp_path, "7")
