"""Experiment trackers, through accelerate; none by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from autocompose.core.errors import DependencyError, InputError

PROJECT = "autocompose"
RUN_NAME = {"mlflow": "run_name", "trackio": "name", "wandb": "name"}  # comet names runs itself


class Tracker(Protocol):
    """The interface of a tracker."""

    def log(self, values: dict[str, Any], step: int) -> None:
        """Record the metrics of an epoch."""

    def finish(self) -> None:
        """Flush and close."""


def open_tracker(kind: str, folder: Path, run: str) -> Tracker | None:
    """Start a tracker of one of accelerate's kinds, or None for ``none``.

    :param folder: tensorboard writes to its subfolder ``run``; the others name the run in their project after it.
    :raises DependencyError: accelerate or the tracker's package is not installed.
    :raises InputError: the tracker does not start: no login, no server.
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
    tracker_class = tracking.LOGGER_TYPE_TO_CLASS[kind]
    try:
        if tracker_class.requires_logging_directory:
            tracker = tracker_class(run, logging_dir=folder)
        else:
            tracker = tracker_class(PROJECT, **({RUN_NAME[kind]: folder.resolve().name} if kind in RUN_NAME else {}))
        if hasattr(tracker, "start"):
            tracker.start()
    except Exception as error:  # any exception of the tracker's package
        words = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"the tracker {kind} failed to start ({words}); --tracker none trains without one") from error
    return tracker


def _installed(kind: str) -> bool:
    from importlib.util import find_spec

    packages = {"tensorboard": ("tensorboard", "tensorboardX")}.get(kind, (kind,))
    return any(find_spec(package) for package in packages)
