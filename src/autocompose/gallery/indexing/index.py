"""Building a gallery: only new, changed and removed pictures are processed, and a killed run continues."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from autocompose.core.errors import GalleryError, InputError
from autocompose.core.fingerprint import TICK_NS
from autocompose.core.log import Tally, track
from autocompose.core.run_folder import require_free
from autocompose.core.several import several
from autocompose.core.workers import each_with
from autocompose.corpus.pictures.folder import PictureFolder, is_address
from autocompose.estimate.people_finder import Finder
from autocompose.estimate.videos.sampling import Sampling
from autocompose.gallery.filter import matcher
from autocompose.gallery.gallery_folder import (
    GalleryConfig,
    forgotten,
    open_store,
    read_config,
    remember_forgotten,
    writer_lock,
)
from autocompose.gallery.indexing.embedding import Job, Source, embed_all
from autocompose.gallery.indexing.report import Report
from autocompose.gallery.indexing.scan import MediaFile, Scan, picture_root, scan
from autocompose.gallery.indexing.thumbs import sweep_thumbs
from autocompose.gallery.indexing.videos import VideoRun
from autocompose.gallery.item import Item
from autocompose.gallery.moments.video_record import sweep_records
from autocompose.gallery.storage.store import Store
from autocompose.gallery.storage.vectors import Kind
from autocompose.model.embedders.embedder import Embedder

SHARD = 256  # pictures that are read by one process at a time
READERS = 4  # threads of it


def build(
    pictures: str | Path,
    model: Embedder,
    out: Path,
    *,
    kind: Kind = "exact",
    store: str = "embedded",
    processes: int = 1,
    model_name: str | Path | None = None,
    people: Path | None = None,
    finder: Finder | None = None,
    videos: bool | None = None,
    sampling: Sampling | None = None,
    features: Mapping[str, np.ndarray] | None = None,
) -> Report:
    """Make or update the gallery ``out`` of all pictures and videos below ``pictures`` (a folder or a corpus).

    Inside ``core.ray_workers.on_ray`` the workers of Ray read and embed the pictures; this process writes, and watches
    the videos.

    :param pictures: may be an address that fsspec reads, of pictures only.
    :param model: must be picklable when ``processes`` > 1.
    :param store: ``embedded`` or ``qdrant://host:port/collection``.
    :param model_name: what names the model, so that the gallery finds it again.
    :param people: corpus whose poses tell where people are in the pictures; each becomes an item of its own. Default:
        that of the last run.
    :param finder: finds people and estimates their poses where neither is known; None: nobody is looked for.
    :param videos: whether videos are indexed, and :param sampling: which of their frames; None: as in the last run,
        else yes, and four a second.
    :param features: path below the picture folder -> un-normalised feature ``(D,)`` that the model gave to this very
        picture before.
    :raises GalleryError: another process is indexing; the gallery belongs to another model or folder; ``out`` holds
        something else than a gallery.
    :raises InputError: no picture or video was found.
    """
    report = Report(Tally("pictures"))
    picture_root(pictures)  # a slip leaves no folder behind
    if read_config(out) is None:
        try:
            require_free(out, "a gallery")
        except InputError as error:
            raise GalleryError(str(error)) from None
    began = time.time_ns()
    with writer_lock(out):
        config = _configure(pictures, model, Path(out), kind, store, model_name, people, finder)
        config = _with_videos(config, read_config(out), videos, sampling)
        scanned = scan(pictures, report.tally, Path(config.people) if config.people else None, config.videos)
        report.sides, report.videos = scanned.sides, scanned.moving
        if not scanned.pictures and not scanned.videos:
            counts = "; ".join(
                tally.line() for tally in (report.tally, report.videos) if tally.total or tally is report.tally
            )
            raise InputError(f"{pictures}: no pictures found ({counts}); the gallery was left as it is")
        config.save(Path(out))
        target = open_store(out, config, write=True)
        try:
            source = Source(model, finder, Path(out), PictureFolder(config.pictures), features or {})
            _update(target, scanned, source, config, processes, report)
            target.publish()
            config.model_copy(update={"indexed_ns": began}).save(Path(out))
        finally:
            target.close()
    return report


def _configure(
    pictures: str | Path, model: Embedder, out: Path, kind: Kind, store: str, model_name: str | Path | None,
    people: Path | None, finder: Finder | None,
) -> GalleryConfig:  # fmt: skip
    root, old = picture_root(pictures), read_config(out)
    if old and old.fingerprint != model.fingerprint:
        raise GalleryError(
            f"{out}: made with model {old.model or '?'} ({old.fingerprint}), not with {model_name or 'this one'} "
            f"({model.fingerprint}); name that model, or index the pictures again into another folder"
        )
    if old and PictureFolder(old.pictures) != root and (is_address(old.pictures) or Path(old.pictures).exists()):
        raise GalleryError(f"{out}: a gallery of {old.pictures}, not of {root.address}; choose another folder")
    if old and old.store != store:
        raise GalleryError(f"{out}: uses the store {old.store}, not {store}; choose another folder")
    dim = old.dim if old else model.dim
    return GalleryConfig(
        pictures=root.address,
        source=str(pictures) if root.is_remote else str(Path(pictures).resolve()),
        model=str(model_name or ""),
        model_options=model.settings,
        destination=model.destination if model.consent else "",
        fingerprint=model.fingerprint,
        dim=dim,
        store=store,
        index=kind,
        people=str(Path(people).resolve()) if people else old.people if old else "",
        poses=finder is not None,
        pose_weights=str(getattr(finder, "weights", None) or ""),
        indexed_ns=old.indexed_ns if old else 0,
    )


def _with_videos(
    config: GalleryConfig, old: GalleryConfig | None, videos: bool | None, sampling: Sampling | None
) -> GalleryConfig:
    if old and videos is None:
        videos = old.videos
    sampling = sampling or (old.sampling if old else Sampling())
    rate, change = sampling.rate, sampling.change
    return config.model_copy(update={"videos": videos is not False, "video_rate": rate, "video_change": change})


def _update(store: Store, scanned: Scan, source: Source, config: GalleryConfig, processes: int, report: Report) -> None:
    out, known = source.out, defaultdict[str, list[Item]](list)
    searched = source.finder.fingerprint if source.finder else ""
    for item in store.items():
        known[item.path].append(item)
    pictures = scanned.pictures
    new = [f for f in [*pictures, *scanned.videos] if not _settled(f, known.get(f.path, []), config.indexed_ns)]
    digests = _digests(new, source.folder, scanned)
    banned = forgotten(out)
    keep: set[int] = set()
    jobs, described = [], []
    for picture in pictures:
        if picture.path in scanned.blocked:
            continue
        old = known.get(picture.path, [])
        digest = digests.get(picture.path) or old[0].digest
        if digest in banned:
            report.tally.drop("deleted on request", picture.path)
        elif current := picture.current([i for i in old if i.digest == digest], searched):
            keep.update(i.id for i in current)
            described += [n for i in current if (n := _renew(i, picture, searched)) != i]
            report.tally.keep()
        else:
            jobs.append(Job(picture, digest))
    store.describe(described)
    report.described = len(described)
    report.unchanged = len(keep) - len(described)
    keep |= embed_all(store, jobs, source, processes, report)
    moving = _moving(scanned, digests, known, banned, report)
    keep |= VideoRun(store, source, config.sampling, known, processes, report).index(moving)
    left = [item for items in known.values() for item in items if item.id not in keep]
    gone = [item for item in left if not scanned.hides(item.path)]
    _remove(store, out, gone)
    report.removed, report.held = len(gone), len(left) - len(gone)


def _moving(
    scanned: Scan, digests: Mapping[str, str], known: Mapping[str, list[Item]], banned: set[str], report: Report
) -> list[Job]:
    """The videos that can be read and may be in the gallery."""
    jobs = []
    for video in scanned.videos:
        if video.path in scanned.blocked:
            continue
        job = Job(video, digests.get(video.path) or known[video.path][0].digest)
        if job.digest in banned:
            report.videos.drop("deleted on request", video.path)
        else:
            jobs.append(job)
    return jobs


def _settled(file: MediaFile, items: list[Item], indexed_ns: int) -> bool:
    """The items have the file's size and time of change, which lies at least a tick before they were last read."""
    same = all((i.size, i.mtime_ns) == (file.size, file.mtime_ns) for i in items)
    return bool(items) and same and file.mtime_ns + TICK_NS < indexed_ns


def _renew(item: Item, file: MediaFile, finder: str) -> Item:
    known = file.pose(item.box)
    pose, searched = (item.pose, item.searched) if finder and not known else (known, "")
    return replace(
        item, size=file.size, mtime_ns=file.mtime_ns, meta=file.meta, pose=pose, searched=searched
    )  # fmt: skip


def _digests(new: Sequence[MediaFile], folder: PictureFolder, scanned: Scan) -> dict[str, str]:
    """Path -> SHA-256 of the file; files that cannot be read are counted as blocked."""
    shards = [[file.path for file in new[i : i + SHARD]] for i in range(0, len(new), SHARD)]
    digests = {}
    results = track(each_with(folder, _read, shards), "reading pictures", len(new), len)
    for path, digest in zip((f.path for f in new), chain.from_iterable(results), strict=True):
        if isinstance(digest, OSError):
            scanned.block(path, "", digest)
        else:
            digests[path] = digest
    return digests


def _read(folder: PictureFolder, names: Sequence[str]) -> list[str | OSError]:
    """The digest of each picture, or why there is none."""

    def read(name: str) -> str | OSError:
        try:
            return folder.digest(name)
        except OSError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, names))


def _remove(store: Store, out: Path, items: Iterable[Item]) -> None:
    ids = {item.id for item in items}
    # Thumbnails first: a killed run must not leave the picture of somebody who is no longer in the store.
    left = [item for item in store.items() if item.id not in ids]
    sweep_thumbs(out, {item.content for item in left})
    sweep_records(out, {item.digest for item in left})
    store.remove(sorted(ids))


def forget(out: Path, entries: str | Sequence[str]) -> list[str]:
    """Delete pictures, and their duplicates, from gallery, vectors and thumbnails; indexing does not bring them back.

    The picture files themselves belong to the user and are left alone. Running servers notice with their next search.

    :param entries: each the path of a picture, or ``COLUMN=VALUE`` for all with that metadata, such as ``person=anna``.
    :return: the paths of the items that were deleted.
    :raises InputError: one of them matches nothing; then nothing is deleted.
    """
    config, entries = read_config(out), several(entries)
    if config is None:
        raise GalleryError(f"{out}: not a gallery (no gallery.json)")
    with writer_lock(out):
        store = open_store(out, config, write=True)
        try:
            items = list(store.items())
            named = {entry: {item.digest for item in items if _is_named(item, entry)} for entry in entries}
            if missing := [entry for entry, digests in named.items() if not digests]:
                expected = "a picture's path in the gallery, or COLUMN=VALUE"
                raise InputError(f"{out}: no picture is {', '.join(missing)} ({expected}); nothing was deleted")
            digests = set().union(*named.values())
            doomed = [item for item in items if item.digest in digests]
            remember_forgotten(out, digests)
            _remove(store, out, doomed)
            store.publish()
        finally:
            store.close()
    return sorted({item.path for item in doomed})


def _is_named(item: Item, entry: str) -> bool:
    column, sign, value = (part.strip() for part in entry.partition("="))
    return item.path == entry or (sign == "=" and column in item.meta and matcher(value)(item.meta[column]))
