"""Playing a moment in a real browser: Debian's Chromium. Screenshots go to build/screenshots/."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageDraw

from autocompose.gallery.indexing.index import build
from autocompose.model.embedders.own import RunFolder
from tests.fixtures.bar_finder import BarFinder
from tests.fixtures.videos import walkers, write_video
from tests.gallery.test_browser import browser, shot  # noqa: F401
from tests.gallery.test_serve import served

pytestmark = pytest.mark.browser


def marked(count: int) -> list[Any]:
    """Walkers; the lower left corner is white in every even second, so that one can see which second is shown."""
    pictures = walkers(count, size=(320, 180))
    for number, picture in enumerate(pictures):
        ImageDraw.Draw(picture).rectangle((0, 140, 40, 180), fill="white" if number // 30 % 2 == 0 else "black")
    return pictures


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("videos")
    clear = {"qp": "8", "preset": "ultrafast"}
    write_video(folder / "videos" / "walk.mp4", marked(240), options=clear)
    write_video(folder / "videos" / "old.avi", marked(90), options={"qscale": "2"})
    build(folder / "videos", RunFolder(run_folder), folder / "moments", model_name=run_folder, finder=BarFinder())
    with served(folder / "moments", tmp_path_factory.mktemp("scratch")) as (address, _):
        yield address


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:  # noqa: F811
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{url}/?text=raise+the+left+arm&engine=learned&k=40")
    yield page
    context.close()
    assert faults == []


CORNER = """() => { const film = document.querySelector("#player video"), canvas = document.createElement("canvas");
canvas.width = 320; canvas.height = 180; const pen = canvas.getContext("2d"); pen.drawImage(film, 0, 0, 320, 180);
return pen.getImageData(15, 165, 1, 1).data[0]; }"""


def until(page: Any, expression: str, seconds: float = 30) -> None:
    """Wait for something; Playwright's own waiting evaluates texts in the page, which its policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.05)


def test_the_right_second_plays(page: Any) -> None:
    ranges = []
    page.on("response", lambda reply: ranges.append(reply.status) if "/videos/" in reply.url else None)
    button = page.locator('.card > .play[data-video="walk.mp4"] >> nth=0')
    seconds = float(button.get_attribute("data-seconds"))
    button.click()
    until(page, "document.querySelector('#player video').readyState >= 2")
    until(page, "!document.querySelector('#player video').paused")
    start, end = max(0.0, seconds - 2), seconds + 2
    now = page.evaluate("document.querySelector('#player video').currentTime")
    assert start - 0.1 <= now <= end + 0.5 and set(ranges) == {206}
    page.click('#player [data-act="exact"]')
    until(page, "!document.querySelector('#player video').seeking")
    assert page.evaluate("document.querySelector('#player video').currentTime") == pytest.approx(seconds, abs=0.05)
    even = "true" if int(seconds + 1e-3) % 2 == 0 else "false"
    until(page, f"(({CORNER})() > 128) === {even}")  # the picture is that of the second, once it has been painted
    shot(page, "video-player")
    page.click("#player >> text=Only this video")
    page.wait_for_selector("text=without filters")
    assert {b.get_attribute("data-video") for b in page.query_selector_all(".card > .play")} == {"walk.mp4"}


def test_a_file_that_no_browser_plays_shows_its_frames(page: Any) -> None:
    page.locator('.card > .play[data-video="old.avi"] >> nth=0').click()
    page.wait_for_selector("#player .unplayed >> text=This browser cannot play old.avi")
    until(page, "[...document.querySelectorAll('#player .strip img')].every((image) => image.naturalWidth)")
    assert page.locator("#player .strip img").count() >= 5 and not page.is_visible("#player video")
    shot(page, "video-frames")


def test_neighbours_of_a_scene_play_and_go_on(page: Any) -> None:
    near = page.locator(".near >> nth=0")
    near.locator("summary").click()
    shot(page, "video-scene")
    key = near.locator("li >> nth=0").get_attribute("data-key")
    near.locator("li .play >> nth=0").click()
    page.wait_for_selector("#player[open]")
    page.click("#player >> text=Continue from this")
    page.wait_for_selector("main.answered .chosen")
    assert f"ref={key}" in page.url
