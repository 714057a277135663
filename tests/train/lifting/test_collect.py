"""What is kept of a scene, and the figures of lifting."""

import numpy as np
import pytest

from autocompose.bodies.skeleton import SMPL22, mirror_order
from autocompose.estimate.estimator import Estimator
from autocompose.train.lifting import collect as module
from autocompose.train.lifting.collect import collect, shard_path
from autocompose.train.lifting.figures import _aligned, exchanged


@pytest.mark.slow
def test_a_file_is_made_once_and_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GROUPS", 1)
    estimator = Estimator.load()
    collect(tmp_path, 0, estimator)
    data = dict(np.load(shard_path(tmp_path, 0)))
    assert data["joints"].shape == (8, 22, 3) and data["points"].shape == (8, 2, 39, 2)
    assert data["row"].tolist() == list(range(8))
    before = shard_path(tmp_path, 0).stat().st_mtime_ns
    collect(tmp_path, 0, estimator)
    assert shard_path(tmp_path, 0).stat().st_mtime_ns == before
    collect(tmp_path / "again", 0, estimator)  # after kill -9 the same file is made again
    again = dict(np.load(shard_path(tmp_path / "again", 0)))
    assert all(np.array_equal(data[key], again[key]) for key in data)


def test_alignment_undoes_a_similarity():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4, 22, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    assert np.allclose(_aligned(1.7 * true @ turn + 3, true), true)
    mirrored = true * [-1, 1, 1]
    assert np.linalg.norm(_aligned(mirrored, true) - true, axis=-1).mean() > 0.1


def test_exchanged_sides_are_seen():
    true = np.random.default_rng(0).normal(size=(2, 22, 3))
    found = true.copy()
    found[1] = true[1, mirror_order(SMPL22)]
    assert exchanged(found, true).tolist() == [False, True]
