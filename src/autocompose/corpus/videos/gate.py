"""The gate that every video passes: opened within bounds, decoded frame by frame, upright, with trustworthy times.

As for pictures, nothing here trusts a file: only containers of one file are opened (no playlists, no addresses), sizes
and lengths are bounded, what cannot be decoded is left out and counted, and whatever FFmpeg raises becomes one line
about that file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocompose.core.errors import AutocomposeError, DependencyError, VideoError
from autocompose.core.reading.plain import open_plain
from autocompose.corpus.videos.ending import MAX_HOURS, Ending, promised_seconds
from autocompose.corpus.videos.faults import CONVERT, why_not_opened, words
from autocompose.corpus.videos.formats import DEMUXERS, can_read
from autocompose.corpus.videos.frame import Frame, Place

MAX_PIXELS = 100_000_000  # of a frame, as of a picture
MAX_RATE = 1000  # frames a second; a file that claims more has no clock
MAX_TRIES = 100_000  # to find where a damaged stream goes on, each in some 64 KiB
MAX_GROUP = 20_000  # frames that are decoded to reach a moment
THREADS = 2  # of a decoder: each holds frames of its own, which for 8K are large
BACK = 1.0  # seconds; a clock that goes back further begins anew
EARLIER, EXACT = 10.0, 1e-4  # seconds: to begin so much before a moment that is not reached; two times are equal
OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}


@dataclass(frozen=True)
class Facts:
    """What the header of a video says.

    :param codec: FFmpeg's name. :param rate: mean frames a second. :param seconds: its length; None = not said.
    """

    codec: str
    rate: float
    seconds: float | None


class Video:
    """A video whose header has been read and found sound; nothing is decoded yet. Close it after use.

    :param threads: that decode.
    :raises VideoError: no such file, unreadable, no video, or out of bounds; DependencyError: no PyAV.
    """

    def __init__(self, path: Path, threads: int = THREADS) -> None:
        if not can_read():
            raise DependencyError("av", "video", "Reading videos")
        self.path, self._threads = Path(path), threads
        self._file = open_plain(self.path, VideoError, "a video")
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        self._ending = Ending(self.path, self.facts.rate, self.facts.codec, self._promised)

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        if container := getattr(self, "_container", None):
            container.close()
        self._file.close()

    def _open(self) -> None:
        import av

        self._file.seek(0)
        try:
            self._container: Any = av.open(self._file, options=OPTIONS, metadata_errors="replace")
            self._stream = self._video_stream()
            self.facts = self._read_facts()
        except AutocomposeError:
            raise
        except Exception as error:
            raise VideoError(f"{self.path}: {why_not_opened(self.path, error)}") from None
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = self._threads

    def _video_stream(self) -> Any:
        from av.stream import Disposition

        streams = [s for s in self._container.streams.video if Disposition.attached_pic not in s.disposition]
        if not streams:
            holds = "only sound" if self._container.streams.audio else "no pictures"
            raise VideoError(f"{self.path}: no video stream in it ({holds}); choose a file with moving pictures")
        stream = streams[0]
        context = stream.codec_context
        if context is None:
            raise VideoError(f"{self.path}: its codec cannot be decoded here; {CONVERT}")
        if context.width * context.height > MAX_PIXELS:
            raise VideoError(
                f"{self.path}: {context.width} x {context.height} pixels, more than {MAX_PIXELS:,}; make it smaller"
            )
        return stream

    def _read_facts(self) -> Facts:
        stream, container = self._stream, self._container
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        rate = rate if 0 < rate <= MAX_RATE else 25.0
        self._begin = (container.start_time or 0) / 1e6
        promised, whole = promised_seconds(container, stream, rate), (container.duration or 0) / 1e6
        self._promised = promised if promised <= MAX_HOURS * 3600 else 0.0
        length = promised or whole
        return Facts(stream.codec_context.name, rate, length if 0 < length <= MAX_HOURS * 3600 else None)

    def frames(self, rate: float, after: Place | None = None) -> Iterator[Frame]:
        """Frames so many times a second: the first of each 1/``rate`` seconds that has one.

        :param after: continue behind this frame, which an earlier pass with the same rate has given.
        :raises VideoError: not one frame can be decoded.
        """
        tick = -1 if after is None else _tick(after.seconds, rate)
        for frame in self._timed(after):
            now = _tick(frame.place.seconds, rate)
            if now > tick:
                tick = now
                yield frame

    def at(self, seconds: float) -> Frame:
        """The frame that is shown at a time; the last one, if the video is over by then.

        :raises VideoError: it cannot be decoded, or only with too much work.
        """
        for start in (seconds, seconds - EARLIER):
            if start > 0 and self._seek(int((start + self._begin) / self._stream.time_base)):
                best = self._last_until(seconds)
                if best is not None:
                    return best
        self._rewind()
        best = self._last_until(seconds)
        if best is None:
            raise VideoError(f"{self.path}: no frame at {seconds:.1f} s can be decoded")
        return best

    def _last_until(self, seconds: float) -> Frame | None:
        """The last of the frames from here on that is shown at a time; None when these begin later."""
        best: Frame | None = None
        for count, frame in enumerate(self._clocked(0, 0.0)):
            if frame.place.seconds > seconds + EXACT:
                return best
            if count > MAX_GROUP:
                raise VideoError(f"{self.path}: a frame at {seconds:.1f} s takes too long to reach; {CONVERT}")
            best = frame
        return best

    @property
    def end(self) -> float:
        """Seconds where the last frame that was decoded ends."""
        return self._ending.seconds

    @property
    def damage(self) -> str:
        """What is wrong with it, where reading stopped, and what to do; "" = nothing. Valid after the last frame."""
        return self._ending.damage

    # -- decoding

    def _timed(self, after: Place | None) -> Iterator[Frame]:
        if after is None:
            yield from self._bounded(self._clocked(0, 0.0))
            return
        self._ending.reach(after.seconds, 0)
        yield from self._bounded(self._behind(after))

    def _behind(self, after: Place) -> Iterator[Frame]:
        """All frames behind one: by its time stamp, or, where that leads nowhere, by counting from the start."""
        if after.pts is not None and self._seek(after.pts):
            offset = after.seconds - self._raw_seconds(after.pts)
            frames = self._clocked(0, offset)
            for frame in frames:
                if frame.raw.pts is None or frame.raw.pts > after.pts:
                    break
                if frame.raw.pts == after.pts:
                    behind = after.number - frame.place.number
                    yield from (Frame(_later(f.place, behind), f.raw, f.aspect) for f in frames)
                    return
        self._rewind()
        yield from (frame for frame in self._clocked(0, 0.0) if frame.place.number > after.number)

    def _rewind(self) -> None:
        self._container.close()
        self._open()

    def _seek(self, pts: int) -> bool:
        try:
            self._container.seek(pts, stream=self._stream, backward=True)
        except Exception:  # no index, or a damaged one
            self._rewind()
            return False
        return True

    def _bounded(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for count, frame in enumerate(frames, 1):
            if frame.place.seconds > MAX_HOURS * 3600 or count > MAX_HOURS * 3600 * MAX_RATE:
                self._ending.stopped, self._ending.remedy = f"it is longer than {MAX_HOURS} hours", "cut it into parts"
                return
            self._ending.reach(frame.place.seconds, float((frame.raw.duration or 0) * (frame.raw.time_base or 0)))
            yield frame
        if not self._ending.seconds:
            raise VideoError(f"{self.path}: {self._ending.nothing}")

    def _clocked(self, number: int, offset: float) -> Iterator[Frame]:
        """Decoded frames, numbered from ``number``, with seconds that never go back.

        :param offset: seconds to add to the file's clock.
        """
        last: float | None = None
        for count, raw in enumerate(self._decoded(), number):
            following = 0.0 if last is None else last + 1 / self.facts.rate
            seconds = following if raw.pts is None else self._raw_seconds(raw.pts) + offset
            if last is not None and seconds < last - BACK:
                offset += following - seconds
                seconds = following
            last = max(seconds, last or 0.0, 0.0)
            aspect = self._stream.codec_context.sample_aspect_ratio
            yield Frame(Place(count, round(last, 6), raw.pts), raw, _sound(aspect))

    def _raw_seconds(self, pts: int) -> float:
        return float(pts * self._stream.time_base) - self._begin

    def _decoded(self) -> Iterator[Any]:
        packets, tries = self._container.demux(self._stream), 0
        while True:
            try:
                packet, tries = next(packets), 0
            except StopIteration:
                return
            except BlockingIOError:  # a transport stream looks for where its packets go on
                packets, tries = self._container.demux(self._stream), tries + 1
                self._ending.pending += tries == 1
                if tries > MAX_TRIES:
                    return
                continue
            except Exception as error:
                self._ending.stopped = words(error)
                with suppress(Exception):  # what the decoder still holds
                    yield from self._stream.decode(None)
                return
            try:
                frames = packet.decode()
            except Exception:  # this packet is lost, those behind it may not be
                self._ending.pending += 1
                continue
            yield from (f for f in frames if f.width * f.height <= MAX_PIXELS)


def _tick(seconds: float, rate: float) -> int:
    return math.floor(seconds * rate + 1e-4)


def _later(place: Place, by: int) -> Place:
    return place._replace(number=place.number + by)


def _sound(aspect: Any) -> float:
    """Shape of a pixel; 1 where the file says nothing or nonsense."""
    value = float(aspect) if aspect else 1.0
    return value if 0.2 <= value <= 5 else 1.0
