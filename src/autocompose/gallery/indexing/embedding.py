"""From picture files to items with vectors: each file is decoded once, for the model, people and poses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from autocompose.core.errors import GalleryError, ImageError
from autocompose.core.log import track
from autocompose.core.reading.plain import cause
from autocompose.core.workers import each_with
from autocompose.corpus.pictures.folder import PictureFolder
from autocompose.corpus.pictures.gate import Picture
from autocompose.estimate.people_finder import Finder
from autocompose.gallery.crops import MAX_SIDE, SEARCHED_SIDE, Crop, detected_people, known_people
from autocompose.gallery.indexing.report import Report
from autocompose.gallery.indexing.scan import MediaFile
from autocompose.gallery.indexing.thumbs import thumb_bytes, write_thumb
from autocompose.gallery.item import Box, Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.storage.store import Store
from autocompose.model.embedders.embedder import Embedder, embed_pictures

BATCH = 64
OPENERS = 2  # threads that open pictures, on as many cores
SEARCHED_BATCH = 16  # when people are looked for, which takes longer: a killed run loses less
REFUSED = "the model's server refused the picture"
NOBODY, FAILED = "nobody was found; the picture stays whole", "pose estimation failed; the picture stays whole"

log = logging.getLogger("autocompose.index")


@dataclass(frozen=True)
class Job:
    """A picture to embed."""

    file: MediaFile
    digest: str


class Part(NamedTuple):
    """The outcome for one part of a picture.

    :param searched: by which finder, see ``MediaFile.searched_by``; "" when none has looked, or it failed.
    """

    box: Box | None
    pose: Pose | None
    searched: str


@dataclass(frozen=True)
class Source:
    """What a process needs to embed pictures.

    :param finder: None: people are not looked for.
    :param out: the gallery's folder; ``folder``: that the pictures' paths are relative to.
    :param features: path -> un-normalised feature ``(D,)`` of whole pictures that the model has embedded before.
    """

    model: Embedder
    finder: Finder | None
    out: Path
    folder: PictureFolder
    features: Mapping[str, np.ndarray] = field(default_factory=dict)

    def feature(self, job: Job, picture: Opened) -> np.ndarray | None:
        """``(1, D)`` of a picture that is one item and has been embedded before."""
        whole = [part.box for part in picture.parts] == [None]
        return self.features[job.file.path][None] if whole and job.file.path in self.features else None


@dataclass(frozen=True)
class Opened:
    """A decoded picture: its parts, what the model sees of each, and its thumbnail."""

    size: tuple[int, int]
    parts: list[Part]
    crops: list[Crop]
    thumb: bytes
    failed: bool = False


Outcome = str | tuple[Opened, np.ndarray]  # why not, or the picture (without pixels) and vectors (parts, D)


def embed_all(store: Store, jobs: list[Job], source: Source, processes: int, report: Report) -> set[int]:
    """Embed every different content once; the others get copies. Returns the ids that were put.

    Other processes embed; this one writes, batch by batch.
    """
    searched = source.finder.fingerprint if source.finder else ""
    first: dict[object, Job] = {}
    copies = []
    for job in jobs:
        same = first.setdefault((job.digest, job.file.boxes, job.file.asks), job)
        if same is not job or twins(store, job, searched):
            copies.append(job)
    skipped = {id(job) for job in copies}
    unique = [job for job in jobs if id(job) not in skipped]
    size = SEARCHED_BATCH if source.finder else BATCH
    batches = [unique[i : i + size] for i in range(0, len(unique), size)]
    put: set[int] = set()
    outcomes = each_with(source, _embed, batches, processes)
    for batch, results in zip(batches, track(outcomes, "indexing pictures", len(unique), len), strict=True):
        put |= _put(store, batch, results, source.out, report)
    for job in copies:
        put |= _copy(store, job, searched, report)
    return put


def _put(store: Store, batch: list[Job], results: list[Outcome], out: Path, report: Report) -> set[int]:
    items: list[Item] = []
    vectors = []
    for job, result in zip(batch, results, strict=True):
        if isinstance(result, str):
            report.tally.drop(result, job.file.path)
            continue
        opened, rows = result
        write_thumb(out, job.digest, opened.thumb)
        items += [_item(job, opened.size, part) for part in opened.parts]
        vectors.append(rows)
        report.tally.keep()
        _count(report, job.file.path, opened)
    if items:
        store.put(items, np.concatenate(vectors))
    report.embedded += len(items)
    return {item.id for item in items}


def _count(report: Report, path: str, opened: Opened) -> None:
    """The outcome of detecting people."""
    if opened.failed:
        report.people.drop(FAILED, path)
    elif opened.parts[0].searched:
        count = sum(part.pose is not None and part.pose.kind == "estimated" for part in opened.parts)
        report.persons += count
        if count:
            report.people.keep()
        else:
            report.people.drop(NOBODY, path)


def twins(store: Store, job: Job, searched: str) -> list[Item]:
    """Items of the same content that hold all that embedding the job would give, in the order of its people."""
    return job.file.current(store.get(store.same_picture(job.digest)), searched)


def _copy(store: Store, job: Job, searched: str, report: Report) -> set[int]:
    same = twins(store, job, searched)
    if not same:  # the first of its kind could not be read
        report.tally.drop("copy of an unreadable picture", job.file.path)
        return set()
    items = [_item(job, (old.width, old.height), Part(old.box, old.pose, old.searched)) for old in same]
    store.put(items, store.vectors([old.id for old in same]))
    report.copied += len(items)
    report.tally.keep()
    return {item.id for item in items}


def _item(job: Job, size: tuple[int, int], part: Part) -> Item:
    file, known = job.file, job.file.pose(part.box)
    pose, searched = (known, "") if known else (part.pose, part.searched)
    return Item(
        file.path, job.digest, file.size, file.mtime_ns, *size, part.box, file.meta, pose, searched
    )  # fmt: skip


def _embed(source: Source, batch: Sequence[Job]) -> list[Outcome]:
    import torch

    with ThreadPoolExecutor(min(OPENERS, torch.get_num_threads())) as pool:  # people are looked for in these threads
        opened = list(pool.map(lambda job: _open(job, source), batch))
    known = [None if isinstance(p, str) else source.feature(job, p) for job, p in zip(batch, opened, strict=True)]
    new = [p for p, feature in zip(opened, known, strict=True) if feature is None and not isinstance(p, str)]
    vectors, refused = embed_crops(source, [crop for picture in new for crop in picture.crops])
    results: list[Outcome] = []
    row = 0
    for job, picture, feature in zip(batch, opened, known, strict=True):
        if isinstance(picture, str):
            results.append(picture)
            continue
        if feature is not None:
            results.append((replace(picture, crops=[]), feature))
            continue
        rows = range(row, row + len(picture.parts))
        if why := next((refused[i] for i in rows if i in refused), ""):
            log.warning("%s: %s (%s)", job.file.path, REFUSED, why)
            results.append(REFUSED)
        else:
            results.append((replace(picture, crops=[]), vectors[rows.start : rows.stop]))
        row = rows.stop
    return results


def embed_crops(source: Source, crops: Sequence[Crop]) -> tuple[np.ndarray, dict[int, str]]:
    """Features ``(N, D)``, and row -> why there are none, whose rows are NaN.

    A model that shares the source's finder gets the people it detected, so that no picture is searched twice.
    """
    model, finder = source.model, source.finder
    shares = finder is not None and finder.fingerprint == model.finder
    people = {row: crop.people for row, crop in enumerate(crops) if shares and crop.people is not None}
    rows = [row for row in range(len(crops)) if row not in people]
    vectors, refused = embed_pictures(model, [crops[row].image for row in rows])
    if not people:
        return vectors, refused
    features = np.empty((len(crops), model.dim), np.float32)
    features[list(people)] = model.embed_people(list(people.values()))
    if rows:
        features[rows] = vectors
    return features, {rows[row]: why for row, why in refused.items()}


def _open(job: Job, source: Source) -> str | Opened:
    boxes = job.file.boxes
    side = None if any(boxes) else SEARCHED_SIDE if source.finder else MAX_SIDE
    try:
        with Picture(source.folder.content(job.file.path)) as file:
            size = file.size
            if any(box and (box[2] > size[0] or box[3] > size[1]) for box in boxes):
                return "box outside the picture"
            picture = file.decode(side)
    except ImageError:
        return "unreadable picture"
    except OSError as error:  # it could be read a moment ago: nothing is known about the picture
        raise GalleryError(f"{job.file.path}: {cause(error)}; run the same command again, it continues") from None
    thumb, finder = thumb_bytes(picture), source.finder if job.file.asks else None
    searched = job.file.searched_by(finder.fingerprint) if finder else ""
    try:
        return _opened(size, _crops(job.file, picture, size, finder), searched, thumb)
    except Exception as error:  # whatever goes wrong in the networks costs this picture its pose, and nothing else
        log.warning("%s: pose estimation failed (%s: %s)", job.file.path, type(error).__name__, error)
        return replace(_opened(size, _crops(job.file, picture, size, None), "", thumb), failed=True)


def _opened(size: tuple[int, int], crops: list[Crop], searched: str, thumb: bytes) -> Opened:
    parts = [Part(crop.box, crop.pose, searched) for crop in crops]
    return Opened(size, parts, crops, thumb)


def _crops(file: MediaFile, picture: Image.Image, size: tuple[int, int], finder: Finder | None) -> list[Crop]:
    if file.open and finder:
        return detected_people(picture, size, finder)
    return known_people(picture, file.people, finder)
