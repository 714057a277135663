"""Thumbnails: one small picture for each different file, named after its content."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image

from autocompose.core.files import atomic_file, clear_parts
from autocompose.corpus.pictures.transforms import bare

SIDE = 384


def thumb_path(gallery: Path, digest: str) -> Path:
    """Where the thumbnail of a file with this SHA-256 lies."""
    return gallery / "thumbs" / digest[:2] / f"{digest}.webp"


def read_thumb(gallery: Path, digest: str) -> bytes | None:
    """The thumbnail of a file with this SHA-256; None when it is not there, or not whole (after a power cut)."""
    try:
        data = thumb_path(gallery, digest).read_bytes()
    except OSError:  # not there, or somebody else's
        return None
    return data if len(data) == 8 + int.from_bytes(data[4:8], "little") else None  # RIFF: its length is in its head


def write_thumb(gallery: Path, digest: str, data: bytes) -> None:
    """Write what ``thumb_bytes`` gave unless it is there.

    It does not wait for the disk, which for many small pictures would take longer than all the rest.
    """
    if read_thumb(gallery, digest) is None:
        with atomic_file(thumb_path(gallery, digest), durable=False) as file:
            file.write(data)


def thumb_bytes(picture: Image.Image) -> bytes:
    """WebP bytes of a picture, its longer side at most 384 px, without metadata."""
    small = bare(picture)
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82, method=2)
    return buffer.getvalue()


_THUMB = re.compile(r"thumbs/([0-9a-f]{2})/(\1[0-9a-f]{62})\.webp")


def is_thumb(name: str) -> bool:
    """The name, relative to a gallery, is one that ``thumb_path`` gives."""
    return _THUMB.fullmatch(name) is not None


def sweep_thumbs(gallery: Path, digests: set[str]) -> None:
    """Remove every thumbnail of other content, and what killed runs have left half-written; the rest is not ours."""
    for path in (gallery / "thumbs").glob("??/*.webp"):
        if is_thumb(path.relative_to(gallery).as_posix()) and path.stem not in digests:
            path.unlink(missing_ok=True)
    clear_parts(gallery / "thumbs")
