"""Building a gallery: only new, changed and removed pictures are touched, and a killed run goes on where it was."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.core.errors import GalleryError, ImageError, InputError
from autocompose.core.files import file_hash
from autocompose.core.fingerprint import TICK_NS
from autocompose.core.log import Tally, track
from autocompose.core.run_folder import require_free
from autocompose.core.several import several
from autocompose.corpus.pictures.gate import Picture
from autocompose.gallery.embedder import Embedder
from autocompose.gallery.gallery_folder import (
    GalleryConfig,
    forgotten,
    open_store,
    read_config,
    remember_forgotten,
    writer_lock,
)
from autocompose.gallery.indexing.scan import Found, Scan, picture_root, scan
from autocompose.gallery.indexing.sidefiles import SideFile
from autocompose.gallery.indexing.thumbs import sweep_thumbs, write_thumb
from autocompose.gallery.item import Box, Item
from autocompose.gallery.storage.store import Store
from autocompose.gallery.storage.vectors import Kind
from autocompose.gallery.values import meant

BATCH = 64
NAMED = 5  # pictures that are named for each reason to leave them out
MAX_SIDE = 1024


@dataclass
class Report:
    """What one run of ``build`` did to items: embedded, copied from duplicates, described anew, removed, left alone.

    :param held: items that stay because their picture, or a folder above it, cannot be read now.
    :param sides: how the side files were used.
    """

    tally: Tally
    embedded: int = 0
    copied: int = 0
    described: int = 0
    removed: int = 0
    unchanged: int = 0
    held: int = 0
    sides: list[SideFile] = field(default_factory=list)

    def line(self) -> str:
        """For the console: what came in, a line with names for each reason to leave out, what was done to items."""
        counts = f"{self.embedded} embedded, {self.copied} copied from duplicates, {self.described} with new metadata"
        items = f"items: {counts}, {self.removed} removed, {self.unchanged} unchanged"
        if self.held:
            items += f", {self.held} kept though their pictures cannot be read now"
        lines = [self.tally.line(), *_left_out(self.tally)]
        for side in self.sides:
            if side.speaks:
                lines += [side.tally.line(), *_left_out(side.tally), *(f"  {note}" for note in side.notes)]
        return "\n".join([*lines, items])


def _left_out(tally: Tally) -> list[str]:
    """A line with names for each reason to leave something out."""
    named = {reason: names[:NAMED] for reason, names in tally.examples.items() if tally.dropped[reason]}
    return [
        f"  {reason}: {', '.join(names)}{' ...' if tally.dropped[reason] > len(names) else ''}"
        for reason, names in named.items()
    ]


@dataclass(frozen=True)
class _Job:
    """A picture to embed."""

    found: Found
    digest: str


def build(
    pictures: Path,
    model: Embedder,
    out: Path,
    *,
    kind: Kind = "exact",
    store: str = "embedded",
    processes: int = 1,
    model_folder: Path | None = None,
    people: Path | None = None,
) -> Report:
    """Make or update the gallery ``out`` of all pictures below ``pictures`` (a folder or a corpus).

    :param model: must be picklable when ``processes`` > 1.
    :param store: ``embedded`` or ``qdrant://host:port/collection``.
    :param people: corpus whose poses tell where people are in the pictures; each becomes an item of its own. Default:
        what the last run was told.
    :raises GalleryError: another process is indexing; the gallery belongs to another model or folder; ``out`` holds
        something else than a gallery.
    :raises InputError: no picture was found.
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
        config = _configure(pictures, model, Path(out), kind, store, model_folder, people)
        found = scan(pictures, report.tally, Path(config.people) if config.people else None)
        report.sides = found.sides
        if not found.found:
            raise InputError(f"{pictures}: no pictures found ({report.tally.line()}); the gallery was left as it is")
        config.save(Path(out))
        target = open_store(out, config, write=True)
        try:
            _update(target, found, model, Path(out), config, processes, report)
            target.publish()
            config.model_copy(update={"indexed_ns": began}).save(Path(out))
        finally:
            target.close()
    return report


def _configure(
    pictures: Path, model: Embedder, out: Path, kind: Kind, store: str, model_folder: Path | None, people: Path | None
) -> GalleryConfig:
    root, old = picture_root(pictures), read_config(out)
    if old and old.fingerprint != model.fingerprint:
        raise GalleryError(
            f"{out}: made with model {old.model or '?'} ({old.fingerprint}), not with {model_folder or 'this one'} "
            f"({model.fingerprint}); name that model, or index into another folder"
        )
    if old and Path(old.pictures) != root and Path(old.pictures).exists():
        raise GalleryError(f"{out}: a gallery of {old.pictures}, not of {root}; index into another folder")
    if old and old.store != store:
        raise GalleryError(f"{out}: lives in store {old.store}, not in {store}; index into another folder")
    dim = old.dim if old else model.embed_texts(["a person"]).shape[1]
    return GalleryConfig(
        pictures=str(root),
        source=str(Path(pictures).resolve()),
        model=str(Path(model_folder).resolve()) if model_folder else "",
        fingerprint=model.fingerprint,
        dim=dim,
        store=store,
        index=kind,
        people=str(Path(people).resolve()) if people else old.people if old else "",
        indexed_ns=old.indexed_ns if old else 0,
    )


def _update(
    store: Store, scanned: Scan, model: Embedder, out: Path, config: GalleryConfig, processes: int, report: Report
) -> None:
    root, known = Path(config.pictures), defaultdict[str, list[Item]](list)
    for item in store.items():
        known[item.path].append(item)
    found = scanned.found
    new = [f for f in found if not _settled(f, known.get(f.path, []), config.indexed_ns)]
    digests = _digests(new, root, scanned)
    banned = forgotten(out)
    keep: set[int] = set()
    jobs, described = [], []
    for picture in found:
        if picture.path in scanned.blocked:
            continue
        old = known.get(picture.path, [])
        digest = digests.get(picture.path) or old[0].digest
        if digest in banned:
            report.tally.drop("deleted on request", picture.path)
        elif {(i.digest, i.box) for i in old} >= {(digest, box) for box in picture.boxes}:
            current = [i for i in old if i.digest == digest and i.box in picture.boxes]
            keep.update(i.id for i in current)
            described += [n for i in current if not _same(n := _renew(i, picture), i)]
            report.tally.keep()
        else:
            jobs.append(_Job(picture, digest))
    store.describe(described)
    report.described = len(described)
    report.unchanged = len(keep) - len(described)
    keep |= _embed_all(store, jobs, model, out, root, processes, report)
    left = [item for items in known.values() for item in items if item.id not in keep]
    gone = [item for item in left if not scanned.hides(item.path)]
    _remove(store, out, gone)
    report.removed, report.held = len(gone), len(left) - len(gone)


def _settled(found: Found, items: list[Item], indexed_ns: int) -> bool:
    """Size and time of change are those of the items, and the clock had ticked on before they were last read."""
    same = all((i.size, i.mtime_ns) == (found.size, found.mtime_ns) for i in items)
    return bool(items) and same and found.mtime_ns + TICK_NS < indexed_ns


def _renew(item: Item, found: Found) -> Item:
    joints = found.joints(item.box)
    return replace(item, size=found.size, mtime_ns=found.mtime_ns, meta=found.meta, joints=joints)


def _same(a: Item, b: Item) -> bool:
    if a.joints is None or b.joints is None:
        return a == b and a.joints is b.joints
    return a == b and np.array_equal(a.joints, b.joints)


def _digests(new: Sequence[Found], root: Path, scanned: Scan) -> dict[str, str]:
    """Path -> SHA-256 of the file; files that cannot be read are counted as blocked."""

    def read(found: Found) -> str | OSError:
        try:
            return file_hash(root / found.path)
        except OSError as error:
            return error

    digests = {}
    with ThreadPoolExecutor(4) as pool:
        for found, digest in zip(new, track(pool.map(read, new), "reading pictures", len(new)), strict=True):
            if isinstance(digest, OSError):
                scanned.block(found.path, "", digest)
            else:
                digests[found.path] = digest
    return digests


def _embed_all(
    store: Store, jobs: list[_Job], model: Embedder, out: Path, root: Path, processes: int, report: Report
) -> set[int]:
    """Embed every different content once; the others get copies. Returns the ids that were put."""
    first: dict[tuple[str, tuple[Box | None, ...]], _Job] = {}
    copies = []
    for job in jobs:
        same = first.setdefault((job.digest, job.found.boxes), job)
        if same is not job or _twins(store, job):
            copies.append(job)
    skipped = {id(job) for job in copies}
    unique = [job for job in jobs if id(job) not in skipped]
    put: set[int] = set()
    batches = [unique[i : i + BATCH] for i in range(0, len(unique), BATCH)]
    outcomes = _outcomes(batches, model, out, root, processes)
    for batch, results in zip(batches, track(outcomes, "embedding pictures", len(batches)), strict=True):
        items, vectors = [], []
        for job, result in zip(batch, results, strict=True):
            if isinstance(result, str):
                report.tally.drop(result, job.found.path)
                continue
            size, rows = result
            items += [_item(job, size, box) for box in job.found.boxes]
            vectors.append(rows)
            report.tally.keep()
        if items:
            store.put(items, np.concatenate(vectors))
        put.update(i.id for i in items)
        report.embedded += len(items)
    for job in copies:
        twins = _twins(store, job)
        if not twins:  # the first of its kind could not be read
            report.tally.drop("copy of an unreadable picture", job.found.path)
            continue
        items = [_item(job, (twins[0].width, twins[0].height), box) for box in job.found.boxes]
        store.put(items, store.vectors([twin.id for twin in twins]))
        put.update(i.id for i in items)
        report.copied += len(items)
        report.tally.keep()
    return put


def _twins(store: Store, job: _Job) -> list[Item]:
    """Items of the same content, one for each box of the job in its order; [] unless all are there."""
    by_box = {item.box: item for item in store.get(store.same_picture(job.digest))}
    return [by_box[box] for box in job.found.boxes] if set(job.found.boxes) <= by_box.keys() else []


def _item(job: _Job, size: tuple[int, int], box: Box | None) -> Item:
    found = job.found
    return Item(found.path, job.digest, found.size, found.mtime_ns, *size, box, found.meta, found.joints(box))


_Result = str | tuple[tuple[int, int], np.ndarray]  # why not, or size and vectors (boxes, D)


def _outcomes(
    batches: list[list[_Job]], model: Embedder, out: Path, root: Path, processes: int
) -> Iterator[list[_Result]]:
    if processes <= 1:
        yield from (_embed(model, out, root, batch) for batch in batches)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (model, out, root, processes)) as pool:
        yield from pool.map(_embed_in_worker, batches)


_worker: tuple[Embedder, Path, Path]  # of a worker process, set once by _start


def _start(model: Embedder, out: Path, root: Path, processes: int) -> None:
    global _worker
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // processes))
    _worker = model, out, root


def _embed_in_worker(batch: list[_Job]) -> list[_Result]:
    return _embed(*_worker, batch)


def _embed(model: Embedder, out: Path, root: Path, batch: list[_Job]) -> list[_Result]:
    with ThreadPoolExecutor(2) as pool:
        opened = list(pool.map(lambda job: _open(job, out, root), batch))
    crops = [crop for picture in opened if not isinstance(picture, str) for crop in picture[1]]
    vectors = model.embed_images(crops) if crops else np.empty((0, 0), np.float32)
    results: list[_Result] = []
    row = 0
    for picture in opened:
        if isinstance(picture, str):
            results.append(picture)
            continue
        size, people = picture
        results.append((size, vectors[row : row + len(people)]))
        row += len(people)
    return results


def _open(job: _Job, out: Path, root: Path) -> str | tuple[tuple[int, int], list[Image.Image]]:
    boxes = job.found.boxes
    try:
        with Picture(root / job.found.path) as file:
            size = file.size
            if any(box and (box[2] > size[0] or box[3] > size[1]) for box in boxes):
                return "box outside the picture"
            picture = file.decode(None if any(boxes) else MAX_SIDE)
    except ImageError:
        return "unreadable picture"
    write_thumb(out, job.digest, picture)
    return size, [shrink(picture.crop(box) if box else picture) for box in boxes]


def shrink(picture: Image.Image) -> Image.Image:
    """At most 1,024 px on the longer side: encoders see less than that, and a batch of photos must fit into memory."""
    if max(picture.size) > MAX_SIDE:
        picture = picture.copy()
        picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
    return picture


def _remove(store: Store, out: Path, items: Iterable[Item]) -> None:
    ids = {item.id for item in items}
    # Thumbnails first: a killed run must not leave the picture of somebody who is no longer in the store.
    sweep_thumbs(out, {item.digest for item in store.items() if item.id not in ids})
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
    return item.path == entry or (sign == "=" and column in item.meta and meant(value)(item.meta[column]))
