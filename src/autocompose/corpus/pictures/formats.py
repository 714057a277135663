"""Which pictures are read: by what their first bytes say, and which file endings are worth a look."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

ALWAYS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".jp2",
        ".j2k",
    ]
)
HEIF = frozenset({".heic", ".heif", ".hif"})
RAW = frozenset(
    [
        ".3fr",
        ".arw",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".iiq",
        ".kdc",
        ".mef",
        ".mos",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    ]
)
OTHER = frozenset({".jxl", ".psd", ".avif", *HEIF})
"""Endings of pictures that are read with the right library, or never."""

# Canon, Olympus (three), Panasonic, Fujifilm, Sigma, Minolta
_RAW_SIGNS = (b"II\x1a\0\0\0HEAPCCDR", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
_SIGNS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
}
_FOREIGN = {
    b"\xff\x0a": "a JPEG XL picture, which is not read; convert it to JPEG",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture, which is not read; convert it to JPEG",
    b"8BPS": "a Photoshop file, which is not read; export it as JPEG",
    b"version https://git-lfs": "a Git LFS pointer, not the picture; fetch it with 'git lfs pull'",
}
RAW_REASON = "a camera's raw file, which is not read; export it as JPEG"
UNKNOWN = "not a picture in a known format"
HEIF_REASON = (
    "a HEIC picture, which needs the package pillow-heif; install it with: pip install 'autocompose[heic]', or convert "
    "the picture to JPEG"
)
AVIF_REASON = "an AVIF picture, which this Pillow cannot read; convert it to JPEG"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


@lru_cache(1)
def has_avif() -> bool:
    """This Pillow decodes AVIF."""
    from PIL import features

    return bool("avif" in features.modules and features.check("avif"))


@lru_cache(1)
def has_heif() -> bool:
    """HEIC can be decoded: pillow-heif is installed, and known to Pillow from now on."""
    if find_spec("pillow_heif") is None:
        return False
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except Exception:  # its library is missing or does not fit
        return False
    return True


@lru_cache(1)
def read_endings() -> frozenset[str]:
    """File endings, lower case with their dot, of pictures that can be read here."""
    return ALWAYS | (frozenset({".avif"}) if has_avif() else frozenset()) | (HEIF if has_heif() else frozenset())


def unread_reason(ending: str) -> str:
    """Why pictures with this ending are not read; "" when they are, or when it is no picture's ending."""
    ending = ending.lower()
    if ending in RAW:
        return "camera raw format that is not read (export it as JPEG)"
    return "format that is not read (convert it to JPEG)" if ending in OTHER - read_endings() else ""


def picture_format(head: bytes) -> tuple[str, str]:
    """Pillow's name of a picture's format, and why it is not read; one of them is "".

    :param head: the first 64 bytes of the file, or all of it.
    """
    if not head:
        return "", "an empty file"
    if (head[8:10] == b"CR" and head[:4] == b"II*\0") or head.startswith(_RAW_SIGNS):
        return "", RAW_REASON
    if head[4:8] == b"ftyp":
        return _of_boxes(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP", ""
    for sign, reason in _FOREIGN.items():
        if head.startswith(sign):
            return "", reason
    for sign, name in _SIGNS.items():
        if head.startswith(sign):
            return name, ""
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "", f"{UNKNOWN}: a web page"
    return "", UNKNOWN


def _of_boxes(head: bytes) -> tuple[str, str]:
    """The formats that share MP4's structure: their names stand behind ``ftyp``, the main one first."""
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, length, 4))]
    if brands[0] == b"crx ":
        return "", RAW_REASON
    if b"avif" in brands or b"avis" in brands:
        return ("AVIF", "") if has_avif() else ("", AVIF_REASON)
    if any(brand in _HEIF_BRANDS for brand in brands):
        return ("HEIF", "") if has_heif() else ("", HEIF_REASON)
    return "", UNKNOWN
