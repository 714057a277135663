"""2,000 motion files with damage: each is read or refused with one line; none hangs, crashes or takes much memory."""

from __future__ import annotations

import io
import pickle
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import InputError
from autocompose.prepare.motion import clips as motion
from autocompose.prepare.motion.clips import read_joints
from autocompose.prepare.motion.smpl import read_sequence
from tests.fixtures.bvh import write_dialect
from tests.fixtures.bvh_dialects import DIALECTS
from tests.fixtures.damage import damaged_bytes

FILES = 400  # of each of the five kinds
LONGEST = 20  # seconds for one file, far above what any takes
MEMORY = 1_000_000  # kilobytes that all of them together may add to this process
_POSES = np.random.default_rng(0).normal(0, 0.2, (12, 66)).astype(np.float32)


def bvh(folder: Path) -> bytes:
    write_dialect(folder / "whole.bvh", DIALECTS["Perception Neuron"], frames=6)
    return (folder / "whole.bvh").read_bytes()


def npz(folder: Path) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, poses=_POSES, mocap_framerate=120.0, gender="neutral")
    return buffer.getvalue()


def packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, joints=_POSES.reshape(12, 22, 3) + np.arange(22)[:, None], fps=30)
    return buffer.getvalue()


def pkl(folder: Path) -> bytes:
    return pickle.dumps({"smpl_poses": _POSES, "smpl_scaling": np.array([90.0]), "x": np.array([None, {}])}, protocol=2)


def npy(folder: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, {"poses": _POSES, b"fps": 30}, allow_pickle=True)  # type: ignore[arg-type]
    return buffer.getvalue()


KINDS: dict[str, tuple[Callable[[Path], bytes], Callable[[Path], object]]] = {
    "bvh": (bvh, lambda path: motion._bvh(path, "y")),
    "npz": (npz, read_sequence),
    "joints.npz": (packed, read_joints),
    "pkl": (pkl, read_sequence),
    "npy": (npy, read_sequence),
}


@contextmanager
def no_hang(what: str) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"{what}: still reading after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_line_or_nothing(tmp_path: Path, kind: str) -> None:
    make, read = KINDS[kind]
    whole, rng = make(tmp_path), np.random.default_rng(7)
    path = tmp_path / f"a.{kind}"
    path.write_bytes(whole)
    read(path)
    before, refused = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    for number in range(FILES):
        path.write_bytes(damaged_bytes(whole, rng))
        try:
            with no_hang(f"{kind} {number}"):
                read(path)
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 2500, (number, str(error))
    assert refused > FILES / 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
