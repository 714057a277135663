from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import PoseError
from autocompose.corpus.poses import PoseTable
from tests.fixtures.corpora import make_poses

NAMES = [f"c{i:03d}/0.png" for i in range(5)]


def test_save_and_load(tmp_path: Path) -> None:
    table = make_poses(NAMES)
    table.save(tmp_path / "poses.npz")
    first = (tmp_path / "poses.npz").read_bytes()
    again = PoseTable.load(tmp_path / "poses.npz")
    assert again.names == tuple(NAMES) and list(again.columns) == ["cube"]
    np.testing.assert_array_equal(again.joints, table.joints)
    np.testing.assert_array_equal(again.columns["cube"], table.columns["cube"])
    again.save(tmp_path / "poses.npz")
    assert (tmp_path / "poses.npz").read_bytes() == first


def test_rows_are_found_by_name() -> None:
    table = make_poses(NAMES)
    assert table.rows([NAMES[3], NAMES[0]]).tolist() == [3, 0]
    with pytest.raises(PoseError, match=re.escape("x.png: no 3D pose in poses.npz (1 of 2 images lack one)")):
        table.rows([NAMES[0], "x.png"])


def test_shapes_are_checked() -> None:
    with pytest.raises(PoseError, match=re.escape("2 names need joints (2, 22, 3)")):
        PoseTable(("a", "b"), np.zeros((2, 24, 3)), np.zeros(2))
    with pytest.raises(PoseError, match="column 'cube' has 3 rows, expected 2"):
        PoseTable(("a", "b"), np.zeros((2, 22, 3)), np.zeros(2), {"cube": np.zeros(3)})


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "poses.npz"
    with pytest.raises(PoseError, match=r"poses.npz: file not found"):
        PoseTable.load(path)
    make_poses(NAMES).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(PoseError, match="cannot be read as a pose file"):
        PoseTable.load(path)
    np.savez(path, names=np.array(["a"]), joints=np.zeros((1, 22, 3)))
    with pytest.raises(PoseError, match=r"arrays \['yaw'\] are missing"):
        PoseTable.load(path)
    np.savez(path, names=np.array(["a"]), joints=np.full((1, 22, 3), "0.5"), yaw=np.zeros(1))
    with pytest.raises(PoseError, match=r"poses.npz: poses: joints must be numbers, got the type <U3"):
        PoseTable.load(path)
    np.savez(path, names=np.array([{"a": 1}], dtype=object), joints=np.zeros((1, 22, 3)), yaw=np.zeros(1))
    with pytest.raises(PoseError, match="cannot be read as a pose file"):
        PoseTable.load(path)


def test_a_header_that_promises_more_than_is_there_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "poses.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 22, 3)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("names.npy", header.getvalue() + bytes(64))
    with pytest.raises(PoseError, match=r"names.npy: promises \(1000000000, 22, 3\) x float64"):
        PoseTable.load(path)


def test_damaged_bytes_are_one_line_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "poses.npz"
    make_poses(NAMES).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 6):
            data[at] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            PoseTable.load(path)
        except PoseError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            refused += 1
    assert refused > 200
