"""Pictures to show in a browser."""

from __future__ import annotations

import io

from PIL import Image

from autocompose.corpus.pictures.transforms import bare

LARGE_SIDE = 1600


def jpeg_bytes(picture: Image.Image) -> bytes:
    """JPEG bytes of a picture without its metadata, its longer side at most 1,600 px."""
    large = bare(picture)
    large.thumbnail((LARGE_SIDE, LARGE_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
