"""Galleries of videos: indexing, continuing, searching, serving."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from autocompose.cli import query as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import InputError
from autocompose.core.files import file_hash
from autocompose.corpus.videos.frame import Frame
from autocompose.estimate.videos import stretches
from autocompose.estimate.videos.sampling import Sampling
from autocompose.gallery.answer import Hit
from autocompose.gallery.indexing import videos as videos_module
from autocompose.gallery.indexing.index import build, forget
from autocompose.gallery.indexing.report import Report
from autocompose.gallery.item import Item
from autocompose.gallery.moments.clips import AROUND, as_edl, clips
from autocompose.gallery.moments.moment import Moment
from autocompose.gallery.moments.scenes import NEAR
from autocompose.gallery.moments.video_record import read_record
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.app import create_app
from autocompose.model.embedders.embedder import RefusedInputsError
from tests.fixtures.bar_finder import BarFinder
from tests.fixtures.videos import SHARP, walkers, write_sound, write_video
from tests.gallery.fakes import CrashingModel, FakeModel, photos


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    write_video(root / "one.mkv", walkers(150), **SHARP)
    write_video(root / "sub" / "two.mkv", walkers(60, widths=(60, 12)), **SHARP)
    return root


@pytest.fixture
def videos(films: Path, tmp_path: Path) -> Path:
    return shutil.copytree(films, tmp_path / "videos")


def index(root: Path, out: Path, **options: Any) -> Report:
    return build(root, options.pop("model", None) or FakeModel(), out, **{"finder": BarFinder(), **options})


def items(out: Path) -> list[Item]:
    gallery = Gallery.open(out, FakeModel())
    try:
        return sorted(
            gallery.store.items(), key=lambda i: (i.path, i.moment.frame if i.moment else 0, i.meta.get("person", ""))
        )
    finally:
        gallery.close()


def _order(item: Item) -> tuple[str, int, int]:
    return (item.path, item.moment.frame, item.moment.person) if item.moment else (item.path, 0, 0)


def vectors(out: Path) -> dict[int, bytes]:
    gallery = Gallery.open(out, FakeModel())
    try:
        return {item.id: gallery.store.vectors([item.id]).tobytes() for item in gallery.store.items()}
    finally:
        gallery.close()


def thumbs(out: Path) -> set[str]:
    return {path.stem for path in (out / "thumbs").rglob("*.webp")}


def test_moments_carry_video_time_frame_and_person(videos: Path, tmp_path: Path) -> None:
    report = index(videos, tmp_path / "g")
    assert report.line().splitlines()[:3] == [
        "videos: 2 in, 2 kept",
        "  one.mkv: 20 frames looked at, 11 kept, 2 people, 1 shots",
        "  sub/two.mkv: 8 frames looked at, 5 kept, 2 people, 1 shots",
    ]
    first, *_, last = items(tmp_path / "g")
    assert first.moment == Moment(0.0, 0, 1, 1) and first.meta == {"video": "one.mkv", "person": "one.mkv#1"}
    assert first.pose is not None and first.box is not None and (first.width, first.height) == (200, 112)
    assert (
        last.path == "sub/two.mkv" and last.moment is not None and last.moment.seconds == pytest.approx(1.5, abs=0.01)
    )
    assert last.record()["moment"] == {"seconds": last.moment.seconds, "frame": 45, "shot": 1, "person": 1}
    assert thumbs(tmp_path / "g") == {item.content for item in items(tmp_path / "g")}
    again = index(videos, tmp_path / "g")
    assert (again.embedded, again.unchanged, again.removed) == (0, 16, 0)


def test_a_mixed_folder_and_side_files(videos: Path, tmp_path: Path) -> None:
    photos(videos, 3)
    (videos / "metadata.csv").write_text("path,person,place\none.mkv,anna,hall\nb/00000.png,ben,street\n", "utf-8")
    report = index(videos, tmp_path / "g")
    assert report.tally.kept == 3 and report.videos.kept == 2
    found = items(tmp_path / "g")
    assert {i.meta.get("person") for i in found} == {None, "anna", "ben", "sub/two.mkv#1", "sub/two.mkv#2"}
    (videos / "metadata.csv").write_text("path,person\none.mkv,carla\n", "utf-8")
    report = index(videos, tmp_path / "g")
    assert (report.described, report.embedded) == (12, 0)
    assert {i.meta["person"] for i in items(tmp_path / "g") if i.path == "one.mkv"} == {"carla"}


def test_without_videos_and_with_other_sampling(videos: Path, tmp_path: Path) -> None:
    photos(videos, 1)
    index(videos, tmp_path / "g", sampling=Sampling(rate=2))
    frames = {i.moment.frame for i in items(tmp_path / "g") if i.moment and i.path == "one.mkv"}
    assert frames == set(range(0, 150, 15))
    report = index(videos, tmp_path / "g")
    assert report.embedded == 0, "the sampling is the gallery's"
    report = index(videos, tmp_path / "g", sampling=Sampling(change=10_000))
    assert len(items(tmp_path / "g")) == 5 and report.removed == 12
    report = index(videos, tmp_path / "g", videos=False)
    left = items(tmp_path / "g")
    assert [i.path for i in left] == ["b/00000.png"] and thumbs(tmp_path / "g") == {i.content for i in left}
    assert not list((tmp_path / "g" / "videos").iterdir())


def test_videos_that_cannot_be_read_cost_themselves_only(videos: Path, tmp_path: Path) -> None:
    write_sound(videos / "song.mp4")
    (videos / "empty.mov").write_bytes(b"")
    (videos / "list.avi").write_bytes(b"#EXTM3U\nhttp://example.org/a.ts\n")
    (videos / "script.ts").write_text("const a: number = 1;")
    cut = write_video(videos / "cut.mkv", walkers(150), **SHARP)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    report = index(videos, tmp_path / "g")
    lines = report.line()
    assert "videos: 6 in, 3 kept" in lines and "(only sound); choose a file with moving pictures: song.mp4" in lines
    assert "  an empty file; copy the file again: empty.mov" in lines and "  not a video that can be read" in lines
    assert re.search(
        r"cut\.mkv: its end is missing: reading stopped at 2\.\d of 5\.0 s; the frames before are kept", lines
    )
    assert {i.path for i in items(tmp_path / "g")} == {"cut.mkv", "one.mkv", "sub/two.mkv"}


def test_a_frame_that_cannot_be_converted_ends_a_video_and_keeps_what_came(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Frame._converted

    def convert(frame: Frame, side: int | None) -> Image.Image:
        if frame.place.number == 60:
            raise ValueError("no such\nconversion")
        return plain(frame, side)

    monkeypatch.setattr(Frame, "_converted", convert)
    report = index(videos, tmp_path / "g")
    assert "one.mkv: its frame at 2.0 s cannot be converted to RGB (no such conversion)" in report.line()
    assert {i.moment.frame for i in items(tmp_path / "g") if i.moment and i.path == "one.mkv"} == {0, 15, 30, 45}
    assert report.videos.kept == 2


def test_without_pyav_the_moments_stay(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(videos, 1)
    index(videos, tmp_path / "g")
    monkeypatch.setattr("autocompose.gallery.indexing.scan.can_read", lambda: False)
    report = index(videos, tmp_path / "g")
    assert (report.removed, report.held) == (0, 16)
    assert "video, which needs the package av (pip install 'autocompose[video]'): one.mkv, sub/two.mkv" in report.line()


def test_copies_moves_changes_and_removals(videos: Path, tmp_path: Path) -> None:
    index(videos, tmp_path / "g")
    shutil.copy(videos / "one.mkv", videos / "same.mkv")
    (videos / "sub" / "two.mkv").rename(videos / "moved.mkv")
    finder = BarFinder()
    report = index(videos, tmp_path / "g", finder=finder)
    assert finder.looked == 0 and (report.copied, report.removed) == (16, 5)
    assert {i.meta["video"] for i in items(tmp_path / "g")} == {"one.mkv", "same.mkv", "moved.mkv"}
    write_video(videos / "one.mkv", walkers(30), **SHARP)
    report = index(videos, tmp_path / "g")
    assert len([i for i in items(tmp_path / "g") if i.path == "one.mkv"]) == 3
    assert not report.videos.dropped
    (videos / "same.mkv").unlink()
    assert index(videos, tmp_path / "g").removed == 11
    assert len(list((tmp_path / "g" / "videos").iterdir())) == 2
    assert thumbs(tmp_path / "g") == {i.content for i in items(tmp_path / "g")}


def test_a_video_that_is_deleted_stays_out(videos: Path, tmp_path: Path) -> None:
    index(videos, tmp_path / "g")
    assert forget(tmp_path / "g", "person=one.mkv#2") == ["one.mkv"]
    assert {i.path for i in items(tmp_path / "g")} == {"sub/two.mkv"}
    report = index(videos, tmp_path / "g")
    assert report.videos.dropped["deleted on request"] == 1
    assert read_record(tmp_path / "g", file_hash(videos / "one.mkv")) is None


@pytest.mark.parametrize("after", [2, 6])
def test_an_interrupted_run_goes_on_inside_a_video(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(videos_module, "BATCH", 2)
    monkeypatch.setattr(stretches, "FRAMES", 3)
    index(videos, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        index(videos, tmp_path / "g", model=CrashingModel(after))
    record = read_record(tmp_path / "g", file_hash(videos / "one.mkv"))
    assert record is not None and not record.done and 0 < record.items < 11
    finder = BarFinder()
    report = index(videos, tmp_path / "g", finder=finder)
    assert finder.looked == 28 - record.frames // 3 * 3 and report.removed == 0, "from the last stretch on"
    assert vectors(tmp_path / "g") == vectors(tmp_path / "whole")
    assert items(tmp_path / "g") == items(tmp_path / "whole") and thumbs(tmp_path / "g") == thumbs(tmp_path / "whole")


MAIN = """
import sys, time
from pathlib import Path
from autocompose.gallery.indexing import videos
from autocompose.gallery.indexing.index import build
from autocompose.model.embedders.embedder import RefusedInputsError
from tests.fixtures.bar_finder import BarFinder
from tests.gallery.fakes import FakeModel
class Slow(BarFinder):
    def find(self, picture):
        time.sleep(0.05)
        return super().find(picture)
videos.BATCH = 3
build(Path(sys.argv[1]), FakeModel(), Path(sys.argv[2]), finder=Slow())
"""


@pytest.mark.slow
def test_a_killed_process_goes_on(videos: Path, tmp_path: Path) -> None:
    index(videos, tmp_path / "whole")
    command = [sys.executable, "-c", MAIN, str(videos), str(tmp_path / "g")]
    process = subprocess.Popen(command)
    records = tmp_path / "g" / "videos"
    deadline = time.monotonic() + 60
    while not list(records.glob("*.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not json.loads(next(records.glob("*.json")).read_text())["done"]
    subprocess.run(command, check=True)
    assert vectors(tmp_path / "g") == vectors(tmp_path / "whole")


# -- searching


@pytest.fixture
def gallery(videos: Path, tmp_path: Path) -> Iterator[Gallery]:
    photos(videos, 2)
    index(videos, tmp_path / "g")
    opened = Gallery.open(tmp_path / "g", FakeModel())
    opened.finder = BarFinder()
    yield opened
    opened.close()


def test_neighbours_of_a_scene_are_one_result(gallery: Gallery) -> None:
    answer = gallery.search("raise the left arm", k=10)
    moments = [hit for hit in answer if hit.item.moment]
    for hit in moments:
        assert all(one.item.path == hit.item.path for one in hit.near)
        assert all(abs(one.item.moment.seconds - hit.item.moment.seconds) <= NEAR for one in hit.near)  # type: ignore[union-attr]
        others = [o.item for o in moments if o is not hit and o.item.path == hit.item.path]
        assert all(abs(o.moment.seconds - hit.item.moment.seconds) > NEAR for o in others)  # type: ignore[union-attr]
    assert sum(1 + len(hit.near) for hit in answer) == len(gallery), "nothing is lost"
    record = answer.record()["results"]
    assert {"seconds", "frame", "shot", "person", "id", "score"} <= record[0]["near"][0].keys()
    assert "near" not in next(r for r in record if r["moment"] is None)


def test_filters_and_names_of_moments(gallery: Gallery) -> None:
    answer = gallery.search("raise the left arm", where={"video": "one.mkv", "person": "one.mkv#1"}, k=20)
    assert {h.item.moment.person for hit in answer for h in (hit, *hit.near)} == {1}  # type: ignore[union-attr]
    assert gallery.item("one.mkv").moment == Moment(0.0, 0, 1, gallery.item("one.mkv").moment.person)  # type: ignore[union-attr]
    assert gallery.item("one.mkv#t=2.9").moment.seconds == pytest.approx(3, abs=0.01)  # type: ignore[union-attr]
    for name in ("one.mkv#t=", "one.mkv#t=-1", "none.mkv#t=1", "b/00000.png#t=1"):
        with pytest.raises(InputError, match="not in the gallery"):
            gallery.item(name)
    reference = gallery.item("one.mkv#t=2")
    hits = gallery.search(reference=reference, k=50)
    assert reference.id not in [h.item.id for hit in hits for h in (hit, *hit.near)]


def test_the_picture_of_a_moment_is_its_frame(gallery: Gallery) -> None:
    item = gallery.item("one.mkv#t=2")
    assert item.moment is not None and item.moment.frame == 60
    shown = np.asarray(gallery.whole_picture(item))
    assert np.array_equal(shown, np.asarray(walkers(61)[60]))
    assert gallery.open_picture(item).size == (item.box[2] - item.box[0], item.box[3] - item.box[1])  # type: ignore[index]


# -- clips


def hit(path: str, seconds: float, rank: int = 1) -> Hit:
    item = Item(path, "d" + path, 1, 1, 4, 4, None, {}, None, "", Moment(seconds, round(seconds * 25)))
    return Hit(rank, 1.0, item)


def test_clips_overlap_are_joined_and_stay_inside_the_video() -> None:
    found = clips(
        [hit("a", 10), hit("b", 1, 2), hit("a", 13, 3), hit("a", 59.5, 4), hit("a", 16.5, 5)], lambda _: (25.0, 60.0)
    )
    assert [(c.hit.rank, c.start, c.end) for c in found] == [(1, 8, 18.5), (2, 0, 3), (4, 57.5, 60)]
    picture = Hit(1, 1.0, Item("p", "d", 1, 1, 4, 4))
    assert clips([picture], lambda _: (25.0, 60.0)) == []


def test_an_edl_counts_frames() -> None:
    found = clips(
        [hit("x/a.mp4", 10), hit("b\n.mp4", 3700.04, 2)], lambda h: (25.0 if "a" in h.item.path else 23.976, 1e6)
    )
    lines = as_edl(found, "raise the\nleft arm").splitlines()
    assert lines[0] == "TITLE: autocompose raise the left arm" and lines[1] == "FCM: NON-DROP FRAME"
    assert lines[3] == "001  AX       V     C        00:00:08:00 00:00:12:00 00:00:00:00 00:00:04:00"
    assert lines[4:6] == ["* FROM CLIP NAME: a.mp4", "* SOURCE FILE: x/a.mp4"]
    assert lines[7] == "002  AX       V     C        01:01:38:01 01:01:42:01 00:00:04:00 00:00:08:00"
    assert lines[8:11] == [
        "* FROM CLIP NAME: b .mp4",
        "* SOURCE FILE: b .mp4",
        "* SOURCE RATE: 23.976, COUNTED HERE IN 25",
    ]
    events = re.findall(r"^\d{3}  AX {7}V {5}C {8}((?:\d\d:){3}\d\d ?){4}$", "\n".join(lines), re.MULTILINE)
    assert len(events) == 2


def test_clip_lists_on_the_command_line(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(videos, tmp_path / "g")
    command = ["search", str(tmp_path / "g"), "raise the left arm", "--engine", "symbolic"]
    for kind in ("csv", "edl"):
        assert run([*command, "--clips", str(tmp_path / f"list.{kind}"), "--around", "1"]) == 0
        assert run([*command, "--clips", str(tmp_path / f"list.{kind}")]) == 0, "its own file is replaced"
    rows = list(csv.DictReader((tmp_path / "list.csv").open()))
    assert {row["video"] for row in rows} == {"one.mkv", "sub/two.mkv"}
    assert all(float(row["start"]) <= float(row["seconds"]) <= float(row["end"]) for row in rows)
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    assert run([*command, "--clips", str(tmp_path / "mine.csv")]) == 2
    assert run([*command, "--clips", str(tmp_path / "list.txt")]) == 2
    assert "a name that ends in .csv or .edl" in capsys.readouterr().err


# -- serving


@pytest.fixture
def client(gallery: Gallery, tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "uploads").mkdir()
    with TestClient(create_app(gallery, tmp_path / "uploads"), "http://localhost") as client:
        yield client


def test_a_video_is_served_in_ranges_and_only_a_video(client: TestClient, gallery: Gallery) -> None:
    item = gallery.item("one.mkv")
    data = gallery.picture_path(item).read_bytes()
    whole = client.get(f"/videos/{item.key}")
    assert whole.status_code == 200 and whole.content == data and whole.headers["content-type"] == "video/webm"
    assert (
        whole.headers["cache-control"] == "private, no-cache"
        and "media-src 'self'" in whole.headers["content-security-policy"]
    )
    part = client.get(f"/videos/{item.key}", headers={"range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == data[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(data)}"
    assert client.get(f"/videos/{item.key}", headers={"range": f"bytes={len(data)}-"}).status_code == 416
    assert client.head(f"/videos/{item.key}").headers["content-length"] == str(len(data))
    picture = gallery.item("b/00000.png")
    assert client.get(f"/videos/{picture.key}").status_code == 404
    assert client.get(f"/videos/{'0' * 15}").status_code == 404
    assert client.get("/videos/..%2fgallery.json").status_code == 404
    gallery.picture_path(item).unlink()
    assert client.get(f"/videos/{item.key}").status_code == 503


def test_frames_and_thumbnails_show_the_moment(client: TestClient, gallery: Gallery) -> None:
    item = gallery.item("one.mkv#t=2")
    for shift, number in ((0, 60), (1, 90), (-0.5, 45), (10, 149), (-10, 0)):
        reply = client.get(f"/frames/{item.key}", params={"shift": shift})
        assert reply.status_code == 200
        shown = np.asarray(Image.open(io.BytesIO(reply.content)), float)
        assert np.abs(shown - np.asarray(walkers(number + 1)[number], float)).mean() < 12
    assert client.get(f"/frames/{item.key}?shift=11").status_code == 422
    assert client.get(f"/frames/{gallery.item('b/00000.png').key}").status_code == 404
    for route in ("thumbs", "pictures"):
        shown = np.asarray(Image.open(io.BytesIO(client.get(f"/{route}/{item.key}").content)).convert("RGB"), float)
        assert np.abs(shown - np.asarray(walkers(61)[60], float)).mean() < 12


def test_a_damaged_video_is_not_named_to_clients(client: TestClient, gallery: Gallery) -> None:
    item = gallery.item("one.mkv")
    gallery.picture_path(item).write_bytes(b"nothing")
    reply = client.get(f"/frames/{item.key}")
    assert reply.status_code == 503 and "videos" not in reply.text


def test_the_page_and_clip_lists(client: TestClient) -> None:
    page = client.get("/?text=raise+the+left+arm").text
    assert 'data-act="play"' in page and "more of this scene" in page and "moments and pictures" in page
    links = re.findall(r'href="(/api/clips\.[^"]+)"', page)
    assert [link.partition("?")[0] for link in links] == ["/api/clips.csv", "/api/clips.edl"]
    table = client.get(links[0].replace("&amp;", "&"))
    assert table.text.startswith("rank,video,start,end,") and "clips.csv" in table.headers["content-disposition"]
    assert client.get(links[1].replace("&amp;", "&")).text.startswith("TITLE: autocompose raise the left arm\n")
    assert client.get("/api/clips.mov?text=x").status_code == 422
    only = re.search(r'data-do="person" href="([^"]+)"', page)
    assert only and client.get(only[1].replace("&amp;", "&")).status_code == 200
    api = client.get("/api/search?text=raise+the+left+arm").json()["results"]
    assert all(r["moment"] is None or {"seconds", "frame"} <= r["moment"].keys() for r in api)
    assert AROUND == 2.0


def test_a_refused_moment_is_said_and_the_others_are_kept(videos: Path, tmp_path: Path) -> None:
    class Refusing(FakeModel):
        def embed_images(self, images: Any) -> np.ndarray:
            features = super().embed_images(images)
            if self.pictures > len(images):
                return features
            features[0] = np.nan
            raise RefusedInputsError(features, {0: "too dark"})

    index(videos, tmp_path / "whole")
    report = index(videos, tmp_path / "g", model=Refusing())
    assert len(items(tmp_path / "g")) == len(items(tmp_path / "whole")) - 1
    assert any("1 moments: the model's server refused the picture (too dark)" in line for line in report.seen)
