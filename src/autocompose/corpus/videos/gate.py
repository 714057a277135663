"""The gate that every video passes: opened within bounds, decoded frame by frame, upright, with trustworthy times.

As for pictures, nothing here trusts a file: only containers of one file are opened (no playlists, no addresses), sizes
and lengths are bounded, what cannot be decoded is left out and counted, and whatever FFmpeg raises becomes one line
about that file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocompose.core.errors import AutocomposeError, DependencyError, VideoError
from autocompose.core.reading.plain import open_plain
from autocompose.corpus.videos.formats import DEMUXERS, can_read, without_index
from autocompose.corpus.videos.frame import Frame, Place

MAX_PIXELS = 100_000_000  # of a frame, as of a picture
MAX_HOURS = 24
MAX_RATE = 1000  # frames a second; a file that claims more has no clock
MAX_GROUP = 20_000  # frames that are decoded to reach a moment
THREADS = 2  # of a decoder: each holds frames of its own, which for 8K are large
SHORT = 2.0, 0.05  # a video that ends so much before its header says was cut off: seconds, or the share of its length
BACK = 1.0  # seconds; a clock that goes back further begins anew
EARLIER, EXACT = 10.0, 1e-4  # seconds: to begin so much before a moment that is not reached; two times are equal
CONVERT = "convert it with: ffmpeg -i IN -c:v libx264 OUT.mp4"
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
        self._damaged, self._stopped, self._end = 0, "", 0.0
        self._file = open_plain(self.path, VideoError, "a video")
        try:
            self._open()
        except BaseException:
            self.close()
            raise

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
            raise VideoError(f"{self.path}: {self._why(error)}") from None
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = self._threads

    def _video_stream(self) -> Any:
        from av.stream import Disposition

        streams = [s for s in self._container.streams.video if Disposition.attached_pic not in s.disposition]
        if not streams:
            holds = "only sound" if self._container.streams.audio else "no pictures"
            raise VideoError(f"{self.path}: no video stream in it ({holds})")
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
        whole = float((stream.duration or 0) * (stream.time_base or 0)) or (container.duration or 0) / 1e6
        counted = stream.frames / rate  # AVI: of the file as it was written, where the length is that of what is there
        self._begin = (container.start_time or 0) / 1e6
        return Facts(stream.codec_context.name, rate, max(whole, counted) or None)

    def _why(self, error: Exception) -> str:
        """Why FFmpeg does not open a file."""
        if os.fstat(self._file.fileno()).st_size == 0:
            return "an empty file"
        if without_index(self.path):
            return "its index is missing: the recording or the copy was cut off; copy it again, or repair it"
        said = " ".join(str(error).split()) or type(error).__name__
        return f"not a video that can be read ({said[:80].removesuffix(repr(str(self.path)))}); {CONVERT}"

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
    def damage(self) -> str:
        """What is wrong with the part that was decoded; "" when nothing is. Valid after the last frame."""
        said = []
        if self._damaged:
            said.append(f"{self._damaged} parts of it cannot be decoded and were left out")
        length = self.facts.seconds
        if self._stopped:
            said.append(f"{self._stopped} after {self._end:.1f} s; what came before is kept")
        elif length and length - self._end > max(SHORT[0], SHORT[1] * length):
            said.append(
                f"it ends after {self._end:.1f} of {length:.1f} s and was probably cut off; what is there is kept"
            )
        return "; ".join(said)

    # -- decoding

    def _timed(self, after: Place | None) -> Iterator[Frame]:
        if after is None:
            yield from self._bounded(self._clocked(0, 0.0))
            return
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
        count = 0
        for count, frame in enumerate(frames, 1):
            self._end = max(self._end, frame.place.seconds + 1 / self.facts.rate)
            if frame.place.seconds > MAX_HOURS * 3600 or count > MAX_HOURS * 3600 * MAX_RATE:
                self._stopped = f"it is longer than {MAX_HOURS} hours and was left"
                return
            yield frame
        if not count and not self._end:
            raise VideoError(f"{self.path}: not one frame of it can be decoded ({self.facts.codec}); {CONVERT}")

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
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except Exception as error:
                self._stopped = f"it cannot be read ({' '.join(str(error).split())[:60]})"
                with suppress(Exception):  # what the decoder still holds
                    yield from self._stream.decode(None)
                return
            try:
                frames = packet.decode()
            except Exception:  # this packet is lost, those behind it may not be
                self._damaged += 1
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
