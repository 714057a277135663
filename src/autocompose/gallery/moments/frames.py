"""The picture of a moment, decoded from its video."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from autocompose.corpus.videos.gate import Video


def frame_picture(path: Path, seconds: float, side: int | None = None) -> Image.Image:
    """What is shown at a time, upright, RGB; the last frame, if the video is over by then.

    :param side: all that is wanted of its longer side in pixels.
    :raises VideoError: it cannot be decoded any more; DependencyError: no PyAV.
    """
    with Video(path, threads=1) as video:
        return video.at(max(0.0, seconds)).picture(side)
