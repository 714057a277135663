"""What a gallery knows of a video: how far it has been indexed, and what its header says.

GALLERY/videos/DIGEST.json    one for each different video, named after its content
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from autocompose.core.errors import AutocomposeError
from autocompose.core.files import clear_parts, read_json, write_json

FOLDER = "videos"
_NAME = re.compile(r"[0-9a-f]{64}\.json")


@dataclass(frozen=True)
class VideoRecord:
    """How far a video has been indexed.

    :param made_from: what decides its items: model, networks, sampling. :param path: that was read.
    :param rate: mean frames a second. :param seconds: its length: by its header, in the end of what was decoded.
    :param codec: FFmpeg's name.
    :param done: it has been indexed to its end.
    :param frames: that were looked at; ``items``: that were made; ``people``: how many different ones; ``failed``:
        frames on which the networks failed.
    :param damage: what could not be read; "" = nothing.
    :param memory: where to continue, while it is not done.
    """

    made_from: str
    path: str
    rate: float
    seconds: float
    codec: str = ""
    done: bool = False
    frames: int = 0
    items: int = 0
    people: int = 0
    shots: int = 0
    failed: int = 0
    damage: str = ""
    memory: dict[str, Any] = field(default_factory=dict)

    def save(self, gallery: Path, digest: str) -> None:
        """Write it atomically; one that is done needs no memory."""
        write_json(_path(gallery, digest), asdict(replace(self, memory={}) if self.done else self), indent=None)


def read_record(gallery: Path, digest: str) -> VideoRecord | None:
    """The record of the video with this content; None when there is none, or it is not readable."""
    with suppress(AutocomposeError, TypeError):
        return VideoRecord(**read_json(_path(gallery, digest), dict))
    return None


def sweep_records(gallery: Path, digests: set[str]) -> None:
    """Remove the records of all other videos; files of other names are not ours."""
    for path in (gallery / FOLDER).glob("*.json"):
        if _NAME.fullmatch(path.name) and path.stem not in digests:
            path.unlink(missing_ok=True)
    if (gallery / FOLDER).is_dir():
        clear_parts(gallery / FOLDER)


def _path(gallery: Path, digest: str) -> Path:
    return gallery / FOLDER / f"{digest}.json"
