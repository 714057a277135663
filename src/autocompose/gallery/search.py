"""Searching a gallery: one function behind the command line, Python, the REST interface and the web page."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from autocompose.core.errors import GalleryError, InputError
from autocompose.core.files import file_hash
from autocompose.core.log import say
from autocompose.core.reading.plain import cause, unreadable
from autocompose.core.several import several
from autocompose.corpus.pictures.folder import PictureFolder, is_address
from autocompose.corpus.pictures.gate import FILES, Bounds, as_rgb, open_image
from autocompose.estimate.people_finder import Finder, PeopleFinder
from autocompose.gallery.answer import Answer, Hit, Reference
from autocompose.gallery.crops import MAX_SIDE, SEARCHED_SIDE, Crop, detected_people, prominent, shrink
from autocompose.gallery.gallery_folder import GalleryConfig, finder_for, model_for, open_store, read_config
from autocompose.gallery.item import Item, NotThereError, is_key, key_to_id
from autocompose.gallery.moments.clips import AROUND, Clip, clips
from autocompose.gallery.moments.frames import frame_picture
from autocompose.gallery.moments.video_record import read_record
from autocompose.gallery.query_vector import QueryVector, VectorCache
from autocompose.gallery.rank import Ranking
from autocompose.gallery.request import Engine, SearchRequest, Sides, Step
from autocompose.gallery.storage.store import Store
from autocompose.gallery.understand import own_sides, understand
from autocompose.model.embedders.embedder import Embedder
from autocompose.model.embedders.naming import as_embedder, known_model

if TYPE_CHECKING:
    from autocompose.model.model import Model

log = logging.getLogger("autocompose.gallery")
Named = Item | Hit | int | str | Path
"""Anything that identifies an item: itself, a hit, its id (number or 15 hex digits), or its picture's path."""
RENDERS_ONLY = (
    "The model has only seen rendered bodies. For photographs, use the engine symbolic, or index with a model "
    "trained on photographs (--model)."
)
EARLIER = "This gallery is of an earlier version: run index again, and people are found and their poses estimated."


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
        self._vectors = VectorCache()

    @classmethod
    def open(cls, folder: str | Path, model: Embedder | Model | str | Path | None = None) -> Gallery:
        """Open a gallery for searching.

        :param model: a loaded one, or what names it (see ``open_embedder``); default: the one that it was
            made with.
        :raises GalleryError: not a gallery, damaged, or made with another model.
        """
        folder = Path(folder)
        config = read_config(folder)
        if config is None:
            raise GalleryError(
                f"{folder}: not a gallery (no gallery.json); make one with: autocompose index PICTURES {folder}"
            )
        embedder: Embedder | None = None
        if isinstance(model, (str, Path)) or (model is None and known_model(config.model)):
            embedder = model_for(config, str(model or ""))
        elif model is not None:
            embedder = as_embedder(model)
        return cls(folder, config, open_store(folder, config), embedder)

    @classmethod
    def build(
        cls,
        pictures: str | Path,
        folder: str | Path | None = None,
        model: Embedder | Model | str | Path = "small",
        poses: bool | None = None,
        **options: Any,
    ) -> Gallery:
        """Make or update the gallery of a folder of pictures (or of a corpus), and open it.

        A second call embeds only pictures that are new or have changed. What was left out is printed, with reasons.

        :param folder: where the gallery lies; default: ``PICTURES-gallery``, beside the pictures.
        :param model: as for ``open``.
        :param poses: find people and estimate their poses; default: as before in this gallery, else yes.
        :param options: ``kind``, ``store``, ``processes``, ``people``, ``videos`` and ``sampling``, as for
            ``gallery.indexing.index.build``.
        :raises GalleryError: ``folder`` holds something else, or the gallery of another model; InputError: no pictures.
        """
        from autocompose.gallery.indexing.index import build

        if folder is None and is_address(pictures):
            raise InputError(f"{pictures}: name a folder for the gallery")
        beside = f"{Path(pictures).resolve().name}-gallery"
        out = Path(folder) if folder is not None else Path(pictures).with_name(beside)
        embedder = as_embedder(model)
        finder = finder_for(read_config(out), poses)
        say(build(pictures, embedder, out, model_name=embedder.name, finder=finder, **options).line())
        return cls.open(out, embedder)

    def __len__(self) -> int:
        """Number of items: pictures, or people in pictures."""
        return self.store.count()

    @cached_property
    def finder(self) -> Finder | None:
        """The people finder for external pictures; None if the gallery has no poses to compare with."""
        if not self.config.poses and not len(self.store.poses()):
            return None
        weights = Path(self.config.pose_weights)
        if self.config.pose_weights and not weights.is_file():
            log.warning("%s: pose weights not found; those of the package are used", weights)
        return PeopleFinder(weights if self.config.pose_weights and weights.is_file() else None)

    @property
    def absent(self) -> str:
        """The sentence about a gallery whose model cannot be opened."""
        return (
            f"{self.folder}: its model {self.config.model or '(none named)'} was not found; name it with --model, or "
            "index the pictures again into another folder"
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes for the user about this gallery, one line each."""
        foreign = self.store.poses().known < self.store.count()  # pictures that no program of ours has made
        card: Mapping[str, Any] = self.model.card if self.model else {}
        lines = (
            RENDERS_ONLY if foreign and made_for_renders(card) else "",
            EARLIER if foreign and self.config.poses is None else "",
        )
        return tuple(line for line in lines if line)

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    def item(self, which: Named) -> Item:
        """An item of the gallery, identified by a hit, an item, its id or key, or a picture's path.

        Of several people in one picture the first is taken, and of a video the first moment, or with ``#t=SECONDS``
        behind its path the nearest.

        :raises NotThereError: no such item.
        """
        items = self._find(which)
        if not items:
            raise _absent(which)
        return items[0]

    def _find(self, which: Named) -> list[Item]:
        if isinstance(which, (Item, Hit)):
            which = which.id if isinstance(which, Item) else which.item.id
        if not isinstance(which, (str, Path)):
            return self.store.get([index(which)])
        name = str(which)
        if is_key(name):
            return self.store.get([key_to_id(name)]) or self.named(name)
        return self.named(name) or self.named(_below(Path(which), Path(self.config.pictures)))

    def named(self, path: str) -> list[Item]:
        """The items of a picture or video by its path in the gallery, in order.

        :param path: may end in ``#t=SECONDS``: the nearest moment of a video comes first.
        """
        if items := self.store.find(path):
            return sorted(items, key=lambda item: item.moment.frame if item.moment else 0)
        name, mark, seconds = path.rpartition("#t=")
        if not mark or not re.fullmatch(r"\d{1,7}(\.\d{1,6})?", seconds, re.ASCII):
            return []
        moments = [(abs(item.moment.seconds - float(seconds)), item) for item in self.named(name) if item.moment]
        return [item for _, item in sorted(moments, key=lambda pair: pair[0])]

    def picture_path(self, item: Item) -> Path:
        """The picture or video file of an item.

        :raises GalleryError: it is gone, or no longer lies inside the picture folder.
        :raises InputError: the pictures are not on this machine.
        """
        root = self.pictures.path
        path = Path(os.path.realpath(root / item.path))
        if not path.is_relative_to(root.resolve()) or not os.path.isfile(path):
            raise GalleryError(f"{item.path}: the picture is no longer in {root}; run index again")
        return path

    @property
    def pictures(self) -> PictureFolder:
        """Where the pictures are."""
        return PictureFolder(self.config.pictures)

    def picture_content(self, item: Item) -> Path | bytes:
        """The picture file of an item, or its bytes when it is not on this machine.

        :raises GalleryError: it is gone, or cannot be read.
        """
        if not self.pictures.is_remote:
            return self.picture_path(item)
        try:
            return self.pictures.content(item.path)
        except OSError as error:
            raise GalleryError(f"{item.path}: {cause(error)} in {self.config.pictures}; run index again") from None

    def open_picture(self, item: Item) -> Image.Image:
        """The picture of an item, cropped to its box, RGB."""
        return shrink(self.whole_picture(item).crop(item.box)) if item.box else self.whole_picture(item, MAX_SIDE)

    def whole_picture(self, item: Item, side: int | None = None, bounds: Bounds = FILES) -> Image.Image:
        """The picture or frame that an item is in.

        :param side: all that is wanted of its longer side in pixels.
        """
        if item.moment:
            return frame_picture(self.picture_path(item), item.moment.seconds, side)
        return open_image(self.picture_content(item), side, bounds)

    def clips(self, answer: Answer, around: float = AROUND) -> list[Clip]:
        """The seconds around the moments of an answer, best first; pictures are left out.

        :param around: seconds before and after each.
        """

        def length(hit: Hit) -> tuple[float, float]:
            record = read_record(self.folder, hit.item.digest)
            return (record.rate, record.seconds + 1 / record.rate) if record else (25.0, math.inf)

        return clips(answer.hits, length, around)

    def reference(self, source: Named | Image.Image | Reference) -> Reference:
        """The reference from an item (by any of its names), a file, or a picture.

        :raises InputError: it is none of these.
        """
        if isinstance(source, Reference):
            return source
        if isinstance(source, Image.Image):
            return self.outside(as_rgb(source))
        if items := self._find(source):
            return self._inside(items[0])
        if not isinstance(source, (str, Path)) or (is_key(str(source)) and not os.path.isfile(source)):
            raise _absent(source)
        if not os.path.isfile(source):
            raise InputError(f"{str(source)[:200]}: neither a picture of the gallery nor a file; name one of them")
        try:
            digest = file_hash(Path(source))
        except OSError as error:
            raise unreadable(Path(source), error) from None
        return self.outside(open_image(Path(source), SEARCHED_SIDE), digest)

    def _inside(self, item: Item) -> Reference:
        unknown = "the pose of the reference is not known (index without --no-poses estimates it)"
        return Reference(
            load=lambda: self.open_picture(item), item=item, digest=item.digest, pose=item.pose, box=item.box,
            size=(item.width, item.height), why=Reference.why if item.searched else unknown,
        )  # fmt: skip

    def outside(self, picture: Image.Image, digest: str = "") -> Reference:
        """An external picture as a reference: its most prominent person, cropped, with their pose.

        :param picture: RGB, upright.
        """
        crop, why = Crop(None, shrink(picture)), "poses of pictures from elsewhere are not estimated in this gallery"
        try:
            if self.finder and self.config.poses:  # as its own pictures are
                crop, why = detected_people(picture, picture.size, self.finder)[0], Reference.why
            elif self.finder:
                crop, why = prominent(picture, self.finder), Reference.why
        except Exception as error:  # whatever goes wrong in the networks costs the pose, and nothing else
            log.warning("pose estimation failed (%s: %s)", type(error).__name__, error)
            why = "pose estimation failed on the reference picture"
        return Reference(
            load=lambda: crop.image, digest=digest, vector=self._vector(crop), pose=crop.pose, box=crop.box,
            size=picture.size, why=why,
        )  # fmt: skip

    def _vector(self, crop: Crop) -> np.ndarray | None:
        """The feature of a reference whose person the model need not look for again; None: it has to."""
        model, finder = self.model, self.finder
        if model is None or finder is None or crop.people is None or finder.fingerprint != model.finder:
            return None
        vector: np.ndarray = model.embed_people([crop.people])[0]
        return vector

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
        engine: Engine | str = Engine.AUTO,
        trail: Sequence[Step] = (),
    ) -> Answer:
        """Pictures like ``reference`` but with the change that ``text`` describes, best first.

        The reference and its duplicates are left out, and of pictures with equal content only one is shown.

        :param weight: of the text against the picture, 0 to 1; 0.5 = as the engine balances them.
        :param mirror: use the mirrored picture as the reference and swap left and right in the text.
        :param sides: whose left the text means.
        :param where: metadata column -> allowed value or values.
        :param like: items to come closer to, one or several, named as for ``item``; ``unlike``: to get away from (and
            not to show).
        :param engine: what ranks, see ``Engine``; the answer says which one did.
        :param trail: steps that came before, such as ``answer.trail``.
        :raises InputError: neither picture nor text, or a value out of range; GalleryError: no model to search with.
        """
        likes, unlikes = ([self.item(one).key for one in several(names)] for names in (like, unlike))
        values = {
            "text": text, "k": k, "weight": weight, "mirror": mirror, "sides": sides, "engine": engine,
            "where": [f"{column}={value}" for column, values in (where or {}).items() for value in several(values)],
            "like": likes, "unlike": unlikes, "trail": [step.entry for step in trail],
        }  # fmt: skip
        origin = None if reference is None else self.reference(reference)
        return self.answer(SearchRequest.parse(values, "search"), origin)

    def answer(self, request: SearchRequest, origin: Reference | None = None) -> Answer:
        """Answer a request.

        :param origin: its reference, where that is at hand; otherwise what ``request.ref`` names.
        :raises InputError: it asks for nothing, or names what is not there; GalleryError: no model to search with.
        """
        start = time.perf_counter()
        if origin is None and request.ref:
            origin = self.reference(request.ref)
        if origin is None and not request.text and not request.like:
            raise InputError("nothing to search for; give a reference picture, a text, or both")
        notes: list[str] = []
        used = own_sides(request.text, request.sides, origin.pose if origin else None, request.mirror, notes)
        absent = f"{self.absent}, or search with --engine symbolic"
        like, unlike = ([self.item(key).id for key in keys] for keys in (request.like, request.unlike))
        query = QueryVector(self.store, self.model, absent, request, origin, used, like, unlike, self._vectors)
        ranking = Ranking(self.store, request, origin, understand(request.text), query, notes)
        hits, engine, why = ranking.run()
        step = Step(origin.item.key if origin and origin.item else "", request.text)
        return Answer(
            hits, used, ranking.reading, origin, engine, why, (*notes, *self.remarks), (*request.steps, step),
            time.perf_counter() - start,
        )  # fmt: skip


def made_for_renders(card: Mapping[str, Any]) -> bool:
    """The model has seen rendered bodies only, by its card."""
    return card.get("pictures") == "renders" or card.get("made by") == "autocompose demo"


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
