"""Array files of strangers: what is read, what is refused with its true cause, and what it may cost."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from autocompose.core.errors import InputError
from autocompose.core.reading.arrays import ArrayFile


def test_every_kind_of_plain_array_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    arrays = {
        "c": np.arange(6.0).reshape(2, 3), "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["a", "ä"]), "bytes": np.array([b"a", b"bc"]), "scalar": np.array(3), "none": np.zeros((0, 3)),
    }  # fmt: skip
    for save in (np.savez, np.savez_compressed):
        save(path, **arrays)
        file = ArrayFile(path)
        assert list(file) == list(arrays) and not file.single
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)
            assert file[name].dtype == array.dtype and file[name].flags.writeable
    np.save(tmp_path / "a.npy", arrays["c"])
    single = ArrayFile(tmp_path / "a.npy")
    assert single.single and not single.pickled
    np.testing.assert_array_equal(single[""], arrays["c"])
    with pytest.raises(KeyError):
        file["other"]


CAUSES: dict[bytes, str] = {
    b"version https://git-lfs.github.com/spec/v1\n": "this is a Git LFS pointer",
    b"\x80\x04}q\x00.": "this is a pickle, not an npz; name it .pkl",
    b"<!DOCTYPE html><html>": "this is a web page or XML",
    b"\x89HDF\r\n\x1a\n": "this is an HDF5 file",
    b"": "damaged, truncated, or not an npz",
    b"hello": "damaged, truncated, or not an npz",
    b"PK\x03\x04": "damaged, truncated, or not an npz of plain arrays",
}


@pytest.mark.parametrize("content", CAUSES)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=CAUSES[content]):
        dict(ArrayFile(path))


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz: file not found"):
        ArrayFile(tmp_path / "none.npz")
    with pytest.raises(InputError, match="cannot be read"):
        ArrayFile(tmp_path)


def test_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, poses=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"a\.npz: not an npz of plain arrays: array 'poses' holds Python objects"):
        ArrayFile(path)["poses"]
    np.save(tmp_path / "b.npy", {"a": 1}, allow_pickle=True)  # type: ignore[arg-type]
    assert ArrayFile(tmp_path / "b.npy").pickled


def lying_npz(path: Path, shape: str, data: bytes) -> Path:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (63 - (len(text) + 10) % 64) + "\n"
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("joints.npy", header + data)
    return path


@pytest.mark.parametrize("shape", ["(1000000000000, 22, 3)", "(3,)", "(-1,)", "(1e9,)", "10", "(" * 90 + ")" * 90])
def test_lying_headers_cost_nothing(tmp_path: Path, shape: str) -> None:
    path = lying_npz(tmp_path / "a.npz", shape, b"\0" * 16)
    with pytest.raises(InputError, match=r"a\.npz: damaged"):
        ArrayFile(path)["joints"]


def test_archives_that_swell_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autocompose.core.reading.arrays.LARGEST", 1_000_000)
    path = lying_npz(tmp_path / "a.npz", "(1000000,)", bytes(8_000_000))
    with pytest.raises(InputError, match="bytes that claim to hold 8,000,1"):
        ArrayFile(path)


def test_damage_to_any_byte_is_an_error_of_ours_or_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, joints=np.random.default_rng(0).normal(size=(4, 22, 3)), names=np.array(list("abcd")))
    whole, refused = buffer.getvalue(), 0
    for place in range(0, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 0x5A
        (tmp_path / "a.npz").write_bytes(data)
        try:
            dict(ArrayFile(tmp_path / "a.npz"))
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > len(whole) / 10
