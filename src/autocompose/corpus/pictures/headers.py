"""What a picture file says before its pixels: read here, in bounded time, so that no decoder has to trust it.

JPEG: ITU-T T.81, annex B (markers). PNG: W3C, section 5 (chunks).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

from autocompose.corpus.pictures.orientation import EXIF, exif_orientation

MAX_SEGMENTS = 2_000  # of a JPEG; a colour profile has at most 255, and 32 MB of metadata 500
MAX_CHUNKS = 2_000  # of a PNG, and one more for each kilobyte
MAX_EXIF = 1 << 20
_SOI, _EOI, _SOS, _APP0, _APP1, _APP14, _COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
_ALONE = {0x01, 0xFF, *range(0xD0, 0xD8)}  # markers without a length
_MARKER = re.compile(rb"\xff[^\0\x01\xff\xd0-\xd7]")


class HeaderError(ValueError):
    """A file's structure is out of bounds."""


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file without its metadata.

    :param plain: the file without EXIF, comments, colour profiles and further pictures' index; JFIF and Adobe's
        colour transform stay, for they say what the pixels mean.
    :param scans: how often a decoder runs over the picture; 1 unless it is progressive or has a scan for each colour.
    """

    plain: bytes
    orientation: int = 1
    scans: int = 1


def read_jpeg(data: bytes) -> Jpeg:
    """Take a JPEG file apart.

    A file that is cut off or damaged comes back as it is: a decoder will say so.

    :raises HeaderError: more segments than any picture has.
    """
    parts, orientation, at = [data[:2]], 0, 2
    for _ in range(MAX_SEGMENTS):
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) - 1 and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if not 0 <= at < len(data) - 4:
            return Jpeg(data, orientation or 1)
        code = data[at + 1]
        if code in (_SOS, _EOI):
            return Jpeg(b"".join([*parts, data[at:]]), orientation or 1, count_scans(data, at))
        if code in _ALONE or code == 0:
            at += 2
            continue
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        if code == _APP1 and data[at + 4 : at + 10] == EXIF and not orientation:
            orientation = exif_orientation(data[at + 4 : end])
        if not (_APP0 < code <= 0xEF or code == _COM) or code == _APP14:
            parts.append(data[at:end])
        at = end
    raise HeaderError(f"more than {MAX_SEGMENTS:,} segments")


def count_scans(data: bytes, start: int, enough: int = 40) -> int:
    """Scans of a JPEG from its first scan on.

    Counting the marker's two bytes is enough while there are few. Data after the end of the picture, such as a phone's
    video clip, may contain them too, so larger counts are checked segment by segment.
    """
    markers = data.count(b"\xff\xda", start)
    if markers <= enough:
        return markers
    scans, at = 0, start
    for _ in range(2 * MAX_SEGMENTS):
        marker = _MARKER.search(data, at)
        if not marker or data[marker.end() - 1] == _EOI:
            return scans
        scans += data[marker.end() - 1] == _SOS
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    raise HeaderError(f"more than {2 * MAX_SEGMENTS:,} segments")


def read_png(file: BinaryIO, size: int) -> int:
    """The EXIF orientation of a PNG file of ``size`` bytes, 1 to 8. The file is at its start before and after.

    :raises HeaderError: more chunks than any picture of its size has.
    """
    orientation = 1
    file.seek(8)
    for _ in range(MAX_CHUNKS + size // 1024):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            file.seek(0)
            return orientation
        length, skipped = int.from_bytes(head[:4], "big"), 0
        if head[4:] == b"eXIf":
            exif = file.read(min(length, MAX_EXIF))
            orientation, skipped = exif_orientation(exif), len(exif)
        file.seek(length - skipped + 4, 1)
    raise HeaderError("far too many chunks for its size")
