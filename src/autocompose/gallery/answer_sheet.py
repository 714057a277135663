"""The contact sheet of an answer: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from autocompose.core.files import write_text
from autocompose.gallery.indexing.thumbs import read_thumb, thumb_bytes
from autocompose.gallery.item import Item
from autocompose.gallery.query import Answer
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.pages import render


def write_sheet(gallery: Gallery, answer: Answer, path: Path | None = None) -> Path:
    """Write reference, text and results with their scores.

    :param path: default: a new file in the temporary folder.
    """
    if path is None:
        path = Path(tempfile.mkdtemp(prefix="autocompose-")) / "results.html"
    pictures = {hit.item.id: _data(gallery, hit.item) for hit in answer.hits}
    start = answer.reference
    reference = None
    if start and start.item:
        reference = _data(gallery, start.item)
    elif start and start.image:
        reference = _url(thumb_bytes(start.image))
    write_text(path, render("sheet.html", answer=answer, pictures=pictures, reference=reference))
    return path


def _data(gallery: Gallery, item: Item) -> str:
    """The item's thumbnail, cut to its box, as a data URL."""
    kept = None if item.box else read_thumb(gallery.folder, item.digest)
    return _url(kept or thumb_bytes(gallery.open_picture(item)))


def _url(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"
