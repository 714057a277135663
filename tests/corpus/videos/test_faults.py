from __future__ import annotations

import errno
from pathlib import Path

import pytest

from autocompose.corpus.videos.ending import Ending
from autocompose.corpus.videos.faults import DAMAGED, why_not_opened, words

av = pytest.importorskip("av")


def test_no_number_of_an_error_is_shown() -> None:
    for code, kind in av.error.classes.items():
        said = words(kind(code, "Some\nthing", "a.mp4"))
        assert said and "Errno" not in said and "\n" not in said and "a.mp4" not in said
    assert words(av.error.InvalidDataError(1094995529, "Invalid data found when processing input")) == DAMAGED
    assert words(OSError(errno.EIO, "Input/output error")) == "the disk cannot read it"
    assert words(ValueError("")) == "ValueError" and words(ValueError("[Errno -5] a\n b")) == "a b"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GIF89a...", "a GIF picture"),
        (b"\x89PNG\r\n", "a PNG picture"),
        (b"RIFF\1\0\0\0WEBPVP8 ", "a WebP picture"),
        (b"\0\0\0\x20ftypavif", "an AVIF or HEIC picture"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (bytes(9000), "only zeros"),
        ("Märchen\n".encode(), "a text"),
        (b"ID3\3\0", "a sound file"),
        (b"PK\3\4\0", "an archive"),
        (b"\x93\0\1\2", "its format is unknown to FFmpeg, or its beginning is damaged"),
        (b"", "an empty file"),
        (b"\0\0\0\x08ftyp\0\0\xff\0mdat", "its index is missing"),
    ],
)
def test_what_a_file_is_that_is_no_video(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    line = why_not_opened(tmp_path / "a.mp4", av.error.InvalidDataError(1094995529, "Invalid data"))
    assert said in line and "Errno" not in line and "\n" not in line
    assert any(advice in line for advice in ("copy the file again", "take it out of the folder"))


def test_an_ending(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"?")

    def ending(*reached: float, promised: float = 10.0, **values: object) -> str:
        one = Ending(tmp_path / "a", 10.0, "h264", promised, **values)  # type: ignore[arg-type]
        for seconds in reached:
            one.reach(seconds, 0)
        return one.damage

    assert ending(0, 9.9) == ending(0, 9.6) == ending(0, 3, promised=0) == ""
    assert "or its header is wrong: reading stopped at 9.1 of 10.0 s; the frames before" in ending(0, 9)
    assert ending(0, 9.9, pending=3) == "damaged after 0.0 s: 3 parts are left out that cannot be decoded"
    assert ending(0, 9.9, parts=1, begin=2.5) == "damaged after 2.5 s: 1 part is left out that cannot be decoded"
    assert ending(0, 4, stopped="no room").startswith("no room: reading stopped at 4.1 of 10.0 s;")
