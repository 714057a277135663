"""Decoding many pictures: in threads, ahead of the consumer; and the decoded-image cache."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from autocompose.core.files import atomic_file, value_hash
from autocompose.core.fingerprint import remembered
from autocompose.core.log import track
from autocompose.corpus.pictures.transforms import Transform, open_image, square_crop

T = TypeVar("T")


def decode(paths: Sequence[Path], step: Callable[[Image.Image], T], workers: int = 2, ahead: int = 64) -> Iterator[T]:
    """Open pictures in order and apply ``step`` to each, in threads (decoding releases the interpreter lock).

    :param ahead: how many pictures are decoded before they are asked for.
    :raises ImageError: names the first picture that cannot be opened.
    """
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[T]] = deque()
        for path in paths:
            pending.append(pool.submit(lambda p: step(open_image(p)), path))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def decoded(paths: Sequence[Path], kind: Transform, size: int, ratio: float, folder: Path) -> np.ndarray:
    """Pictures as one memory-mapped ``(N, size, size, 3)`` uint8 array, decoded once and kept in ``folder``.

    The file's name is a hash of the pictures' contents and the transform.
    """
    made = [remembered(paths, folder), kind.geometry.value, size, ratio]
    target = folder / f"pixels-{value_hash(made)[:16]}.npy"
    if not target.exists():
        crop = square_crop(kind, size, ratio)
        with atomic_file(target) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), size, size, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            for pixels in track(decode(paths, lambda i: np.asarray(crop(i))), "decoding pictures", len(paths)):
                file.write(np.ascontiguousarray(pixels).tobytes())
    return np.load(target, mmap_mode="r")
