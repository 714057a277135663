"""One frame of a video: when it is shown, and its upright picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from autocompose.core.errors import VideoError
from autocompose.corpus.videos.colour import HLG, PQ, to_sdr
from autocompose.corpus.videos.faults import CONVERT, words

_FLIPS = {
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
"""The turn in a display matrix, (a, b, c, d) with x' = ax + cy and y' = bx + dy, y down -> how to show a frame."""
_SIDEWAYS = (
    Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270, Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE,
)  # fmt: skip


class Place(NamedTuple):
    """A frame's place in its video.

    :param number: from 0, in the order of display.
    :param seconds: since the beginning, as players count.
    :param pts: the time stamp in the file; None = it has none.
    """

    number: int
    seconds: float
    pts: int | None


@dataclass(frozen=True)
class Frame:
    """A decoded frame.

    :param raw: PyAV's frame. :param aspect: width / height of a stored pixel.
    """

    place: Place
    raw: Any
    aspect: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture in square pixels."""
        width, height = self._shown
        return (height, width) if self._flip in _SIDEWAYS else (width, height)

    @property
    def _shown(self) -> tuple[int, int]:
        """Before it is turned."""
        return max(1, round(self.raw.width * self.aspect)), self.raw.height

    @property
    def _flip(self) -> Image.Transpose | None:
        matrix = self.raw.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return None
        a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
        largest = max(map(abs, (a, b, c, d))) or 1
        turn = tuple(round(value / largest) for value in (a, b, c, d))
        return _FLIPS.get(turn)  # type: ignore[arg-type]

    def picture(self, side: int | None = None) -> Image.Image:
        """The upright picture in RGB; high dynamic range is mapped to a photograph's.

        :param side: all that is wanted of its longer side in pixels.
        :raises VideoError: it cannot be converted.
        """
        try:
            return self._converted(side)
        except Exception as error:  # of formats and sizes that the converter does not take
            where = f"its frame at {self.place.seconds:.1f} s"
            raise VideoError(f"{where} cannot be converted to RGB ({words(error)}); {CONVERT}") from None

    def _converted(self, side: int | None) -> Image.Image:
        width, height = self._shown
        scale = min(1.0, side / max(width, height)) if side else 1.0
        size = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
        how = "AREA" if scale < 1 else "BILINEAR"
        transfer, primaries = int(self.raw.color_trc), int(self.raw.color_primaries)
        if transfer in (PQ, HLG):
            wide = self.raw.reformat(format="rgb48le", interpolation=how, **size).to_ndarray()
            pixels = to_sdr(wide, transfer, primaries)
        else:
            pixels = self.raw.reformat(format="rgb24", interpolation=how, **size).to_ndarray()
        image = Image.fromarray(pixels)
        return image if self._flip is None else image.transpose(self._flip)
