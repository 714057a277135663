"""The contact sheet of an answer: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from pathlib import Path

from autocompose.core.cache import writable_cache
from autocompose.core.files import value_hash, write_text
from autocompose.core.run_folder import PAGE_MARK, require_ours
from autocompose.gallery.answer import Answer
from autocompose.gallery.indexing.thumbs import read_thumb, thumb_bytes
from autocompose.gallery.item import Item
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.pages import render


def write_sheet(gallery: Gallery, answer: Answer, path: Path | None = None) -> Path:
    """Write reference, text and results with their scores.

    :param path: default: a file in the cache folder, one for each gallery, which the next answer replaces.
    """
    if path is None:
        path = _page_of(gallery.folder)
    else:
        require_ours(path, PAGE_MARK)
    pictures = {hit.item.id: _data(gallery, hit.item) for hit in answer.hits}
    start = answer.reference
    reference = None
    if start and start.item:
        reference = _data(gallery, start.item)
    elif start:
        reference = _url(thumb_bytes(start.load()))
    write_text(path, render("sheet.html", answer=answer, pictures=pictures, reference=reference))
    return path


def _page_of(folder: Path) -> Path:
    """Path of the page; only the user can read it."""
    path = writable_cache() / "sheets" / f"{value_hash(str(folder.resolve()))[:16]}.html"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return path


def _data(gallery: Gallery, item: Item) -> str:
    """The item's thumbnail, cut to its box, as a data URL."""
    kept = None if item.box else read_thumb(gallery.folder, item.content)
    return _url(kept or thumb_bytes(gallery.open_picture(item)))


def _url(webp: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"
