"""Settings for all tests."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# machines differ and share their cores: an example's time says nothing about the code
settings.register_profile("autocompose", deadline=None)
settings.load_profile("autocompose")


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
