"""The exception tree.

Every error the program raises on purpose is an ``AutocomposeError``: one line that names the file or value,
what was expected, and the next step. The command line prints that line and exits with 2,
or with 1 where the work was done and nothing is left.

    AutocomposeError
    ├── InputError            a file or value that the user gave is wrong
    │   ├── CorpusError       a corpus breaks its format (carries the entries at fault)
    │   ├── ImageError        a picture cannot be opened
    │   ├── PoseError         joints or rotations are unusable
    │   ├── ConfigError       unknown key, wrong type, out of range
    │   └── CheckpointError   weights do not fit, or are missing
    ├── StorageError          the disk is full, or a file cannot be written
    ├── NothingLeftError      the work was done, and nothing is left of it (exit code 1)
    ├── DependencyError       an optional package is not installed
    ├── BusyError             there is no room for the work now; the same request may pass later
    ├── AnnotationError       an MLLM endpoint or its journal
    └── GalleryError          a gallery index
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class AutocomposeError(Exception):
    """Base of all errors that are meant for the user's eyes."""


class InputError(AutocomposeError):
    """A file or value that the user gave is wrong."""


class CorpusError(InputError):
    """A corpus breaks its format.

    :param entries: one line for each entry at fault, such as ``captions/test.json[12]: target x.png is missing``.
    """

    def __init__(self, message: str, entries: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.entries = tuple(entries)


class ImageError(InputError):
    """A picture cannot be opened or decoded."""


class PoseError(InputError):
    """Joints or rotations are unusable: wrong count, NaN, zero-length bones, unknown skeleton."""


class ConfigError(InputError):
    """A setting is unknown, of the wrong type or out of range."""


class CheckpointError(InputError):
    """Weights are missing, unreadable or do not fit the model."""


class StorageError(AutocomposeError):
    """A file could not be written; existing output is untouched."""


class BusyError(AutocomposeError):
    """There is no room for the work now; the same request may pass later."""


class AnnotationError(AutocomposeError):
    """An MLLM endpoint, its answers or the journal failed."""


class GalleryError(AutocomposeError):
    """A gallery cannot be opened, built or searched."""


class NothingLeftError(AutocomposeError):
    """The work was done, but nothing is left of it; made by ``log.nothing_left``. The command line exits with 1."""


class DependencyError(AutocomposeError):
    """An optional package is missing."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package}; install it with: pip install 'autocompose[{extra}]'")


def missing_file(path: Path, what: str, remedy: str) -> InputError:
    """The one wording for a file that is not there."""
    return InputError(f"{path}: {what} not found; {remedy}")
