"""A lazily loaded estimator that can be sent to other processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from PIL import Image

from autocompose.core.errors import CheckpointError, missing_file
from autocompose.core.files import file_hash, value_hash
from autocompose.estimate.estimator import Estimator, Person
from autocompose.estimate.lifting import SHIPPED as LIFTING
from autocompose.estimate.videos.following import follow
from autocompose.estimate.weights import SHIPPED as NETWORKS

METHOD = 2  # increment it when the same weights give other people or poses
_LOADING = threading.Lock()


class Finder(Protocol):
    """Finds people; equal fingerprints mean equal answers."""

    fingerprint: str

    def find(self, picture: Image.Image) -> list[Person]:
        """The people in an RGB picture, the most prominent first."""

    def follow(self, pictures: Sequence[Image.Image]) -> list[list[Person]]:
        """The people in each of successive frames of one shot; cheaper than to find them in every one."""


class PeopleFinder:
    """The estimator behind ``Finder``. Threads may share it; each process loads the networks once for all finders.

    :param weights: as for ``Estimator.load``; when named they are read at once, so that a wrong file is refused early.
    :raises CheckpointError: missing, damaged, or not one of ours.
    """

    def __init__(self, weights: Path | None = None) -> None:
        self.weights = Path(weights).resolve() if weights else None
        networks = self.weights or NETWORKS
        if not networks.is_file():
            raise CheckpointError(str(missing_file(networks, "pose weights", "leave --pose-weights out")))
        self._content = file_hash(networks)
        if self.weights:
            self.estimator  # noqa: B018  read now
        self.fingerprint = value_hash([METHOD, self._content, file_hash(LIFTING)])[:16]

    def __reduce__(self) -> tuple[Callable[[Path | None], PeopleFinder], tuple[Path | None]]:
        return shared_finder, (self.weights,)

    @property
    def estimator(self) -> Estimator:
        """The networks, which all finders of this process with these weights share."""
        with _LOADING:
            return _loaded(self.weights, self._content)

    def find(self, picture: Image.Image) -> list[Person]:
        """See ``Finder``."""
        return self.estimator.people([picture])[0]

    def follow(self, pictures: Sequence[Image.Image]) -> list[list[Person]]:
        """See ``Finder``."""
        return follow(self.estimator, pictures)


@lru_cache(2)
def _loaded(weights: Path | None, content: str) -> Estimator:
    """:param content: hash of the weight file; one that has changed is read again."""
    return Estimator.load(weights)


@lru_cache(2)
def shared_finder(weights: Path | None = None) -> PeopleFinder:
    """The finder of this process for these weights."""
    return PeopleFinder(weights)
