import pytest

from autocompose.bodies.rendering.body import Body


@pytest.fixture(scope="session")
def body() -> Body:
    return Body()
