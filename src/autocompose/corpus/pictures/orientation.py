"""EXIF orientation: how the camera was held, and how the picture is turned upright.

EXIF: CIPA DC-008, section 4.6 (tags as in TIFF 6.0).
"""

from __future__ import annotations

from PIL import Image

ORIENTATION = 0x0112  # the tag
EXIF = b"Exif\0\0"
FLIPS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation -> what turns the stored picture upright; 1 and unknown values need nothing."""


def exif_orientation(exif: bytes) -> int:
    """How the camera was held, 1 to 8; 1 when the EXIF data do not say so, or are nonsense.

    :param exif: with or without their ``Exif`` prefix. Nothing else in them is looked at.
    """
    body = exif
    while body.startswith(EXIF):  # some programs write it twice
        body = body[len(EXIF) :]
    if body[:2] not in (b"II", b"MM"):
        return 1
    little = body[:2] == b"II"

    def number(data: bytes) -> int:
        return int.from_bytes(data, "little" if little else "big")

    start = number(body[4:8])
    for i in range(min(number(body[start : start + 2]), 1000)):
        entry = body[start + 2 + 12 * i : start + 14 + 12 * i]
        if len(entry) == 12 and number(entry[:2]) == ORIENTATION:
            width = {1: 1, 3: 2, 4: 4}.get(number(entry[2:4]), 0)  # byte, short, long
            value = number(entry[8 : 8 + width])
            return value if 1 <= value <= 8 else 1
    return 1
