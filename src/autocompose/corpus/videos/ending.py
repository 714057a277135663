"""How far a video was read, what was lost on the way, and whether its end is missing."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocompose.corpus.videos.cut_off import is_cut_off
from autocompose.corpus.videos.faults import AGAIN, CONVERT

MAX_HOURS = 24
MEASURED = frozenset({"mpegts", "mpeg", "mpegvideo", "ogg", "dv"})  # whose lengths FFmpeg takes from their last packets
SHORT = 0.5, 0.02  # a video that ends so much before its header says lacks its end: seconds, or the share of its length


@dataclass
class Ending:
    """What reading a video has come to.

    :param path: of the video. :param rate: mean frames a second. :param codec: FFmpeg's name.
    :param promised: its length in seconds by its header; 0 = not said.
    :param seconds: where the last frame that was decoded ends.
    :param parts: packets that cannot be decoded and have frames behind them; ``begin``: seconds where they begin.
    :param pending: those behind the last frame.
    :param stopped: why reading stopped before the end of the file; "" = it did not. :param remedy: what to do then.
    """

    path: Path
    rate: float
    codec: str
    promised: float
    seconds: float = 0.0
    parts: int = 0
    begin: float = 0.0
    pending: int = 0
    stopped: str = ""
    remedy: str = AGAIN

    def reach(self, seconds: float, lasts: float) -> None:
        """A frame has been decoded. :param lasts: seconds that it is shown; 0 = not said."""
        if self.pending and not self.parts:
            self.begin = self.seconds
        self.parts, self.pending = self.parts + self.pending, 0
        self.seconds = max(self.seconds, seconds + (lasts or 1 / self.rate))

    @property
    def damage(self) -> str:
        """What is wrong with the part that was read, where reading stopped, and what to do; "" = nothing is wrong."""
        said = []
        if self.parts:
            parts = "1 part is" if self.parts == 1 else f"{self.parts:,} parts are"
            said.append(f"damaged after {self.begin:.1f} s: {parts} left out that cannot be decoded")
        if why := self._why():
            end, length = f"{self.seconds:.1f}", f"{self.promised:.1f}"
            where = f"{end} of {length} s" if self.seconds < self.promised and end != length else f"{end} s"
            said.append(f"{why}: reading stopped at {where}; the frames before are kept; {self.remedy}")
        return "; ".join(said)

    @property
    def nothing(self) -> str:
        """Why not one frame could be decoded, and what to do."""
        if self._is_cut_off():
            return f"its end is missing, and not one frame of it can be decoded; {AGAIN}"
        return f"not one frame of it can be decoded ({self.codec}); {CONVERT}"

    def _why(self) -> str:
        missing = self.promised - self.seconds
        is_complete = self.promised > 0 and missing < 1.5 / self.rate and not self.pending
        if not is_complete and self.remedy == AGAIN and self._is_cut_off():
            return "its end is missing"
        if self.stopped:
            return self.stopped
        if self.pending:
            return "its end is damaged"
        if missing > max(SHORT[0], SHORT[1] * self.promised):
            return "its end is missing, or its header is wrong"
        return ""

    def _is_cut_off(self) -> bool:
        with suppress(OSError):
            return is_cut_off(self.path)
        return False


def promised_seconds(container: Any, stream: Any, rate: float) -> float:
    """The length of a video stream when it was written, by PyAV's container and stream; 0 = not said.

    :param rate: mean frames a second.
    """
    if container.format.name in MEASURED:
        return 0.0
    whole, begin = (container.duration or 0) / 1e6, max(0.0, (container.start_time or 0) / 1e6)
    if stream.duration:
        own = float(stream.duration * (stream.time_base or 0))
    elif said := re.match(r"(\d+):(\d\d):(\d\d\.?\d*)", stream.metadata.get("DURATION", "")):  # Matroska: where it ends
        own = int(said[1]) * 3600 + int(said[2]) * 60 + float(said[3]) - begin
    else:  # with sound, the sound may be longer
        own = whole - begin if len(container.streams) == 1 else 0.0
    if container.format.name == "avi":  # its length is of what is there, its count of what there was
        return max(own, stream.frames / rate)
    return min(own, whole) if own and whole else own
