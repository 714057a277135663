"""The networks are in memory once, whoever asks for them."""

import pickle
import shutil
import threading

import pytest
import torch

from autocompose.estimate import people_finder
from autocompose.estimate.estimator import Estimator
from autocompose.estimate.people_finder import PeopleFinder, shared_finder
from autocompose.estimate.weights import SHIPPED
from autocompose.model.small2.pose_net import PoseNet, PoseSizes


@pytest.fixture
def loads(monkeypatch):
    """The weight files that are read while a test runs, and nothing in memory before it."""
    files, load = [], Estimator.load
    monkeypatch.setattr(Estimator, "load", lambda weights=None: files.append(weights) or load(weights))
    people_finder._loaded.cache_clear()
    yield files
    people_finder._loaded.cache_clear()


def test_the_index_and_the_model_share_the_networks(loads):
    finders = [PeopleFinder(), PeopleFinder(), shared_finder(), pickle.loads(pickle.dumps(PeopleFinder()))]
    PoseNet(PoseSizes(), 32, 8).trunk(torch.zeros(1, 3, 32, 32))
    assert len({id(finder.estimator) for finder in finders}) == 1
    assert loads == [None]


def test_threads_load_once(loads):
    finder = PeopleFinder()
    threads = [threading.Thread(target=lambda: finder.estimator) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [None]


def test_a_changed_weight_file_is_read_again(loads, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "weights.safetensors"
    shutil.copy(SHIPPED, path)
    before = PeopleFinder(path)
    tensors = load_file(path)
    save_file({k: v + 1 for k, v in tensors.items()}, path, {"network": "full"})
    after = PeopleFinder(path)
    assert loads == [path, path]
    assert before.estimator is not after.estimator and before.fingerprint != after.fingerprint
