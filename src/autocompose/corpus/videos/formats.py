"""Which files are videos, which of them browsers play, and what may be opened at all."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_ENDINGS = """
.mp4 .m4v .mov .qt .avi .mkv .webm .mpg .mpeg .m2v .mts .m2ts .ts .wmv .asf .3gp .3g2 .ogv .flv .mxf .vob .dv
"""
ENDINGS = frozenset(_ENDINGS.split())
# FFmpeg's names of the containers above; playlists, which name other files and addresses, are not among them
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,ogg,flv,mxf,dv"
NEEDS_AV = "video, which needs the package av (pip install 'autocompose[video]')"
PLAYED = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".qt": "video/mp4", ".3gp": "video/mp4",
    ".webm": "video/webm", ".mkv": "video/webm", ".ogv": "video/ogg",
}  # fmt: skip
"""File ending -> media type of the containers that browsers open; whether they play it depends on the codec, too."""


def is_video(path: Path) -> bool:
    """Whether a file counts as a video, by its ending.

    :raises OSError: a ``.ts`` file, which may be TypeScript, must be opened to tell, and cannot be.
    """
    ending = path.suffix.lower()
    if ending != ".ts":
        return ending in ENDINGS
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(189)
    return len(head) == 189 and head[0] == head[188] == 0x47  # each packet of a transport stream begins so


def can_read() -> bool:
    """Whether videos can be decoded: PyAV is installed."""
    return find_spec("av") is not None


def media_type(path: Path | str) -> str:
    """What a browser is told a video file is; "" when no browser opens such a file."""
    return PLAYED.get(Path(path).suffix.lower(), "")
