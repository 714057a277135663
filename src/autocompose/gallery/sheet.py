"""The contact sheet of an answer: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from autocompose.core.store import write_text
from autocompose.gallery.item import Item
from autocompose.gallery.query import Answer
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.pages import render
from autocompose.gallery.thumbs import thumb_bytes, thumb_path


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
    file = thumb_path(gallery.folder, item.digest)
    if item.box is None and file.exists():
        return _url(file.read_bytes())
    return _url(thumb_bytes(gallery.open_picture(item)))


def _url(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"
