"""Weight files as they lie about: what they are is read from them, nothing in them runs, and bad ones are one line."""

import argparse
import gzip
import io
import os
import pickle
import random
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from autocompose.core.errors import CheckpointError
from autocompose.model.weights.stand_ins import read_pickled
from autocompose.model.weights.weight_files import read_archive, read_safetensors

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.int64)}


def saved(value, legacy=False, protocol=2):
    buffer = io.BytesIO()
    torch.save(value, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return buffer.getvalue()


class OwnState(dict):
    """A class that only its author has."""


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


LINEAR = torch.nn.Sequential(OrderedDict(a=torch.nn.Linear(3, 2), norm=torch.nn.BatchNorm1d(2)))
GOOD = {
    "numpy number": {"state_dict": TENSORS, "best": np.float64(0.5), "names": np.array(["a", None], object)},
    "options": {"state_dict": TENSORS, "args": argparse.Namespace(lr=1e-3)},
    "own class": {"state_dict": OwnState(TENSORS)},
    "defaultdict": {"state_dict": defaultdict(list, TENSORS)},
    "parameters": {"state_dict": {k: torch.nn.Parameter(v, False) for k, v in TENSORS.items()}, "args": OwnState()},
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", GOOD)
def test_tensors_are_read_and_the_rest_is_left_out(tmp_path, name, legacy):
    (tmp_path / "w.pt").write_bytes(saved(GOOD[name], legacy))
    same(read_archive(tmp_path / "w.pt"), {f"state_dict.{k}": v for k, v in TENSORS.items()})


ARRAYS = {
    **{code: np.arange(6).reshape(2, 3).astype(code) for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")},
    "the other order of bytes": np.arange(6).astype(">f4"),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "axes exchanged": np.arange(24.0).reshape(2, 3, 4).transpose(0, 2, 1),
    "every second": np.arange(24.0)[::2],
    "empty": np.zeros((0, 3)),
    "no axes": np.array(3.5),
}
WRITERS = {
    **{f"torch.save, protocol {p}": lambda value, p=p: saved(value, protocol=p) for p in (2, 3, 4, 5)},
    "torch.save, older": lambda value: saved(value, legacy=True),
    **{f"pickle, protocol {p}": lambda value, p=p: pickle.dumps(value, p) for p in (2, 3, 4, 5)},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_arrays_of_numpy_become_tensors(tmp_path, writer):
    """numpy's own reader, which runs code, against ours."""
    (tmp_path / "w.pkl").write_bytes(WRITERS[writer]({"model": ARRAYS, "logit_scale": np.float32(2.5)}))
    wanted = {f"model.{k}": torch.from_numpy(v.astype(v.dtype.newbyteorder("="))) for k, v in ARRAYS.items()}
    same(read_archive(tmp_path / "w.pkl"), {**wanted, "logit_scale": torch.tensor(2.5)})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_plain_pickle_of_tensors(tmp_path, protocol):
    rows = torch.arange(24.0).view(4, 6)
    state = {**TENSORS, "rows": rows[1:3], "columns": rows[:, 2]}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"state_dict": state, "args": argparse.Namespace()}, protocol))
    same(read_archive(tmp_path / "w.pkl"), {f"state_dict.{k}": v for k, v in state.items()})


def test_an_array_of_other_bytes_than_its_shape_says(tmp_path):
    whole = pickle.dumps({"a": np.arange(4, dtype="u1")}, 2)
    assert whole.count(b"K\x04\x85") == 1  # its shape
    (tmp_path / "w.pkl").write_bytes(whole.replace(b"K\x04\x85", b"K\x05\x85"))
    with pytest.raises(CheckpointError, match=r"an array \(5,\) of uint8 has 4 bytes"):
        read_archive(tmp_path / "w.pkl")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_module_gives_its_state(tmp_path, legacy):
    (tmp_path / "w.pt").write_bytes(saved({"model": LINEAR}, legacy))
    same(read_archive(tmp_path / "w.pt"), {f"model.{k}": v for k, v in LINEAR.state_dict().items()})


@pytest.mark.parametrize("legacy", [False, True])
def test_stand_ins_read_what_torch_reads(tmp_path, legacy):
    """The plain way, torch's own reader, against ours, on every kind of number and on views of one storage."""
    base = torch.arange(24.0).view(4, 6)
    kinds = [
        torch.float16,
        torch.bfloat16,
        torch.float64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    ]
    tree = {str(kind): torch.arange(5).to(kind) for kind in kinds}
    tree |= {"rows": base[1:3], "columns": base[:, 2], "turned": base.T, "none": torch.empty(0), "one": base[3, 3]}
    (tmp_path / "w.pt").write_bytes(saved(tree, legacy))
    found, names = read_pickled(tmp_path / "w.pt")
    assert names == []
    same(found, torch.load(tmp_path / "w.pt", weights_only=True))


@pytest.mark.parametrize("name", ["w.pt", "W.PT", "w.bin", "W.SAFETENSORS", "w"])
@pytest.mark.parametrize("data", [save(TENSORS), saved(TENSORS), saved(TENSORS, legacy=True)])
def test_the_content_says_what_a_file_is_not_its_name(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    same(read_archive(tmp_path / name), TENSORS)


def test_a_shared_state_dict_is_found_once_and_shared_tensors_under_each_name(tmp_path):
    tied = {"a": TENSORS["b"], "b": TENSORS["b"]}
    (tmp_path / "w.pt").write_bytes(saved({"state_dict": tied, "model": tied}))
    same(read_archive(tmp_path / "w.pt"), {"state_dict.a": TENSORS["b"], "state_dict.b": TENSORS["b"]})


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 255000000\n"
PAGE = b"\n<!DOCTYPE html><html><head><title>Sign in</title></head><body>" + b"." * 600
BAD = {
    "pointer": (POINTER, "a Git LFS pointer, not the weights"),
    "page": (PAGE, "a web page, not the weights"),
    "answer": (b'{"error": "Repository not found"}', "a text file"),
    "words": (b"Entry not found", r"a text file \('Entry not found'"),
    "empty": (b"", "the file is empty"),
    "gzip": (gzip.compress(saved(TENSORS)), r"gzip\): unpack it first"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(100), "TensorFlow Lite"),
    "npz": (zipped(arr_dot_npy=b""), "arrays of numpy"),
    "zip": (zipped(model_dot_onnx=b""), r"a zip archive without weights \(model.onnx\)"),
    "cut": (saved(TENSORS)[:-80], "the file is cut off"),
    "cut legacy": (saved(TENSORS, legacy=True)[:-8], "damaged or not a weight file"),
    "cut safetensors": (save(TENSORS)[:-8], "not a complete safetensors file"),
    "noise": (random.Random(0).randbytes(4000), "not a weight file"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_weight_file_says_what_it_is(tmp_path, name):
    content, words = BAD[name]
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"w\.pt: .*{words}") as caught:
        read_archive(tmp_path / "w.pt")
    assert str(caught.value).count("w.pt") == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["pointer", "page", "empty", "cut safetensors"])
def test_the_weights_of_a_run_folder_say_so_too(tmp_path, name):
    content, words = BAD[name]
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: .*{words}"):
        read_safetensors(tmp_path / "model.safetensors")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "w.pt").write_bytes(b"x")

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("autocompose.model.weights.weight_files._holds_safetensors", refused)
    with pytest.raises(CheckpointError, match=r"w\.pt: cannot be read \(Permission denied\)"):
        read_archive(tmp_path / "w.pt")


def test_few_bytes_do_not_become_a_large_tensor(tmp_path):
    (tmp_path / "w.pt").write_bytes(saved({"a": torch.ones(1).expand(10_000_000)}))
    with pytest.raises(CheckpointError, match="a has 10,000,000 numbers, more than the file contains"):
        read_archive(tmp_path / "w.pt")


class Call:
    """Pickled as a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("call", [(os.system, ("touch RAN",)), (eval, ("open('RAN', 'w')",)), (open, ("RAN", "w"))])
def test_nothing_in_a_file_runs(tmp_path, monkeypatch, call, legacy):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").write_bytes(saved({"a": TENSORS["b"], "b": Call(*call), Call(*call): 1}, legacy))
    same(read_archive(tmp_path / "w.pt"), {"a": TENSORS["b"]})
    assert [p.name for p in tmp_path.iterdir()] == ["w.pt"]


def test_nested_without_end_and_in_circles(tmp_path):
    circle = {"a": TENSORS["b"], "options": argparse.Namespace()}
    circle["again"] = circle
    (tmp_path / "w.pt").write_bytes(saved(circle))
    same(read_archive(tmp_path / "w.pt"), {"a": TENSORS["b"]})
    deep = {"a": TENSORS["b"]}
    for _ in range(200):
        deep = {"x": deep}
    (tmp_path / "w.pt").write_bytes(saved(deep))
    assert len(read_archive(tmp_path / "w.pt")) == 1


@pytest.mark.parametrize("start", ["torch", "legacy", "numpy", "pickle", "safetensors"])
def test_damaged_files_give_tensors_or_one_line(tmp_path, start):
    """Changed bytes, cuts and insertions, seeded: no other exception."""
    mixed = {"state_dict": TENSORS, "best": np.float64(1), "args": argparse.Namespace(a=1)}
    whole = {
        "torch": saved(TENSORS),
        "legacy": saved(mixed, legacy=True),
        "numpy": saved(mixed | {"array": np.arange(6.0)}),
        "pickle": pickle.dumps(mixed | {"array": np.arange(6.0)}),
        "safetensors": save(TENSORS),
    }[start]
    chance, path, refused = random.Random(start), tmp_path / "w.pt", 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            kind = chance.random()
            if kind < 0.7:
                data[place] = chance.randrange(256)
            elif kind < 0.85:
                del data[place : place + chance.randint(1, 40)]
            else:
                data[place:place] = chance.randbytes(chance.randint(1, 8))
        path.write_bytes(data)
        try:
            read_archive(path)
        except CheckpointError as error:
            refused += 1
            assert str(error).startswith(str(path))
    assert refused > 10


def test_safetensors_with_an_upper_case_ending(tmp_path):
    save_file(TENSORS, tmp_path / "W.SAFETENSORS")
    same(read_safetensors(tmp_path / "W.SAFETENSORS"), TENSORS)
