"""The gate that every picture passes: checked by its header, decoded within bounds, made upright RGB.

Nothing here trusts a file. Its format is known by its content; pixels, bytes and the work of decoding are bounded
before a decoder sees them; nonsense in its metadata is ignored, for the pixels are sound; and whatever a decoder raises
becomes one line about that file. Decoders run in C and cannot be stopped, so what would take too long is not begun.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from autocompose.core.errors import AutocomposeError, ImageError
from autocompose.core.reading.plain import open_plain
from autocompose.corpus.pictures import formats
from autocompose.corpus.pictures.budget import Budget
from autocompose.corpus.pictures.colour import to_rgb
from autocompose.corpus.pictures.headers import HeaderError, Jpeg, read_jpeg, read_png
from autocompose.corpus.pictures.orientation import FLIPS, ORIENTATION, exif_orientation

MAX_PIXELS = 100_000_000
MEMORY = Budget(768 << 20)  # of pictures that are being decoded at the same time
WIDTH, HEIGHT, DNG_VERSION = 256, 257, 50706  # TIFF tags
SHARPER = 1.5  # a JPEG is decoded at least so much larger than it is wanted, and made smaller with care
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")  # of metadata we do not use


class OversizeError(ImageError):
    """A picture that would take more memory or time than it may."""


@dataclass(frozen=True)
class Bounds:
    """What a picture may cost.

    :param pixels: width times height; None = ``MAX_PIXELS``.
    :param data: bytes of a JPEG, which is read as a whole.
    :param work: pixels times scans; a usual progressive JPEG has ten scans.
    :param scans: of a JPEG.
    :param kinds: Pillow's names of the formats that are taken; () = all that are read.
    :param patience: seconds to wait for memory that other pictures take; None = as long as it takes.
    """

    pixels: int | None = None
    data: int = 512 << 20
    work: int = 2_400_000_000
    scans: int = 100
    kinds: tuple[str, ...] = ()
    patience: float | None = None


FILES = Bounds()
MISSING = "picture not found; put it there or remove the entries that name it"


class Picture:
    """A picture whose header has been read and found sound; nothing is decoded yet. Close it after use.

    :param source: a file, or the bytes of one.
    :raises ImageError: no such file, unreadable, not a picture, or out of bounds (``OversizeError``).
    """

    def __init__(self, source: Path | str | bytes, bounds: Bounds = FILES) -> None:
        self.name = "the picture" if isinstance(source, bytes) else str(source)
        self._bounds, self._orientation, self._scans = bounds, 1, 1
        self._file: BinaryIO = (
            io.BytesIO(source)
            if isinstance(source, bytes)
            else open_plain(Path(source), ImageError, "a picture", MISSING)
        )
        try:
            with self._foreign():
                self._image = self._header()
                self._check()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Picture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture in pixels."""
        width, height = self._stored
        return (height, width) if self._orientation >= 5 else (width, height)

    def decode(self, side: int | None = None) -> Image.Image:
        """The upright picture in RGB; once for each ``Picture``.

        :param side: all that is wanted of its longer side, in pixels; a larger picture is made so small, and a JPEG
            not even decoded in full.
        :raises ImageError: the pixels are damaged; BusyError: no memory for it within the bounds' patience.
        """
        image = self._image
        with self._foreign():
            if side and max(self._stored) > side * SHARPER:
                shrunk = side * SHARPER / max(self._stored)
                image.draft(None, (math.ceil(shrunk * self._stored[0]), math.ceil(shrunk * self._stored[1])))
            with MEMORY.reserve(self._bytes(), self._bounds.patience):
                image.load()
                if side and max(image.size) > side and image.mode in ("RGB", "L", "CMYK", "YCbCr", "RGBA"):
                    image.thumbnail((side, side), Image.Resampling.BICUBIC)
                pixels = to_rgb(image)
                if side and max(pixels.size) > side:
                    pixels.thumbnail((side, side), Image.Resampling.BICUBIC)
                flip = FLIPS.get(self._orientation)
                return bare(pixels) if flip is None else _without_words(pixels.transpose(flip))

    def _header(self) -> Image.Image:
        kind, reason = formats.picture_format(self._file.read(64))
        kinds = self._bounds.kinds
        if reason or (kinds and kind not in kinds):
            raise ImageError(f"{self.name}: {reason or formats.UNKNOWN}")
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)
        if kind == "JPEG":
            self._file = io.BytesIO(self._jpeg(size).plain)
        elif kind == "PNG":
            self._orientation = read_png(self._file, size)
        image = _plugin(kind)(self._file)
        if kind == "TIFF":
            self._orientation = _tiff(image, self.name)
        elif kind not in ("JPEG", "PNG"):
            exif = image.info.get("exif")
            self._orientation = exif_orientation(exif) if isinstance(exif, bytes) else 1
        return image

    def _jpeg(self, size: int) -> Jpeg:
        if size > self._bounds.data:
            raise OversizeError(
                f"{self.name}: the file has {size >> 20:,} MB, more than {self._bounds.data >> 20:,} MB"
            )
        with self._file as file:
            jpeg = read_jpeg(file.read())
        self._orientation, self._scans = jpeg.orientation, jpeg.scans
        return jpeg

    def _check(self) -> None:
        self._stored = self._image.size
        width, height = self._stored
        limit = MAX_PIXELS if self._bounds.pixels is None else self._bounds.pixels
        if width * height > limit:
            raise OversizeError(f"{self.name}: {width} x {height} pixels, more than {limit:,}; make it smaller")
        if self._scans > self._bounds.scans or self._scans * width * height > self._bounds.work:
            raise OversizeError(
                f"{self.name}: {width} x {height} pixels in {self._scans} scans take too long to decode; save it again"
            )

    def _bytes(self) -> int:
        """About what decoding takes: the pixels twice, and the coefficients of a JPEG with several scans."""
        width, height = self._image.size  # a draft's
        each = 20 if self._image.mode == "F" or self._image.mode.startswith("I") else 8
        return each * width * height + (6 * self._stored[0] * self._stored[1] if self._scans > 1 else 0)

    @contextmanager
    def _foreign(self) -> Iterator[None]:
        """Whatever foreign code raises becomes one line about this file."""
        try:
            yield
        except AutocomposeError:
            raise
        except HeaderError as error:
            raise OversizeError(f"{self.name}: {error}; save it again") from None
        except MemoryError:
            raise OversizeError(f"{self.name}: too large for this machine's memory; make it smaller") from None
        except Exception as error:
            said = " ".join(str(error).split())[:100] or type(error).__name__
            raise ImageError(f"{self.name}: the picture is damaged ({said}); replace the file") from None


def open_image(source: Path | str | bytes, side: int | None = None, bounds: Bounds = FILES) -> Image.Image:
    """Decode a picture completely: upright, RGB, transparency on grey.

    :param source: a file, or the bytes of one.
    :param side: all that is wanted of its longer side in pixels; larger pictures are made so small.
    :raises ImageError: missing, truncated, not a picture, or out of bounds; names the file.
    """
    with Picture(source, bounds) as picture:
        return picture.decode(side)


def image_size(source: Path | str | bytes) -> tuple[int, int]:
    """Width and height of the upright picture in pixels, from its header.

    :raises ImageError: as ``open_image``, but for damage behind the header.
    """
    with Picture(source) as picture:
        return picture.size


def as_rgb(image: Image.Image) -> Image.Image:
    """A picture that somebody else has opened, as ``open_image`` would give it.

    :raises ImageError: its pixels cannot be read.
    """
    try:
        exif = image.info.get("exif")
        tiff = image.format == "TIFF"  # which Pillow turns itself
        flip = FLIPS.get(exif_orientation(exif)) if isinstance(exif, bytes) and not tiff else None
        pixels = to_rgb(image)
        return pixels.transpose(flip) if flip is not None else pixels
    except Exception as error:
        raise ImageError(f"the picture cannot be read ({error}); use another one") from None


def bare(image: Image.Image) -> Image.Image:
    """The pixels in RGB and nothing else: Pillow would write a JPEG's comment or a PNG's colour profile again."""
    pixels = to_rgb(image)
    return _without_words(pixels.copy() if pixels is image else pixels)


def _without_words(image: Image.Image) -> Image.Image:
    image.info = {}
    return image


def _plugin(kind: str) -> Callable[[BinaryIO], Image.Image]:
    """What opens a format. ``Image.open`` would warn of "decompression bombs" by a bound that is not ours."""
    Image.preinit()
    if kind not in Image.OPEN:
        Image.init()
    return Image.OPEN[kind][0]  # type: ignore[return-value]


def _tiff(image: Image.Image, name: str) -> int:
    """The orientation of a TIFF; Pillow is kept from turning it, from its own bound, and from reading more EXIF data.

    :raises ImageError: a camera's raw file, of which Pillow would show the preview.
    """
    tags = image.tag_v2  # type: ignore[attr-defined]
    if DNG_VERSION in tags or Path(name).suffix.lower() in formats.RAW:
        raise ImageError(f"{name}: {formats.RAW_REASON}")
    try:
        orientation = tags.get(ORIENTATION, 1)
    except Exception:  # nonsense in the tag
        orientation = 1
    image._size = int(tags[WIDTH]), int(tags[HEIGHT])  # type: ignore[attr-defined]
    image.load_end = lambda: None  # type: ignore[attr-defined]
    image.load_prepare = lambda: ImageFile.ImageFile.load_prepare(image)  # type: ignore
    return orientation if orientation in range(1, 9) else 1
