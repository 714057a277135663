from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

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


def test_bytes_for_texts_are_read_and_single_arrays_are_named(tmp_path: Path) -> None:
    path = tmp_path / "poses.npz"
    arrays = {"joints": np.zeros((2, 22, 3)), "yaw": np.zeros(2)}
    np.savez(path, names=np.array(["a.png", "ä.png".encode()], "S"), sequence=np.array([b"x", b"y"]), **arrays)
    table = PoseTable.load(path)
    assert table.names == ("a.png", "ä.png") and table.columns["sequence"].tolist() == ["x", "y"]
    np.savez(path, names=np.array(["a", "b"]), fps=30, **arrays)
    with pytest.raises(PoseError, match=r"poses\.npz: poses: column 'fps' is a single value, expected 2 rows"):
        PoseTable.load(path)
    np.savez(path, names=np.arange(2), **arrays)
    with pytest.raises(PoseError, match="names must be a list of texts, got int64"):
        PoseTable.load(path)
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 22, 3)))
    with pytest.raises(PoseError, match=r"it holds a single array \(numpy\.save\); use numpy\.savez"):
        PoseTable.load(path)
    PoseTable((), np.zeros((0, 22, 3)), np.zeros(0)).save(path)
    assert PoseTable.load(path).names == ()


def test_damaged_bytes_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "poses.npz"
    make_poses(NAMES).save(path)
    data = bytearray(path.read_bytes())
    with ZipFile(path) as archive:
        info = archive.getinfo("joints.npy")
    start = info.header_offset + 30 + len(info.filename) + 24
    for place in range(start, start + 20):
        data[place] ^= 0x5A
    path.write_bytes(data)
    with pytest.raises(PoseError, match=r"cannot be read as a pose file \(.*array 'joints'.*; write it again"):
        PoseTable.load(path)
