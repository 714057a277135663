"""What is wrong with a video, in plain words, and what to do: FFmpeg's own messages are for its developers."""

from __future__ import annotations

import re
from pathlib import Path

from autocompose.core.reading.plain import KNOWN_CAUSES, cause
from autocompose.corpus.videos.cut_off import without_index

CONVERT = "convert it with: ffmpeg -i IN -c:v libx264 OUT.mp4"
AGAIN = "copy the file again"
DAMAGED = "its data are damaged"
_WORDS = {
    "InvalidDataError": DAMAGED,
    "ArgumentError": DAMAGED,
    "DecoderNotFoundError": "its codec cannot be decoded here",
    "PatchWelcomeError": "it uses what FFmpeg cannot do yet",
    "EOFError": "it ends too early",
    "MemoryError": "it needs more memory than there is",
}  # by the name of the exception
_KINDS = (
    (rb"\0+$", "only zeros, so the copy failed"),
    (rb"GIF8", "a GIF picture"),
    (rb"\x89PNG", "a PNG picture"),
    (rb"\xff\xd8\xff", "a JPEG picture"),
    (rb"RIFF.{4}WEBP", "a WebP picture"),
    (rb".{4}ftyp(?:avif|avis|heic|heix|mif1)", "an AVIF or HEIC picture"),
    (rb"%PDF", "a PDF document"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b", "an archive"),
    (rb"\s*<(?:!doctype|html|\?xml)", "a web page, so the download failed"),
    (rb"ID3|fLaC|RIFF.{4}WAVE", "a sound file"),
    (rb"#EXTM3U|ffconcat|\[playlist\]", "a playlist, which names other files"),
    (rb"[\t\n\f\r\x1b -~\x80-\xff]+$", "a text"),
)  # by the first bytes


def words(error: Exception) -> str:
    """An exception of FFmpeg, PyAV or the operating system, in a few words."""
    if said := _WORDS.get(type(error).__name__):
        return said
    if isinstance(error, OSError) and error.errno in KNOWN_CAUSES:
        return cause(error)
    said = str(getattr(error, "strerror", "") or error)
    return " ".join(re.sub(r"\[Errno -?\d+\]", "", said).split())[:80] or type(error).__name__


def why_not_opened(path: Path, error: Exception) -> str:
    """Why FFmpeg does not open a file, and what to do.

    :param error: what it raised.
    """
    with open(path, "rb") as file:
        head = file.read(4096)
    if not head:
        return f"an empty file; {AGAIN}"
    for pattern, kind in _KINDS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            again = f"{AGAIN}, or " if "failed" in kind else ""
            return f"not a video that can be read ({kind}); {again}take it out of the folder"
    if without_index(path):
        return f"its index is missing: the recording or the copy was cut off; {AGAIN}, or repair it"
    said = words(error)
    said = "its format is unknown to FFmpeg, or its beginning is damaged" if said == DAMAGED else said
    return f"not a video that can be read ({said}); {AGAIN}, or {CONVERT}"
