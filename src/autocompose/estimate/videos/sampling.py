"""Which frames of a video are looked at, and which of them are kept."""

from __future__ import annotations

from dataclasses import dataclass

from autocompose.core.errors import InputError

EMPTY_SECONDS = 10.0  # between two kept frames of a shot that show nobody


@dataclass(frozen=True)
class Sampling:
    """How densely a video is sampled.

    A person is kept when their pose differs from the last one of theirs that was kept. Of frames that show nobody, the
    first of each shot is kept and then one every ten seconds.

    :param rate: frames a second that are looked at.
    :param change: millimetres: how far the joint that has moved farthest is from where it was in the last kept pose,
        the pelvis in one place; turning round counts. A person is kept when it is larger. (A mean over all joints
        would hardly notice a raised arm.)
    """

    rate: float = 4.0
    change: float = 150.0

    def __post_init__(self) -> None:
        if not 0.01 <= self.rate <= 120:
            raise InputError(f"video rate {self.rate}: expected 0.01 to 120 frames a second")
        if not 0 <= self.change <= 10_000:
            raise InputError(f"video change {self.change}: expected 0 to 10,000 millimetres")

    @property
    def numbers(self) -> tuple[float, float]:
        """What decides the frames, for hashes."""
        return float(self.rate), float(self.change)
