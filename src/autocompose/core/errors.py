"""The exception tree.

Every error the program raises on purpose is an ``AutocomposeError``: one line that names the file or value,
what was expected, and the next step. The command line prints that line and exits with 2,
or with 1 where the work was done and nothing is left.

    AutocomposeError
    ├── InputError            a file or value that the user gave is wrong
    │   ├── CorpusError       a corpus breaks its format (carries the entries at fault)
    │   ├── ImageError        a picture cannot be opened
    │   ├── VideoError        a video cannot be opened
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

import re
from collections.abc import Sequence
from pathlib import Path

MAX_NAME, MAX_LINE = 300, 1800  # characters of a file name or value in a line, and of the line; no file name has 300


def one_line(text: str) -> str:
    """Text for one line of a terminal: what cannot be printed is escaped, the middle of what is very long left out.

    >>> one_line("a\\nb")
    'a\\\\nb'
    """
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return _middle_left_out(re.sub(rf"[^\s/]{{{MAX_NAME},}}", lambda word: _middle_left_out(word[0], MAX_NAME), text))


def _middle_left_out(text: str, limit: int = MAX_LINE) -> str:
    return text if len(text) <= limit else f"{text[: limit // 2]}...{text[3 - limit // 2 :]}"


class AutocomposeError(Exception):
    """Base of all errors that are meant for the user's eyes; its message is ``one_line``."""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class InputError(AutocomposeError):
    """A file or value that the user gave is wrong."""


class CorpusError(InputError):
    """A corpus breaks its format.

    :param entries: one line for each entry at fault, such as ``captions/test.json[12]: target x.png is missing``.
    """

    def __init__(self, message: str, entries: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.entries = tuple(map(one_line, entries))


class ImageError(InputError):
    """A picture cannot be opened or decoded."""


class VideoError(InputError):
    """A video cannot be opened or decoded."""


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
    """The work was done, but nothing remained; made by ``log.nothing_left``. The command line exits with 1."""


class DependencyError(AutocomposeError):
    """An optional package is missing."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package}; install it with: pip install 'autocompose[{extra}]'")


def missing_file(path: Path, what: str, remedy: str) -> InputError:
    """The one wording for a file that is not there."""
    return InputError(f"{path}: {what} not found; {remedy}")
