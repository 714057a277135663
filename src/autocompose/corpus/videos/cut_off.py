"""Whether the end of a video file is missing, by what its container says of its own size.

Every container but a bare stream states how long its parts are; where the last part reaches beyond the file, the
recording or the copy was cut off. Only sizes are read, no pictures; in doubt a file counts as whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

TAIL = 1 << 18  # bytes in which the last packet of a stream begins
_UNKNOWN = 0, 0xFFFFFFFF  # sizes that a writer leaves who cannot go back to the beginning
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # the object of an ASF header that has the file's size


def is_cut_off(path: Path) -> bool:
    """Whether a video file was longer once.

    :raises OSError: it cannot be read.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(4096)
        for sign, reaches_beyond in _FORMATS:
            if sign.match(head):
                return reaches_beyond(file, head, size)
    return False


def without_index(path: Path) -> bool:
    """Whether an MP4 or QuickTime file lacks its index, as recordings and copies that were cut off do.

    :raises OSError: it cannot be read.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        if not _MP4.match(file.read(16)):
            return False
        for kind, _, end in _boxes(file, size):
            if kind == b"moov":
                return end > size
    return True


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """The outer boxes of an MP4 file: kind, first byte, and the byte behind, which may be beyond the file."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        end = place + length if length else size
        if len(head) < 8:
            end = place + 8
        elif end < place + 8 or not head[4:8].isascii():
            return  # no box: something was appended
        yield head[4:8], place, end
        place = end


def _mp4(file: BinaryIO, head: bytes, size: int) -> bool:
    return any(end > size for *_, end in _boxes(file, size))


def _avi(file: BinaryIO, head: bytes, size: int) -> bool:
    place = 0
    while head[:4] == b"RIFF":  # large files are several of them
        length = int.from_bytes(head[4:8], "little")
        if length in _UNKNOWN:
            return False
        place += 8 + length + length % 2
        if place > size + 1:  # the last byte may be left out when it only fills up
            return True
        file.seek(place)
        head = file.read(12)
    return False


def _matroska(file: BinaryIO, head: bytes, size: int) -> bool:
    length, place = _ebml_size(head, 4)
    segment = place + (length or 0)
    if length is None or head[segment : segment + 4] != b"\x18\x53\x80\x67":
        return False
    length, place = _ebml_size(head, segment + 4)
    return length is not None and place + length > size


def _ebml_size(data: bytes, place: int) -> tuple[int | None, int]:
    """A size in EBML (None = not known), and the byte behind it."""
    first = data[place] if place < len(data) else 0
    width = 9 - first.bit_length()
    value = int.from_bytes(data[place : place + width], "big") & ((1 << 7 * width) - 1)
    return (None if not first or value == (1 << 7 * width) - 1 else value), place + width


def _asf(file: BinaryIO, head: bytes, size: int) -> bool:
    place = head.find(_ASF_FILE)
    return place > 0 and int.from_bytes(head[place + 40 : place + 48], "little") > size


def _flash(file: BinaryIO, head: bytes, size: int) -> bool:
    """Each tag is followed by its length."""
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    start = size - 4 - length
    if length < 11 or start < 9:
        return True
    file.seek(start)
    tag = file.read(4)
    return tag[0] & 0x1F not in (8, 9, 18) or int.from_bytes(tag[1:], "big") != length - 11


def _ogg(file: BinaryIO, head: bytes, size: int) -> bool:
    tail = _tail(file, size)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return len(page) < 27 or len(page) < 27 + page[26] or len(page) < 27 + page[26] + sum(segments)


def _transport(file: BinaryIO, head: bytes, size: int) -> bool:
    """Packets of equal length; Blu-ray puts four bytes before each, broadcasts sixteen bytes behind."""
    for first, packet in ((0, 188), (4, 192), (0, 204)):
        if head[first::packet][:8].strip(b"\x47") == b"":
            return size % packet != 0
    return False


def _program(file: BinaryIO, head: bytes, size: int) -> bool:
    tail = _tail(file, size)
    place = max(tail.rfind(b"\0\0\1" + bytes([code])) for code in range(0xB9, 0x100))
    code, length = tail[place + 3], int.from_bytes(tail[place + 4 : place + 6], "big")
    if code == 0xB9:  # the end
        return False
    return len(tail) - place < (14 if code == 0xBA else 6 + length)


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - TAIL))
    return file.read()


def _mxf(file: BinaryIO, head: bytes, size: int) -> bool:
    """The header says where the footer is, once it has been written."""
    place = 17 + (head[16] & 0x7F if head[16] > 0x7F else 0) + 24
    return int.from_bytes(head[place : place + 8], "big") >= size


def _digital_video(file: BinaryIO, head: bytes, size: int) -> bool:
    """Nothing but frames of one length, in the two television systems."""
    return size % (144_000 if head[3] & 0x80 else 120_000) != 0


_MP4 = re.compile(rb".{4}(?:ftyp|wide|mdat|free|skip|moov)", re.DOTALL)
_FORMATS: tuple[tuple[re.Pattern[bytes], Callable[[BinaryIO, bytes, int], bool]], ...] = (
    (_MP4, _mp4),
    (re.compile(rb"RIFF.{4}AVI ", re.DOTALL), _avi),
    (re.compile(rb"\x1a\x45\xdf\xa3"), _matroska),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), _asf),
    (re.compile(rb"FLV"), _flash),
    (re.compile(rb"OggS"), _ogg),
    (re.compile(rb"\x47.{187}\x47|.{4}\x47.{191}\x47|\x47.{203}\x47", re.DOTALL), _transport),
    (re.compile(rb"\0\0\x01\xba"), _program),
    (re.compile(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01.{8}.{57}", re.DOTALL), _mxf),
    (re.compile(rb"\x1f\x07\0."), _digital_video),
)
