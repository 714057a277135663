"""What is kept of a scene, and the figures of lifting."""

import numpy as np
import pytest

from autocompose.bodies.skeleton import SMPL22, mirror_order
from autocompose.core.records import Split
from autocompose.estimate.estimator import Estimator
from autocompose.prepare.bodycpr import clusters as bodycpr
from autocompose.prepare.bodycpr.bases import TEST_CLIPS, UNSEEN_FAMILIES, VAL_CLIPS
from autocompose.train.lifting import collect as module
from autocompose.train.lifting import cube_pictures
from autocompose.train.lifting.collect import collect, shard_path
from autocompose.train.lifting.cube_pictures import collect_cubes, cube_files
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


@pytest.mark.slow
def test_pictures_of_cubes_are_made_once_and_show_only_the_training_part(tmp_path, monkeypatch):
    monkeypatch.setattr(cube_pictures, "PRESET", bodycpr.PRESETS["full"].model_copy(update={"per_cluster": 1}))
    collect_cubes(tmp_path, 0, Estimator.load(), clusters=1)
    (path,) = cube_files(tmp_path)
    data = dict(np.load(path))
    assert data["joints"].shape == (8, 22, 3) and data["points"].shape == (8, 2, 39, 2)
    assert np.allclose(data["joints"], cube_pictures.pose_table(0, 1).joints, atol=1e-6)
    before = path.stat().st_mtime_ns
    collect_cubes(tmp_path, 0, Estimator.load(), clusters=1)
    assert path.stat().st_mtime_ns == before


def test_cubes_that_are_pictured_are_of_the_training_part():
    tasks = {task.number for task in bodycpr.tasks(cube_pictures.PRESET) if task.split is Split.TRAIN}
    table = cube_pictures.pose_table(3, clusters=2)
    assert set(table.columns["split"]) == {Split.TRAIN.value} and set(table.columns["body"].tolist()) <= tasks
    assert not {*table.columns["family"]} & {*UNSEEN_FAMILIES}
    assert not {*table.columns["sequence"]} & {*TEST_CLIPS, *VAL_CLIPS}


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
