"""Searching a gallery: one function behind the command line, Python, the REST interface and the web page."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from autocompose.core.errors import GalleryError, InputError
from autocompose.core.files import file_hash
from autocompose.core.log import say
from autocompose.core.reading.plain import unreadable
from autocompose.core.several import several
from autocompose.corpus.pictures.gate import as_rgb, open_image
from autocompose.gallery.embedder import Embedder
from autocompose.gallery.gallery_folder import GalleryConfig, open_store, read_config
from autocompose.gallery.indexing.index import MAX_SIDE, shrink
from autocompose.gallery.item import Item, NotThereError, is_key, key_to_id
from autocompose.gallery.loaded_model import as_embedder
from autocompose.gallery.query import Answer, Engine, Hit, Reference, Sides, Step
from autocompose.gallery.rank import Ranking, own_sides
from autocompose.gallery.storage.store import Store
from autocompose.gallery.understand import understand

if TYPE_CHECKING:
    from autocompose.model.model import Model

MAX_K = 500
Named = Item | Hit | int | str | Path
"""Whatever names an item: itself, a hit, its id (number or 15 hexadecimal digits), or its picture's path."""


class Gallery:
    """An open gallery. Threads may share it.

    :param store: where the items are.
    :param model: the model that the gallery was made with; None searches by pose only.
    """

    def __init__(self, folder: Path, config: GalleryConfig, store: Store, model: Embedder | None) -> None:
        if model is not None and model.fingerprint != config.fingerprint:
            raise GalleryError(
                f"{folder}: made with model {config.model or '?'} ({config.fingerprint}), not with this one "
                f"({model.fingerprint}); search with that model, or index the pictures again into another folder"
            )
        self.folder, self.config, self.store, self.model = Path(folder), config, store, model

    @classmethod
    def open(cls, folder: str | Path, model: Embedder | Model | str | Path | None = None) -> Gallery:
        """Open a gallery for searching.

        :param model: run folder or loaded model; default: the run folder the gallery was made with.
        :raises GalleryError: not a gallery, damaged, or made with another model.
        """
        folder = Path(folder)
        config = read_config(folder)
        if config is None:
            raise GalleryError(
                f"{folder}: not a gallery (no gallery.json); make one with: "
                f"autocompose index PICTURES --model RUN {folder}"
            )
        if model is None and config.model and Path(config.model, "model.json").exists():
            model = config.model
        return cls(folder, config, open_store(folder, config), None if model is None else as_embedder(model))

    @classmethod
    def build(
        cls,
        pictures: str | Path,
        folder: str | Path | None = None,
        model: Embedder | Model | str | Path = "small",
        **options: Any,
    ) -> Gallery:
        """Make or update the gallery of a folder of pictures (or of a corpus), and open it.

        A second call embeds only pictures that are new or have changed. What was left out is printed, with reasons.

        :param folder: where the gallery lies; default: ``PICTURES-gallery``, beside the pictures.
        :param model: run folder, ``small``, or a loaded model.
        :param options: ``kind``, ``store``, ``processes`` and ``people``, as for ``gallery.indexing.index.build``.
        :raises GalleryError: ``folder`` holds something else, or the gallery of another model; InputError: no pictures.
        """
        from autocompose.gallery.indexing.index import build

        pictures = Path(pictures)
        out = Path(folder) if folder is not None else pictures.with_name(f"{pictures.resolve().name}-gallery")
        embedder = as_embedder(model)
        say(build(pictures, embedder, out, model_folder=getattr(embedder, "folder", None), **options).line())
        return cls.open(out, embedder)

    def __len__(self) -> int:
        """How many items there are: pictures, or people in pictures."""
        return self.store.count()

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    def item(self, which: Named) -> Item:
        """An item of the gallery, by whatever names it: a hit, an item, its id or key, or a picture's path.

        Of several people in one picture the first is taken.

        :raises NotThereError: no such item.
        """
        found = self._find(which)
        if not found:
            raise _absent(which)
        return found[0]

    def _find(self, which: Named) -> list[Item]:
        if isinstance(which, (Item, Hit)):
            which = which.id if isinstance(which, Item) else which.item.id
        if not isinstance(which, (str, Path)):
            return self.store.get([index(which)])
        name = str(which)
        if is_key(name):
            return self.store.get([key_to_id(name)]) or self.store.find(name)
        return self.store.find(name) or self.store.find(_below(Path(which), Path(self.config.pictures)))

    def picture_path(self, item: Item) -> Path:
        """The picture file of an item.

        :raises GalleryError: it is gone, or no longer lies inside the picture folder.
        """
        root = Path(self.config.pictures)
        path = Path(os.path.realpath(root / item.path))
        if not path.is_relative_to(root.resolve()) or not os.path.isfile(path):
            raise GalleryError(f"{item.path}: the picture is no longer in {root}; run index again")
        return path

    def open_picture(self, item: Item) -> Image.Image:
        """The picture of an item, cut to its box, RGB."""
        path = self.picture_path(item)
        return shrink(open_image(path).crop(item.box)) if item.box else open_image(path, MAX_SIDE)

    def reference(self, source: Named | Image.Image | Reference) -> Reference:
        """Whatever names a picture -> the reference: an item by any of its names, a file, or a picture.

        :raises InputError: it is none of these.
        """
        if isinstance(source, Reference):
            return source
        if isinstance(source, Image.Image):
            return Reference(image=shrink(as_rgb(source)))
        if found := self._find(source):
            return Reference(item=found[0], digest=found[0].digest)
        if not isinstance(source, (str, Path)) or (is_key(str(source)) and not os.path.isfile(source)):
            raise _absent(source)
        if not os.path.isfile(source):
            raise InputError(f"{str(source)[:200]}: neither a picture of the gallery nor a file; name one of them")
        try:
            digest = file_hash(Path(source))
        except OSError as error:
            raise unreadable(Path(source), error) from None
        return Reference(image=open_image(Path(source), MAX_SIDE), digest=digest)

    def search(
        self,
        text: str = "",
        *,
        reference: Named | Image.Image | Reference | None = None,
        k: int = 20,
        weight: float = 0.5,
        mirror: bool = False,
        sides: Sides | str = Sides.OWN,
        where: Mapping[str, str | Sequence[str]] | None = None,
        like: Named | Sequence[Named] = (),
        unlike: Named | Sequence[Named] = (),
        engine: Engine | str = Engine.LEARNED,
        trail: Sequence[Step] = (),
    ) -> Answer:
        """Pictures like ``reference`` but with the change that ``text`` asks for, best first.

        The reference and its duplicates are left out, and of pictures with equal content only one is shown.

        :param weight: of the text against the picture, 0 to 1; 0.5 = as the model composes them.
        :param mirror: start from the mirrored picture and exchange left and right in the text.
        :param sides: whose left the text means.
        :param where: metadata column -> allowed value or values.
        :param like: items to come closer to, one or several, named as for ``item``; ``unlike``: to get away from (and
            not to show).
        :param trail: steps that came before, such as ``answer.trail``.
        :raises InputError: neither picture nor text, or a value out of range; GalleryError: no model to search with.
        """
        start = time.perf_counter()
        if not 1 <= k <= MAX_K or not 0 <= weight <= 1:
            raise InputError(f"k = {k}, weight = {weight}: expected 1 to {MAX_K} results and a weight from 0 to 1")
        origin = None if reference is None else self.reference(reference)
        text = " ".join(text.split())
        likes, unlikes = (tuple(self.item(one).key for one in several(names)) for names in (like, unlike))
        allowed = {column: tuple(several(values)) for column, values in (where or {}).items()}
        if origin is None and not text and not likes:
            raise InputError("nothing to search for; give a reference picture, a text, or both")
        notes: list[str] = []
        used = own_sides(text, Sides(sides), origin, mirror, notes)
        search = Ranking(self, origin, used, weight, mirror, allowed, likes, unlikes, notes)
        hits = search.run(Engine(engine), k)
        step = Step(origin.item.key if origin and origin.item else "", text)
        reading = understand(text)
        return Answer(hits, used, reading, origin, tuple(notes), (*trail, step), time.perf_counter() - start)


def _absent(which: Named) -> NotThereError:
    shown = which.item.path if isinstance(which, Hit) else which.path if isinstance(which, Item) else which
    return NotThereError(
        f"{shown}: not in the gallery (any more); take an item id or a picture's path from a search result"
    )


def _below(path: Path, root: Path) -> str:
    """The item path of a file inside the picture folder, else ""."""
    try:
        path = Path(os.path.realpath(path))
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else ""
    except (OSError, ValueError):  # no possible name of a file
        return ""
