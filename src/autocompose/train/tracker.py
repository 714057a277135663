"""Experiment trackers, through accelerate; none by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from autocompose.core.errors import DependencyError


class Tracker(Protocol):
    """What the loop needs of a tracker."""

    def log(self, values: dict[str, Any], step: int) -> None:
        """Record the numbers of an epoch."""

    def finish(self) -> None:
        """Flush and close."""


def open_tracker(kind: str, folder: Path, run: str) -> Tracker | None:
    """Start a tracker of one of accelerate's kinds, or None for ``none``.

    :param folder: local trackers write here.
    :param run: name of the run.
    :raises DependencyError: accelerate or the tracker's package is not installed.
    """
    if kind == "none":
        return None
    try:
        from accelerate import PartialState, tracking
    except ImportError:
        raise DependencyError("accelerate", "train", "a tracker") from None
    if not _installed(kind):
        raise DependencyError(kind, "train", f"the tracker {kind}")
    PartialState()
    found = tracking.LOGGER_TYPE_TO_CLASS[kind]
    tracker = found(run, logging_dir=folder) if found.requires_logging_directory else found(run)
    if hasattr(tracker, "start"):
        tracker.start()
    return tracker


def _installed(kind: str) -> bool:
    from importlib.util import find_spec

    packages = {"tensorboard": ("tensorboard", "tensorboardX")}.get(kind, (kind,))
    return any(find_spec(package) for package in packages)
