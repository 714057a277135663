"""What exports and imports of any format share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autocompose.core.errors import CorpusError, ImageError
from autocompose.core.files import write_bytes
from autocompose.core.reading.plain import cause
from autocompose.core.records import Split
from autocompose.corpus.format import Corpus
from autocompose.corpus.names import name_fault


def split_pictures(corpus: Corpus, split: Split) -> dict[str, bool]:
    """Names of the pictures that a split needs, gallery first and in its order -> is it in the gallery?"""
    names = dict.fromkeys(corpus.galleries[split], True)
    for pair in corpus.pairs[split]:
        for name in (pair.reference, pair.target, *pair.img_set):
            names.setdefault(name, False)
    return names


def picture_bytes(corpus: Corpus, name: str) -> bytes:
    """A picture file as it is.

    :raises ImageError: it cannot be read.
    """
    path = corpus.image_path(name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {cause(error)}; an export needs every picture") from None


class Arrivals:
    """What an import collects: pictures go to the disk at once, pairs and galleries stay in memory."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.pairs: dict[Split, list[dict[str, Any]]] = {}
        self.galleries: dict[Split, list[str]] = {}
        self._there: set[str] = set()

    def start(self, split: Split) -> None:
        """Announce a split."""
        self.pairs.setdefault(split, [])
        self.galleries.setdefault(split, [])

    def picture(self, split: Split, name: str, data: bytes, in_gallery: bool) -> None:
        """Take one picture.

        :raises CorpusError: the name would leave the picture folder.
        """
        fault = name_fault(name)
        if fault:
            raise CorpusError(f"picture name {name!r} {fault}; the export is damaged or hostile and was not imported")
        if name not in self._there:  # splits share pictures; files of an import that was cut short are written again
            write_bytes(self.out / "images" / name, data)
            self._there.add(name)
        if in_gallery:
            self.galleries[split].append(name)
