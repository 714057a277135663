from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.corpus.videos.cut_off import is_cut_off, without_index
from autocompose.corpus.videos.gate import Video
from tests.fixtures.videos import turn, write_video

NAMES = ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.ts", "a.m2ts", "a.flv", "a.ogv", "a.wmv", "a.mpg", "a.mxf"]
SILENT = {".ts": 188, ".m2ts": 192}  # a cut between two packets of so many bytes leaves nothing to see


def noise(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_every_container_tells_a_whole_file_from_a_part(tmp_path: Path, name: str) -> None:
    data = write_video(tmp_path / name, noise(12)).read_bytes()
    assert not is_cut_off(tmp_path / name)
    step = SILENT.get(Path(name).suffix, 1)
    for share in (0.3, 0.6, 0.85):
        cut = tmp_path / f"cut{name}"
        cut.write_bytes(data[: int(len(data) * share) // step * step + step // 2])
        assert is_cut_off(cut), share


def test_what_was_appended_does_not_make_a_file_look_cut_off(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi", "a.wmv"):
        path = write_video(tmp_path / name, noise(3))
        path.write_bytes(path.read_bytes() + bytes(1000))
        assert not is_cut_off(path), name
    assert not is_cut_off(turn(write_video(tmp_path / "b.mp4", noise(1)), 90))


def test_sizes_that_nobody_knew(tmp_path: Path) -> None:
    """Of recordings that were sent while they were made."""
    path = write_video(tmp_path / "a.avi", noise(3))
    data = bytearray(path.read_bytes())
    for size in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        data[4:8] = size
        path.write_bytes(data)
        assert not is_cut_off(path)
    path = write_video(tmp_path / "a.mkv", noise(3), container={"live": "1"})
    assert not is_cut_off(path)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\0\0\1\xba", b"OggS", b"FLV", b"RIFF1234AVI ", b"\x1a\x45\xdf\xa3", b"G" * 400]
)
def test_a_few_bytes_are_no_trouble(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert is_cut_off(tmp_path / "a") in (True, False) and not without_index(tmp_path / "a")


@pytest.mark.parametrize("name", NAMES)
def test_where_reading_stopped(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, noise(40), container={"movflags": "faststart"} if name == "a.mp4" else None)
    with Video(path) as video:
        whole = [f.place.number for f in video.frames(1000)]
        assert video.damage == "" and video.end == pytest.approx(4 / 3, abs=0.05)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size * 6 // 10 // 192 * 192 + 90])
    if name == "a.mov":  # its index is at its end
        assert without_index(path)
        return
    with Video(path) as video:
        part = [f.place.number for f in video.frames(1000)]
        assert video.damage.startswith("its end is missing: reading stopped at 0."), video.damage
        assert video.damage.endswith("; the frames before are kept; copy the file again")
        assert len(part) / 30 == pytest.approx(video.end, abs=0.1)
    assert part == whole[: len(part)] and 10 < len(part) < 35
