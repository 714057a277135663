"""Uploaded references: checked by content, re-encoded without metadata, kept for an hour, never part of the gallery."""

from __future__ import annotations

import hashlib
import io
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.core.errors import ImageError, InputError
from autocompose.core.files import write_bytes, write_npz
from autocompose.corpus.pictures.formats import picture_format
from autocompose.corpus.pictures.gate import Bounds, OversizeError, Picture, bare, open_image
from autocompose.gallery.answer import Reference
from autocompose.gallery.crops import MAX_SIDE, shrink
from autocompose.gallery.item import NotThereError
from autocompose.gallery.pose import Pose
from autocompose.model.embedders.embedder import Embedder

FORMATS = ("JPEG", "PNG", "WEBP")  # JPEG opens the MPO files of phones too
MAX_BYTES = 32 << 20
BOUNDS = Bounds(pixels=64_000_000, data=MAX_BYTES, work=800_000_000, kinds=FORMATS, patience=20.0)
MIN_SIDE = 8
KEEP_SECONDS = 3600
KEEP_FILES = 500
POSE = ("joints", "uncertainty", "landmarks")
GONE = "the uploaded picture is no longer kept; choose it again"


class RefusedUploadError(InputError):
    """A rejected upload, with the HTTP status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Uploads:
    """A folder of uploads that all workers of a server share; it is emptied when the server stops."""

    folder: Path

    def add(
        self, data: bytes, model: Embedder, outside: Callable[[Image.Image, str], Reference]
    ) -> tuple[str, Reference]:
        """Accept a picture: decode it, detect people and embed it, once.

        :param outside: finds the person in the picture, as ``Gallery.outside``.
        :return: its key, which nobody can guess, and the reference that it is.
        :raises RefusedUploadError: too large, not a picture of an accepted format, or damaged.
        """
        picture = decode(data)
        self.tidy()
        key = f"u-{secrets.token_hex(16)}"
        buffer = io.BytesIO()
        bare(picture).save(buffer, "JPEG", quality=92)
        seen = outside(picture, hashlib.sha256(data).hexdigest())
        if seen.vector is None:
            seen = replace(seen, vector=model.embed_images([seen.load()])[0])
        write_npz(self.path(key).with_suffix(".npz"), _arrays(seen))
        write_bytes(self.path(key), buffer.getvalue())
        return key, seen

    def path(self, key: str) -> Path:
        """The JPEG file of an upload.

        :raises NotThereError: not a key.
        """
        if not re.fullmatch(r"u-[0-9a-f]{32}", key):
            raise NotThereError("this upload does not exist; choose the picture again")
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
        self.read(key)
        try:
            with np.load(self.path(key).with_suffix(".npz"), allow_pickle=False) as file:
                values = dict(file)
        except FileNotFoundError:
            raise NotThereError(GONE) from None
        box = tuple(values["box"].tolist()) if "box" in values else None
        pose = Pose(*(values.get(name) for name in POSE)) if "joints" in values else None  # type: ignore[arg-type]

        def load() -> Image.Image:
            picture = open_image(self.read(key))
            return shrink(picture.crop(box)) if box else picture

        return Reference(
            load=load, digest=str(values["digest"]), vector=values["vector"], pose=pose, box=box,
            size=tuple(values["size"].tolist()), why=str(values["why"]),
        )  # fmt: skip

    def tidy(self) -> None:
        """Delete expired and excess uploads, and half-written files of killed processes.

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


def _arrays(seen: Reference) -> dict[str, np.ndarray]:
    """A reference without its picture, for an npz file."""
    assert seen.vector is not None and seen.size is not None
    arrays = {
        "vector": seen.vector, "digest": np.array(seen.digest), "size": np.array(seen.size), "why": np.array(seen.why)
    }  # fmt: skip
    if seen.box:
        arrays["box"] = np.array(seen.box)
    if seen.pose:
        values = {name: getattr(seen.pose, name) for name in POSE}
        arrays |= {name: value for name, value in values.items() if value is not None}
    return arrays


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
