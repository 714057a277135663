from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import VideoError
from autocompose.corpus.videos.colour import BT2020, HLG, PQ, to_sdr
from autocompose.corpus.videos.gate import Video
from tests.fixtures.videos import colours, turn, write_sound, write_video


def numbers(path: Path, rate: float = 4, **options: object) -> list[int]:
    with Video(path) as video:
        return [frame.place.number for frame in video.frames(rate, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.ts"])
def test_frames_at_a_rate_in_every_container(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, colours(40))
    with Video(path) as video:
        frames = list(video.frames(4))
        assert video.damage == ""
    assert [f.place.number for f in frames] == [0, 8, 15, 23, 30, 38]
    assert [f.place.seconds for f in frames] == pytest.approx([0, 8 / 30, 0.5, 23 / 30, 1, 38 / 30], abs=2e-3)
    assert frames[3].size == (64, 48) and frames[3].picture().size == (64, 48)


def test_a_frame_is_the_one_that_was_written(tmp_path: Path) -> None:
    pictures = colours(30)
    path = write_video(tmp_path / "a.mp4", pictures, options={"bf": "2", "qp": "10"})
    with Video(path) as video:
        for frame in video.frames(1000):
            far = np.abs(np.asarray(frame.picture(), float) - np.asarray(pictures[frame.place.number], float)).mean()
            assert far < 6


def test_a_small_picture_is_made_small_while_it_is_converted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", colours(2, (320, 200)))
    with Video(path) as video:
        frame = next(video.frames(4))
    assert frame.size == (320, 200) and frame.picture(80).size == (80, 50)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.ts", "a.mkv"])
def test_going_on_behind_a_frame_gives_the_same_frames(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, colours(90))
    with Video(path) as video:
        frames = list(video.frames(4))
    for stop in (0, 3, 7, len(frames) - 1):
        with Video(path) as video:
            rest = list(video.frames(4, frames[stop].place))
        assert [f.place for f in rest] == [f.place for f in frames[stop + 1 :]]
        for one, other in zip(rest, frames[stop + 1 :], strict=True):
            assert np.array_equal(np.asarray(one.picture()), np.asarray(other.picture()))


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.ts", "a.mkv"])
def test_the_frame_at_a_time(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, colours(60))
    with Video(path) as video:
        frames = {frame.place.seconds: np.asarray(frame.picture()) for frame in video.frames(1000)}
    times = list(frames)
    for i in (0, 1, 17, 40, 59):
        with Video(path) as video:
            assert np.array_equal(np.asarray(video.at(times[i]).picture()), frames[times[i]])
    with Video(path) as video:
        assert np.array_equal(np.asarray(video.at(999).picture()), frames[times[-1]])


def test_variable_rate_goes_by_the_clock(tmp_path: Path) -> None:
    times = [0, 0.01, 0.02, 0.03, 0.9, 2.0, 2.01, 7.5]
    path = write_video(tmp_path / "a.mp4", colours(8), times=times)
    with Video(path) as video:
        frames = list(video.frames(4))
    assert [f.place.number for f in frames] == [0, 4, 5, 7]
    assert [f.place.seconds for f in frames] == pytest.approx([0, 0.9, 2.0, 7.5], abs=2e-3)


def test_a_phone_held_upright(tmp_path: Path) -> None:
    straight = write_video(tmp_path / "a.mp4", colours(1), options={"qp": "5"})
    with Video(straight) as video:
        plain = next(video.frames(4)).picture()
    for how, turned in ((90, -90), (180, 180), (270, 90)):
        path = turn(write_video(tmp_path / f"{how}.mp4", colours(1), options={"qp": "5"}), how)
        with Video(path) as video:
            frame = next(video.frames(4))
        assert frame.size == frame.picture().size == ((64, 48) if how == 180 else (48, 64))
        assert np.array_equal(np.asarray(frame.picture()), np.asarray(plain.rotate(turned, expand=True)))
    path = turn(write_video(tmp_path / "m.mp4", colours(1), options={"qp": "5"}), "mirrored")
    with Video(path) as video:
        assert np.array_equal(np.asarray(next(video.frames(4)).picture()), np.asarray(plain)[:, ::-1])


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", colours(1), aspect=Fraction(2, 1))
    with Video(path) as video:
        frame = next(video.frames(4))
    assert frame.size == frame.picture().size == (128, 48)


def test_ten_bits_and_high_dynamic_range(tmp_path: Path) -> None:
    deep = {"codec": "ffv1", "pixels": "yuv420p10le"}
    path = write_video(tmp_path / "10.mkv", colours(2), **deep)  # type: ignore[arg-type]
    with Video(path) as video:
        frame = next(video.frames(4))
    assert np.abs(np.asarray(frame.picture(), float) - np.asarray(colours(1)[0], float)).mean() < 10
    for transfer in (PQ, HLG):
        path = write_video(tmp_path / "hdr.mkv", colours(2), transfer=transfer, **deep)  # type: ignore[arg-type]
        with Video(path) as video:
            frame = next(video.frames(4))
        assert int(frame.raw.color_trc) == transfer
        shown = np.asarray(frame.picture())
        assert shown.dtype == np.uint8 and shown[40, 4].mean() > shown[40, 60].mean() + 60


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_tone_mapping_keeps_the_order_of_greys_and_white_white(transfer: int) -> None:
    grey = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], 3, axis=2)
    mapped = to_sdr(grey, transfer, BT2020)[0].astype(int)
    assert (np.diff(mapped, axis=0) >= 0).all() and mapped[0].max() == 0 and mapped[-1].min() == 255
    assert np.ptp(mapped, axis=1).max() <= 2, "grey stays grey"


@pytest.mark.slow
def test_eight_thousand_pixels(tmp_path: Path) -> None:
    path = write_video(tmp_path / "8k.mp4", [Image.new("RGB", (7680, 4320), "teal")], codec="mjpeg", pixels="yuvj420p")
    with Video(path) as video:
        frame = next(video.frames(4))
    assert frame.size == (7680, 4320) and frame.picture(1280).size == (1280, 720)


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", colours(1))
    monkeypatch.setattr("autocompose.corpus.videos.gate.MAX_PIXELS", 1000)
    with pytest.raises(VideoError, match=r"a\.mp4: 64 x 48 pixels, more than 1,000; make it smaller"):
        Video(path)


def test_no_video_stream(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"a\.mp4: no video stream in it \(only sound\)"):
        Video(write_sound(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"hello", "not a video that can be read"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not a video that can be read"),
        (b"ffconcat version 1.0\nfile a.mp4\n", "not a video that can be read"),
    ],
)
def test_no_videos(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(VideoError, match=reason):
        Video(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="file not found"):
        Video(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="not a file"):
        Video(tmp_path)


def test_a_recording_that_was_cut_off(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", colours(60))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(VideoError, match="its index is missing: the recording or the copy was cut off"):
        Video(path)


@pytest.mark.parametrize(("name", "options"), [("a.mkv", {}), ("a.ts", {}), ("a.avi", {})])
def test_a_truncated_copy_keeps_what_is_there(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(150)]
    path = write_video(tmp_path / name, noise, options=options)
    whole = numbers(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3 // 188 * 188 + 90])
    with Video(path) as video:
        part = [frame.place.number for frame in video.frames(4)]
        damage = video.damage
    assert part == whole[: len(part)] and 3 <= len(part) < len(whole)
    assert damage.startswith("its end is missing: reading stopped at ")


def test_damage_in_the_middle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", colours(200))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    assert len(numbers(path)) >= 18


def test_four_hours_and_more_than_a_day(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", colours(25), times=[600.0 * i for i in range(25)])
    with Video(path) as video:
        frames = list(video.frames(4))
        assert video.damage == ""
    assert frames[-1].place.seconds == pytest.approx(4 * 3600)
    path = write_video(tmp_path / "b.mkv", colours(30), times=[3600.0 * i for i in range(30)])
    with Video(path) as video:
        frames = list(video.frames(4))
        assert "longer than 24 hours" in video.damage
    assert len(frames) == 25


def test_a_clock_that_goes_back_begins_anew(tmp_path: Path) -> None:
    one, two = write_video(tmp_path / "a.ts", colours(60)), tmp_path / "b.ts"
    two.write_bytes(one.read_bytes() * 2)  # as recorders join them
    with Video(two) as video:
        frames = list(video.frames(4))
        seconds = [frame.place.seconds for frame in frames]
    assert len(frames) >= 15 and seconds == sorted(seconds) and seconds[-1] > 3
    with Video(two) as video:
        assert [f.place.number for f in video.frames(4, frames[12].place)] == [f.place.number for f in frames[13:]]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.webm"])
def test_whatever_is_in_a_file_it_is_an_error_of_ours_or_frames(tmp_path: Path, name: str) -> None:
    data = np.frombuffer(write_video(tmp_path / name, colours(20)).read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    read = refused = 0
    for _ in range(12):
        broken = data.copy()
        places = rng.integers(0, len(data), rng.integers(1, 40))
        broken[places] = rng.integers(0, 256, len(places))
        (tmp_path / name).write_bytes(broken[: rng.integers(len(data) // 4, len(data) + 1)].tobytes())
        try:
            with Video(tmp_path / name) as video:
                frames = list(video.frames(4))
                video.at(0.3)
            read += 1
            assert all(frame.picture(32).size for frame in frames)
        except VideoError as error:
            refused += 1
            assert str(error).startswith(str(tmp_path / name)) and "\n" not in str(error)
    assert read + refused == 12
