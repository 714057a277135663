"""Uploaded references: checked by content, re-encoded without metadata, kept for an hour, never part of the gallery."""

from __future__ import annotations

import hashlib
import io
import re
import secrets
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from autocompose.core.errors import InputError
from autocompose.core.files import write_bytes, write_npz
from autocompose.corpus.images import bare
from autocompose.gallery.embedder import Embedder
from autocompose.gallery.indexing.index import shrink
from autocompose.gallery.item import NotThereError
from autocompose.gallery.query import Reference

FORMATS = ("JPEG", "PNG", "WEBP")  # JPEG opens the MPO files of phones too
MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
MIN_SIDE = 8
KEEP_SECONDS = 3600
KEEP_FILES = 500
_decoding = threading.Semaphore(2)  # big pictures take much memory while they are decoded


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
        with _decoding:
            picture = decode(data)
        self._tidy()
        key = f"u-{secrets.token_hex(16)}"
        buffer = io.BytesIO()
        bare(picture).save(buffer, "JPEG", quality=92)
        vector = model.embed_images([picture])[0]
        digest = np.array(hashlib.sha256(data).hexdigest())
        write_npz(self.folder / f"{key}.npz", {"vector": vector, "digest": digest})
        write_bytes(self.path(key), buffer.getvalue())
        return key, picture

    def path(self, key: str) -> Path:
        """The JPEG file of an upload.

        :raises NotThereError: not a key.
        """
        if not re.fullmatch(r"u-[0-9a-f]{32}", key):
            raise NotThereError("not an upload; choose the picture again")
        return self.folder / f"{key}.jpg"

    def reference(self, key: str) -> Reference:
        """An upload as the reference of a query.

        :raises NotThereError: it is not there (any more).
        """
        path = self.path(key)
        try:
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
                vector, digest = file["vector"], str(file["digest"])
            image = Image.open(path).convert("RGB")
        except FileNotFoundError:
            raise NotThereError("the uploaded picture is no longer kept; choose it again") from None
        return Reference(image=image, digest=digest, vector=vector)

    def _tidy(self) -> None:
        """Remove what is too old or too many."""
        files = sorted(((p.stat().st_mtime, p) for p in self.folder.glob("u-*.jpg")), reverse=True)
        for number, (written, path) in enumerate(files):
            if number >= KEEP_FILES or time.time() - written > KEEP_SECONDS:
                path.unlink(missing_ok=True)
                path.with_suffix(".npz").unlink(missing_ok=True)


def decode(data: bytes) -> Image.Image:
    """Bytes of a JPEG, PNG or WebP file -> upright RGB picture, at most 1,024 px on the longer side.

    The size is read from the header and checked before anything is decoded.

    :raises RefusedUploadError: with status 413 (too large) or 415 (not a picture, or damaged).
    """
    if len(data) > MAX_BYTES:
        raise RefusedUploadError(413, f"the file has {len(data) >> 20} MB; at most {MAX_BYTES >> 20} MB are taken")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is lower
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    limit = f"at most {MAX_PIXELS // 1_000_000} megapixels are taken"
                    raise RefusedUploadError(413, f"the picture has {image.width} x {image.height} pixels; {limit}")
                if min(image.size) < MIN_SIDE:
                    raise RefusedUploadError(415, f"the picture has only {image.width} x {image.height} pixels")
                return shrink(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError:
        raise RefusedUploadError(415, "this is not a JPEG, PNG or WebP picture") from None
    except Image.DecompressionBombError:
        limit = f"at most {MAX_PIXELS // 1_000_000} megapixels are taken"
        raise RefusedUploadError(413, f"the picture has far too many pixels; {limit}") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise RefusedUploadError(415, f"the picture is damaged ({str(error)[:60]})") from None
