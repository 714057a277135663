"""The files below a folder, and which of them are pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache
from pathlib import Path

from PIL import features

JPEG = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo"})
READ = JPEG | {".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"}
UNREAD = frozenset(
    ".heic .heif .hif .avif .jxl .jp2 .j2k .jpf .jpx .jxr .wdp .psd .psb .xcf .kra .tga .ppm .pgm .pbm .pnm .pcx .exr .hdr"
    " .svg .eps .ai .dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .x3f .3fr .fff .iiq .rwl"
    " .mrw .mef .mos .erf .kdc .dcr .raw .gpr".split()
)
"""Pictures, of which nothing is read but that they are there."""
# what no picture is: not worth opening
_OTHER = frozenset(
    ".json .jsonl .csv .tsv .txt .md .html .htm .xml .xmp .toml .yaml .yml .ini .log .py .js .css .pdf .doc .docx .xls"
    " .xlsx .ods .odt .zip .tar .gz .7z .rar .npz .npy .pt .pth .pkl .safetensors .sqlite .db .faiss .parquet .bvh .fbx"
    " .mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .mp3 .wav .m4a .aac .flac .aae .ini .lock .exe .dll".split()
)


class Kind(Enum):
    """What a file is for us."""

    PICTURE = "picture"
    UNREAD = "format that is not read (convert it to JPEG)"
    OTHER = "no picture"


@lru_cache(1)
def _reads_avif() -> bool:
    return bool(features.check("avif"))


def kind_of(path: Path) -> Kind:
    """By its ending; where that says nothing, by its first bytes.

    :raises OSError: the file must be opened to tell, and cannot be.
    """
    suffix = path.suffix.lower()
    if suffix in READ or (suffix == ".avif" and _reads_avif()):
        return Kind.PICTURE
    if suffix in UNREAD:
        return Kind.UNREAD
    if suffix in _OTHER or not path.is_file():
        return Kind.OTHER
    with open(path, "rb") as file:
        return _by_content(file.read(16))


def _by_content(start: bytes) -> Kind:
    if start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")):
        return Kind.PICTURE
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return Kind.PICTURE
    # TIFF under another name is mostly a camera's raw format; then HEIF and AVIF, JPEG 2000, JPEG XL
    unread = (b"II*\0", b"MM\0*", b"IIRO", b"IIU\0", b"FUJIFILM", b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL ", b"8BPS")
    pictures = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx ")
    if start.startswith(unread) or (start[4:8] == b"ftyp" and start[8:12] in pictures):
        return Kind.UNREAD
    return Kind.OTHER


def walk(
    root: Path, blocked: Callable[[Path, OSError], None], enter: Callable[[Path], bool] = lambda _: True
) -> Iterator[Path]:
    """All that is below a folder but folders, in order, without what begins with a dot; links to folders are not
    followed but given as they are.

    :param blocked: told of each folder that cannot be read.
    :param enter: which folders to look into.
    """

    def failed(error: OSError) -> None:
        blocked(Path(error.filename or root), error)

    for folder, folders, names in os.walk(root, onerror=failed):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (here / name for name in folders if (here / name).is_symlink())
        folders[:] = [name for name in folders if not (here / name).is_symlink() and enter(here / name)]
        yield from (here / name for name in sorted(names) if not name.startswith("."))
