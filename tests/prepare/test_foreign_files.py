from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from autocompose.bodies.motion.bvh import read_bvh
from autocompose.core.errors import InputError
from autocompose.prepare.foreign_files import (
    archive_hint,
    array_of,
    as_texts,
    base_name,
    find_file,
    hdf5_row,
    hdf5_rows,
    open_hdf5,
    positive,
    read_npz,
    read_pickle,
)
from autocompose.prepare.motion.smpl import read_sequence
from tests.fixtures.motion import write_bvh


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    value = {
        "c": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "scalar": np.float32(3.5),
        "objects": np.array([{"x": 1}, None], dtype=object),
        "other": [1, "é", b"\xff\x00", (True, None)],
    }
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    read = read_pickle(path)
    for key in ("c", "f", "empty"):
        np.testing.assert_array_equal(read[key], value[key])
        assert read[key].dtype == value[key].dtype
    assert read["scalar"] == np.float32(3.5) and read["objects"][0] == {"x": 1} and read["other"] == value["other"]


class Evil:
    def __init__(self, call: Any, *args: Any) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.args


def test_pickles_never_run_code(tmp_path: Path) -> None:
    path, witness = tmp_path / "evil.pkl", tmp_path / "ran"
    for call, args in (
        (os.system, (f"touch {witness}",)),
        (eval, (f"open({str(witness)!r}, 'w')",)),
        (np.load, ("x",)),
    ):
        path.write_bytes(pickle.dumps({"keypoints3d": Evil(call, *args)}))
        with pytest.raises(InputError, match="refused"):
            read_pickle(path)
    assert not witness.exists()


@pytest.mark.parametrize("keep", [0, 1, 20, 100, -1])
def test_truncated_pickles_are_one_clear_error(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"smpl_poses": np.zeros((5, 72))})[:keep])
    with pytest.raises(InputError, match=r"a\.pkl: the pickle is damaged or truncated"):
        read_pickle(path)


def test_a_pickle_cannot_ask_for_huge_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.pkl"
    path.write_bytes(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000000\ntS'b'\ntR.")
    with pytest.raises(InputError, match="damaged"):
        read_pickle(path)


def test_npz_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, poses=np.zeros((3, 156)), mocap_framerate=120.0)
    assert read_npz(path, ("poses", "mocap_framerate"))["poses"].shape == (3, 156)
    with pytest.raises(InputError, match="no array 'trans'; there are mocap_framerate, poses"):
        read_npz(path, ("trans",))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="damaged, truncated"):
        read_npz(path, ("poses",))
    np.savez(path, poses=np.array([Evil(os.getcwd)], dtype=object))
    with pytest.raises(InputError, match="not an npz of plain arrays"):
        read_npz(path, ("poses",))
    with pytest.raises(InputError, match="file not found"):
        read_npz(tmp_path / "none.npz", ("poses",))


@pytest.mark.parametrize("kind", ["pkl", "npz", "compressed", "hdf5", "bvh"])
def test_random_damage_is_an_error_of_ours_or_nothing(tmp_path: Path, kind: str) -> None:
    """300 files with a few wrong bytes, half of them near the start, where the structure is."""
    path, poses = tmp_path / f"a.{kind}", np.random.default_rng(0).normal(size=(12, 66))
    read: Callable[[Path], object] = {"hdf5": read_hdf5, "bvh": read_bvh}.get(kind, read_sequence)
    if kind == "pkl":
        path.write_bytes(pickle.dumps({"poses": poses, "fps": 30}, protocol=2))
    elif kind == "bvh":
        write_bvh(path, poses.reshape(12, 22, 3) * 0.1)
    elif kind == "hdf5":
        with pytest.importorskip("h5py").File(path, "w") as file:
            file.create_dataset("img0", data=poses, compression="gzip")
    else:
        path = path.with_suffix(".npz")
        (np.savez if kind == "npz" else np.savez_compressed)(path, poses=poses, fps=30)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(300):
        data = bytearray(whole)
        top = len(data) if rng.random() < 0.5 else min(len(data), 400)
        for place in rng.integers(0, top, rng.integers(1, 5)):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            read(path)
        except InputError:
            refused += 1
    assert refused > 50


def read_hdf5(path: Path) -> None:
    with open_hdf5(path) as file:
        if hdf5_rows(file, "img0", path) > 3:
            hdf5_row(file, "img0", 3, path)


def test_scalars_and_arrays_of_any_kind() -> None:
    assert positive(np.array([60.0]), "fps") == positive(60, "fps") == 60.0
    for value in (0, -1, "x", [], None, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"fps = .*positive"):
            positive(value, "fps")
    with pytest.raises(InputError, match="poses: expected numbers"):
        array_of([[1, 2], [3]], "poses")


def test_truncated_hdf5(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["img0"] = np.zeros((50, 8, 8, 3), np.uint8)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match="truncated or not HDF5"), open_hdf5(path):
        pass


def test_finding_files_explains_archives(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder not found"):
        find_file(tmp_path / "no", "x.json", "things")
    with pytest.raises(InputError, match=r"x\.json \(things\) not found in"):
        find_file(tmp_path, "x.json", "things")
    with ZipFile(tmp_path / "release.zip", "w") as archive:
        archive.writestr("x.json", "{}")
    assert "unpack release.zip there first" in archive_hint(tmp_path)
    whole = (tmp_path / "release.zip").read_bytes()
    (tmp_path / "release.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"release\.zip is damaged or only half downloaded"):
        find_file(tmp_path, "x.json", "things")


def test_texts_and_names() -> None:
    assert as_texts(" two  words\n", "p") == ("two words",)
    assert as_texts(["a", "  ", "b"], "p") == ("a", "b")
    with pytest.raises(InputError, match="p: expected a text or a list of texts, got int"):
        as_texts(3, "p")
    assert base_name("C:\\a\\b.png") == base_name("/x/y/b.png") == base_name("b.png") == "b.png"
