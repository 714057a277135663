"""Settings for all tests."""

from hypothesis import settings

# machines differ and share their cores: an example's time says nothing about the code
settings.register_profile("autocompose", deadline=None)
settings.load_profile("autocompose")
