"""Uploaded references: checked by content, re-encoded without metadata, kept for an hour, never part of the gallery."""

from __future__ import annotations

import hashlib
import io
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.core.errors import ImageError, InputError
from autocompose.core.files import write_bytes, write_npz
from autocompose.corpus.pictures.formats import picture_format
from autocompose.corpus.pictures.gate import Bounds, OversizeError, Picture, bare, open_image
from autocompose.gallery.embedder import Embedder
from autocompose.gallery.indexing.index import MAX_SIDE
from autocompose.gallery.item import NotThereError
from autocompose.gallery.query import Reference

FORMATS = ("JPEG", "PNG", "WEBP")  # JPEG opens the MPO files of phones too
MAX_BYTES = 32 << 20
BOUNDS = Bounds(pixels=64_000_000, data=MAX_BYTES, work=800_000_000, kinds=FORMATS, patience=20.0)
MIN_SIDE = 8
KEEP_SECONDS = 3600
KEEP_FILES = 500
GONE = "the uploaded picture is no longer kept; choose it again"


class RefusedUploadError(InputError):
    """An upload that is not taken, with the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Uploads:
    """A folder of uploads that all workers of a server share; it is emptied when the server stops."""

    folder: Path

    def add(self, data: bytes, model: Embedder) -> tuple[str, Image.Image]:
        """Take a picture; returns its key, which nobody can guess, and the picture as the model sees it.

        :raises RefusedUploadError: too large, not a picture of an accepted format, or damaged.
        """
        picture = decode(data)
        self.tidy()
        key = f"u-{secrets.token_hex(16)}"
        buffer = io.BytesIO()
        bare(picture).save(buffer, "JPEG", quality=92)
        vector = model.embed_images([picture])[0]
        digest = np.array(hashlib.sha256(data).hexdigest())
        write_npz(self.path(key).with_suffix(".npz"), {"vector": vector, "digest": digest})
        write_bytes(self.path(key), buffer.getvalue())
        return key, picture

    def path(self, key: str) -> Path:
        """The JPEG file of an upload.

        :raises NotThereError: not a key.
        """
        if not re.fullmatch(r"u-[0-9a-f]{32}", key):
            raise NotThereError("not an upload; choose the picture again")
        return self.folder / f"{key}.jpg"

    def read(self, key: str) -> bytes:
        """The JPEG bytes of an upload.

        :raises NotThereError: it is not there (any more).
        """
        path = self.path(key)
        try:
            if _age(path) <= KEEP_SECONDS:
                return path.read_bytes()
        except FileNotFoundError:
            pass
        raise NotThereError(GONE)

    def reference(self, key: str) -> Reference:
        """An upload as the reference of a query.

        :raises NotThereError: it is not there (any more).
        """
        image = open_image(self.read(key))
        try:
            with np.load(self.path(key).with_suffix(".npz"), allow_pickle=False) as file:
                return Reference(image=image, digest=str(file["digest"]), vector=file["vector"])
        except FileNotFoundError:
            raise NotThereError(GONE) from None

    def tidy(self) -> None:
        """Delete what is too old or too many, and what a killed process has left half-written.

        Other processes may do the same at the same time.
        """
        ages: list[tuple[float, Path]] = []
        for path in self.folder.iterdir():
            if re.fullmatch(r"\.?u-[0-9a-f]{32}\.(jpg|npz)(\..*part)?", path.name):
                with suppress(FileNotFoundError):
                    ages.append((_age(path), path))
        stems = {path.stem: age for age, path in sorted(ages, reverse=True) if path.suffix == ".jpg"}
        many = set(sorted(stems, key=lambda stem: stems[stem])[KEEP_FILES:])
        for age, path in ages:
            if age > KEEP_SECONDS or path.stem in many:
                path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Seconds since a file was written."""
    return time.time() - path.stat().st_mtime


def decode(data: bytes) -> Image.Image:
    """Bytes of a JPEG, PNG or WebP file -> upright RGB picture, at most 1,024 px on the longer side.

    Size and structure are checked before anything is decoded.

    :raises RefusedUploadError: with status 413 (too large) or 415 (not a picture, or damaged).
    :raises BusyError: no memory for it for now.
    """
    if len(data) > MAX_BYTES:
        raise RefusedUploadError(413, f"the file has {len(data) >> 20} MB; the maximum is {MAX_BYTES >> 20} MB")
    if picture_format(data[:64])[0] not in FORMATS:
        raise RefusedUploadError(415, "this is not a JPEG, PNG or WebP picture")
    try:
        with Picture(data, BOUNDS) as picture:
            if min(picture.size) < MIN_SIDE:
                width, height = picture.size
                raise RefusedUploadError(415, f"the picture has only {width} x {height} pixels")
            return picture.decode(MAX_SIDE)
    except ImageError as error:
        raise RefusedUploadError(413 if isinstance(error, OversizeError) else 415, str(error)) from None
