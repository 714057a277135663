"""Settings for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# machines differ and share their cores: an example's time says nothing about the code
settings.register_profile("autocompose", deadline=None)
settings.load_profile("autocompose")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model with random weights, small enough to save and load in a moment."""
    from autocompose.model.checkpoint import save_model
    from autocompose.model.combiner import Combiner
    from autocompose.model.encoder import Encoder
    from autocompose.model.model import Model
    from autocompose.model.small import SmallSizes, small_config

    sizes = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=32, text_width=32, text_layers=1, text_heads=2)
    encoder = Encoder(small_config(sizes))
    folder = tmp_path_factory.mktemp("run")
    save_model(folder, Model(encoder, Combiner(encoder.dim, 64, 64)))
    return folder


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    from tests.fixtures.embedders import siglip_folder

    return siglip_folder(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="session")
def st_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    from tests.fixtures.embedders import sentence_clip

    return sentence_clip(tmp_path_factory.mktemp("st-clip"))


@pytest.fixture(scope="session")
def st_joint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    from tests.fixtures.embedders import sentence_joint

    return sentence_joint(tmp_path_factory.mktemp("st-joint"))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of the hub, whatever the test does."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray of this machine, started once for all slow tests; in CI it must be there."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not os.environ.get("CI"):
        pytest.importorskip("ray.data", reason="ray is not installed (extra [ray])")
    import ray

    # more than the two workers need: pipelines that have something to read ask for a CPU for that, and wait for it
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
    yield
    ray.shutdown()
