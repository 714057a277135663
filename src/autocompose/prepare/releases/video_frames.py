"""Frames of a video at 60 per second, and the crop around a person."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.core.errors import DependencyError, InputError
from autocompose.corpus.videos.faults import words


def frames_at(path: Path, wanted: Sequence[int], fps: int = 60) -> Iterator[tuple[int, Image.Image]]:
    """Frames of the video at ``fps`` a second, rounded down, numbered from 0 (as ``ffmpeg -vf fps=60:round=down``).

    :param wanted: frame numbers, ascending. Numbers after the end are left out.
    :raises InputError: not a video, or damaged before the last wanted frame. DependencyError: no PyAV.
    """
    try:
        import av
    except ImportError:
        raise DependencyError("av", "datasets", "reading videos") from None
    queue = deque(wanted)
    held = None
    number, lasts = 0, 1
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            start: float | None = None
            for frame in container.decode(stream):
                start = frame.time if start is None else start
                now = int((frame.time - start) * fps + 1e-4)
                # the frame before stands for every number up to this one
                while held is not None and queue and queue[0] < now:
                    yield queue.popleft(), held.to_image()
                if not queue:
                    return
                held, number, lasts = frame, now, max(1, now - number)
            while held is not None and queue and queue[0] < number + lasts:
                yield queue.popleft(), held.to_image()
    except Exception as error:  # whatever FFmpeg raises
        raise InputError(f"{path}: cannot be read as a video ({words(error)}); download it again") from None


def person_box(points: np.ndarray, margin: float = 0.15) -> tuple[float, float, float, float] | None:
    """Square around a person.

    :param points: ``(17, 3)`` pixels and confidence; NaN where nobody was found.
    :param margin: added on each side, share of the longer side.
    :return: left, top, right, bottom in pixels, possibly outside the frame; None with fewer than six sure points.
    """
    sure = points[np.isfinite(points).all(1) & (points[:, 2] > 0.3)][:, :2]
    if len(sure) < 6:
        return None
    low, high = sure.min(0), sure.max(0)
    half = (high - low).max() * (0.5 + margin)
    x, y = (low + high) / 2
    return float(x - half), float(y - half), float(x + half), float(y + half)


def crop(image: Image.Image, box: tuple[float, float, float, float], size: int) -> Image.Image:
    """The square ``box`` of a picture, ``size`` pixels wide; what lies outside the picture is black."""
    left, top, right, bottom = (round(v) for v in box)
    cut = image.crop((left, top, right, bottom))
    return cut.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
