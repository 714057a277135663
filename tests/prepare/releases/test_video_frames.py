from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import InputError
from autocompose.prepare.releases.video_frames import crop, frames_at, person_box
from tests.fixtures.aist import write_video


def numbered(n: int) -> list[np.ndarray]:
    """Frames whose brightness is their number."""
    return [np.full((48, 64, 3), 20 + 7 * i % 230, np.uint8) for i in range(n)]


def by_filter(path: Path) -> list[np.ndarray]:
    """The slow obvious way: ffmpeg's own filter makes every frame."""
    import av

    result = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        source, fps, sink = (
            graph.add_buffer(template=stream),
            graph.add("fps", "60:round=down"),
            graph.add("buffersink"),
        )
        source.link_to(fps)
        fps.link_to(sink)
        graph.configure()
        for frame in [*container.decode(stream), None]:
            graph.push(frame)
            while True:
                try:
                    result.append(graph.pull().to_ndarray(format="rgb24"))
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
    return result


@pytest.mark.parametrize("rate", [Fraction(60), Fraction(60000, 1001), Fraction(30), Fraction(50), Fraction(120)])
def test_frames_are_those_of_ffmpegs_filter(tmp_path: Path, rate: Fraction) -> None:
    path = tmp_path / "v.mp4"
    write_video(path, numbered(80), rate)
    slow = by_filter(path)
    fast = dict(frames_at(path, range(300)))
    common = min(len(slow), max(fast) + 1)
    assert abs(len(slow) - len(fast)) <= 1 and common > 30  # how long the last frame lasts is a matter of taste
    for i in range(common):
        np.testing.assert_array_equal(np.asarray(fast[i]), slow[i], err_msg=f"frame {i}")


def test_only_wanted_frames_and_none_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_video(path, numbered(30), Fraction(60))
    found = dict(frames_at(path, [0, 7, 29, 30, 500]))
    assert list(found) == [0, 7, 29]
    assert [round((np.asarray(f).mean() - 20) / 7) for f in found.values()] == [0, 7, 29]
    assert list(frames_at(path, [])) == []


def test_a_truncated_video_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_video(path, numbered(30), Fraction(60))
    path.write_bytes(path.read_bytes()[:-400])  # the index of an mp4 file lies at its end
    with pytest.raises(InputError, match=r"v\.mp4: cannot be read as a video"):
        list(frames_at(path, [3]))
    with pytest.raises(InputError, match="cannot be read as a video"):
        list(frames_at(tmp_path / "none.mp4", [3]))


def test_boxes_and_crops() -> None:
    points = np.full((17, 3), np.nan)
    assert person_box(points) is None
    points[:10] = np.array([[100 + 10 * i, 50 + 20 * i, 0.9] for i in range(10)])
    points[10] = [9999, 9999, 0.1]  # unsure points do not count
    left, top, right, bottom = person_box(points, margin=0.1)  # type: ignore[misc]
    assert (left + right) / 2 == 145 and (top + bottom) / 2 == 140 and right - left == bottom - top == 180 * 1.2
    picture = Image.new("RGB", (50, 50), "white")
    cut = np.asarray(crop(picture, (-25, -25, 25, 25), 10))
    assert cut.shape == (10, 10, 3) and cut[0, 0].max() == 0 and cut[9, 9].min() == 255
