import pytest

from autocompose.bodies.body import Body


@pytest.fixture(scope="session")
def body() -> Body:
    return Body()
