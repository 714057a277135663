"""The files below a folder, and which of them are pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from autocompose.corpus.pictures.formats import picture_format, read_endings, unread_reason

_JPEG = frozenset({".jif", ".jfi", ".pjpeg", ".pjp"})  # rarer endings of what is read by its content anyway
_UNREAD = """
.jpf .jpx .jxr .wdp .psb .xcf .kra .tga .ppm .pgm .pbm .pnm .pcx .exr .hdr .svg .eps .ai .fff .raw .gpr
"""
UNREAD = frozenset(_UNREAD.split())  # pictures, of which nothing is read but that they are there
_OTHER = """
.json .jsonl .csv .tsv .txt .md .html .htm .xml .xmp .toml .yaml .yml .ini .log .py .js .css .pdf .doc .docx .xls .xlsx
.ods .odt .zip .tar .gz .7z .rar .npz .npy .pt .pth .pkl .safetensors .sqlite .db .faiss .parquet .bvh .fbx .mp4 .mov
.avi .mkv .webm .m4v .mpg .mpeg .mp3 .wav .m4a .aac .flac .aae .lock .exe .dll
"""
OTHER = frozenset(_OTHER.split())  # what no picture is, and is not worth opening
# what ``picture_format`` says of pictures that are not read
FOREIGN = ("a camera's raw", "a JPEG XL", "a Photoshop", "a HEIC", "an AVIF")
NOT_READ = "format that is not read (convert it to JPEG)"


def picture_fault(path: Path) -> str | None:
    """Why a picture is not read, "" when it is; None for a file that is no picture.

    Known endings decide; other files are known by their first bytes.

    :raises OSError: the file must be opened to tell, and cannot be.
    """
    ending = path.suffix.lower()
    fault = ending_fault(ending)
    if fault is not None or ending in OTHER or not path.is_file():
        return fault
    with open(path, "rb") as file:
        name, reason = picture_format(file.read(64))
    if not name:
        return NOT_READ if reason.startswith(FOREIGN) else None
    # TIFF under another name is mostly a camera's raw format; two letters do not make a BMP
    return NOT_READ if name == "TIFF" else None if name == "BMP" else ""


def ending_fault(ending: str) -> str | None:
    """The same of a known ending, such as ``.jpg``, in small letters; None for others."""
    if ending in read_endings() or ending in _JPEG:
        return ""
    return NOT_READ if ending in UNREAD else unread_reason(ending) or None


def walk(
    root: Path, blocked: Callable[[Path, OSError], None], enter: Callable[[Path], bool] = lambda _: True
) -> Iterator[Path]:
    """All files below a folder, and links to folders, which are not followed; nothing that begins with a dot.

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
