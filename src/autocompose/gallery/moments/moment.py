"""When, in which shot and of whom an item of a video is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Moment:
    """One person in one frame of a video.

    :param seconds: since the beginning, as players count.
    :param frame: number of the frame, from 0, in the order of display.
    :param shot: from 1; a cut begins a new one.
    :param person: from 1, in the order of appearance in the video, the same throughout a shot; 0 = nobody.
    """

    seconds: float
    frame: int
    shot: int = 1
    person: int = 0

    def record(self) -> dict[str, Any]:
        """As a JSON-able value."""
        return asdict(self)

    @classmethod
    def of_record(cls, values: dict[str, Any] | None) -> Moment | None:
        """The inverse of ``record``; None of None."""
        return cls(**values) if values else None

    @property
    def clock(self) -> str:
        """Its time as players show it.

        >>> Moment(3725.42, 0).clock, Moment(65.0, 0).clock
        ('1:02:05.4', '1:05.0')
        """
        tenths = round(self.seconds * 10)
        minutes, rest = divmod(tenths, 600)
        hours, minutes = divmod(minutes, 60)
        front = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
        return f"{front}:{rest // 10:02d}.{rest % 10}"
