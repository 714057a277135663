"""From video files to items with vectors: moments in which somebody's pose has changed, committed as they come.

A killed run continues inside a video: items are put first, then the record says how far it is; what was put in between
is put again under the same ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autocompose.core.errors import VideoError
from autocompose.core.files import value_hash
from autocompose.core.log import track
from autocompose.corpus.videos.gate import Video
from autocompose.estimate.videos.sampling import Sampling
from autocompose.estimate.videos.watching import METHOD, Memory, Moment, watch
from autocompose.gallery.crops import Crop, person_crop, shrink
from autocompose.gallery.indexing.embedding import REFUSED, Job, Source, embed_crops
from autocompose.gallery.indexing.report import Report
from autocompose.gallery.indexing.scan import MediaFile
from autocompose.gallery.indexing.thumbs import thumb_bytes, write_thumb
from autocompose.gallery.item import Item, frame_digest
from autocompose.gallery.moments.moment import Moment as Place
from autocompose.gallery.moments.video_record import VideoRecord, read_record
from autocompose.gallery.storage.store import Store
from autocompose.gallery.values import Value

BATCH = 16  # people that are embedded and put at once
COMMIT = 240  # frames after which the record is brought up to date, whatever they show
COPIED = 256  # items that are copied at once

Known = Mapping[str, Sequence[Item]]  # path -> items


@dataclass(frozen=True)
class VideoRun:
    """One run over the videos of a gallery.

    :param known: the items as they were before. :param processes: that look for people.
    """

    store: Store
    source: Source
    sampling: Sampling
    known: Known
    processes: int
    report: Report

    @property
    def searched(self) -> str:
        """Fingerprint of what looks for people; "" = nothing does."""
        return self.source.finder.fingerprint if self.source.finder else ""

    @property
    def made_from(self) -> str:
        """What decides the items of a video besides its content."""
        return value_hash([METHOD, self.searched, self.source.model.fingerprint, *self.sampling.numbers])[:16]

    def index(self, jobs: Sequence[Job]) -> set[int]:
        """Index what is new; returns the ids of all items of these videos."""
        keep: set[int] = set()
        for job in jobs:
            keep |= self._one(job)
        return keep

    def _one(self, job: Job) -> set[int]:
        record = read_record(self.source.out, job.digest)
        record = record if record and record.made_from == self.made_from else None
        own = [item for item in self.known.get(job.file.path, ()) if item.digest == job.digest]
        if record and record.done:
            if len(own) == record.items:
                return self._described(own, job.file)
            if twins := self._twins(job, record):
                return self._copied(twins, job)
        own = [i for i in own if record and not record.done and record.path == job.file.path and _is_before(i, record)]
        return _Indexing(self, job, record if record and len(own) == record.items else None, own).run()

    def _twins(self, job: Job, record: VideoRecord) -> list[int]:
        """The items of the same video under another path."""
        paths: dict[str, list[int]] = {}
        for item in self.store.get(self.store.same_picture(job.digest)):
            paths.setdefault(item.path, []).append(item.id)
        paths.pop(job.file.path, None)
        return next((ids for ids in paths.values() if len(ids) == record.items), [])

    def _described(self, items: Sequence[Item], file: MediaFile) -> set[int]:
        """Keep the items, with what is known about the file now."""
        changed = [new for item in items if (new := _of_file(item, file)) != item]
        self.store.describe(changed)
        self.report.described += len(changed)
        self.report.unchanged += len(items) - len(changed)
        self.report.videos.keep()
        return {item.id for item in items}

    def _copied(self, twins: Sequence[int], job: Job) -> set[int]:
        put: set[int] = set()
        for start in range(0, len(twins), COPIED):
            ids = twins[start : start + COPIED]
            items = [_of_file(item, job.file) for item in self.store.get(ids)]
            self.store.put(items, self.store.vectors(ids))
            put.update(item.id for item in items)
        self.report.copied += len(put)
        self.report.videos.keep()
        return put


@dataclass
class _Indexing:
    """Indexing one video, from its beginning or from where a killed run stopped.

    :param record: where that is; None = the beginning. :param before: the items that are there already.
    """

    run_: VideoRun
    job: Job
    record: VideoRecord | None
    before: Sequence[Item]
    items: list[Item] = field(default_factory=list)
    crops: list[Crop] = field(default_factory=list)

    def run(self) -> set[int]:
        """Returns the ids of the items of this video; () of one that cannot be read."""
        run, path = self.run_, self.job.file.path
        self.put, begun = {item.id for item in self.before}, False
        try:
            with Video(run.source.folder.path / path) as video:
                begun = True
                damage = self._watched(video)
        except VideoError as error:
            damage = str(error).partition(f"{path}: ")[2] or str(error)
            if not begun or not (self.put or self.items):
                run.report.videos.drop(damage, path)
                return self.put
        self._commit(done=True, damage=damage)
        self._count(path)
        return self.put

    def _watched(self, video: Video) -> str:
        run, facts = self.run_, video.facts
        memory = self.memory = Memory.of_record(self.record.memory) if self.record else Memory()
        self.now = self.record or VideoRecord(
            run.made_from, self.job.file.path, facts.rate, facts.seconds or 0, facts.codec
        )
        total = int((facts.seconds or 0) * run.sampling.rate) + 1 - self.now.frames if facts.seconds else None
        moments = watch(video, run.source.finder, run.sampling, memory, run.processes)
        since = 0
        for moment in track(moments, f"watching {self.job.file.path}", total):
            self._see(moment)
            since += 1
            if len(self.crops) >= BATCH or since >= COMMIT:
                self._commit()
                since = 0
        self.now = replace(self.now, seconds=video.end)
        return video.damage

    def _see(self, moment: Moment) -> None:
        seconds = max(self.now.seconds, moment.place.seconds)
        failed = self.now.failed + moment.failed
        self.now = replace(
            self.now, frames=self.now.frames + 1, failed=failed, seconds=seconds,
            people=self.memory.tracker.known, shots=moment.shot,
        )  # fmt: skip
        if moment.kept:
            digest = frame_digest(self.job.digest, moment.place.number)
            write_thumb(self.run_.source.out, digest, thumb_bytes(moment.picture))
            for crop, item in _items(moment, self.job, self.run_.searched):
                self.crops.append(crop)
                self.items.append(item)

    def _commit(self, done: bool = False, damage: str = "") -> None:
        """Put what has come, then write down how far this is."""
        run = self.run_
        if self.items:
            vectors, refused = embed_crops(run.source, self.crops)
            rows = [row for row in range(len(self.items)) if row not in refused]
            items = [self.items[row] for row in rows]
            run.store.put(items, vectors[rows])
            run.report.embedded += len(items)
            self.put.update(item.id for item in items)
            if refused:
                why = next(iter(refused.values()))
                run.report.seen.append(f"{self.job.file.path}: {len(refused):,} moments: {REFUSED} ({why})")
            self.items, self.crops = [], []
        self.now = replace(self.now, items=len(self.put), done=done, damage=damage, memory=self.memory.record())
        self.now.save(run.source.out, self.job.digest)

    def _count(self, path: str) -> None:
        now, report = self.now, self.run_.report
        report.videos.keep()
        about = f"{now.frames:,} frames looked at, {now.items:,} kept, {now.people:,} people, {now.shots:,} shots"
        report.seen.append(f"{path}: {about}")
        if now.failed:
            report.seen.append(f"{path}: pose estimation failed on {now.failed:,} frames")
        if now.damage:
            report.seen.append(f"{path}: {now.damage}")


def _items(moment: Moment, job: Job, searched: str) -> Iterator[tuple[Crop, Item]]:
    """One for each person to keep; the whole frame when nobody is there."""
    crops = [(f.number, person_crop(moment.picture, moment.size, f.person)) for f in moment.people]
    file = job.file
    for number, crop in crops or [(0, Crop(None, shrink(moment.picture)))]:
        place = Place(moment.place.seconds, moment.place.number, moment.shot, number)
        meta = video_meta(file, number)
        yield crop, Item(
            file.path, job.digest, file.size, file.mtime_ns, *moment.size, crop.box, meta, crop.pose, searched, place
        )  # fmt: skip


def video_meta(file: MediaFile, person: int) -> dict[str, Value]:
    """What a moment can be filtered by: its video, its person, and what side files say of the video, which wins."""
    who: dict[str, Value] = {"person": f"{file.path}#{person}"} if person else {}
    return {"video": file.path, **who, **file.meta}


def _of_file(item: Item, file: MediaFile) -> Item:
    """The same moment of a file of the same content."""
    meta = video_meta(file, item.moment.person if item.moment else 0)
    return replace(item, path=file.path, size=file.size, mtime_ns=file.mtime_ns, meta=meta)


def _is_before(item: Item, record: VideoRecord) -> bool:
    place = record.memory.get("place")
    return bool(item.moment and place and item.moment.frame <= place[0])
