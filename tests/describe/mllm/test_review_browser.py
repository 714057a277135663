"""The review page in a real browser, with the keyboard alone. Screenshots go to build/screenshots/."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.export import export_texts
from autocompose.describe.mllm.review.verdicts import Reviews
from tests.describe.mllm.fakes import Fake, job
from tests.gallery.test_browser import ARGUMENTS, CHROMIUM, shot
from tests.gallery.test_serve import fetch, free_port
from tests.simulator.annotator import Errors
from tests.simulator.figures import figure_corpus

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    corpus = figure_corpus(tmp_path / "corpus", 2)
    annotate(job(corpus, frame="words"), Fake(corpus, Errors(swap=0.3)))
    return corpus.root


@pytest.fixture
def server(root: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    verb = [sys.executable, "-c", "from autocompose.cli import main; main()", "review", str(root)]
    process = subprocess.Popen([*verb, "--reviewer", "anna", "--port", str(port)], stderr=subprocess.DEVNULL)
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while True:
        try:
            fetch(f"{url}/agreement")
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.1)
    yield url, process
    process.terminate()
    process.wait(30)


@pytest.fixture
def page(server: tuple[str, Any]) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium; install it with: apt-get install chromium")
    faults: list[str] = []
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = chromium.new_page(viewport={"width": 1280, "height": 900})
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on("request", lambda r: None if r.url.startswith(server[0]) else faults.append(r.url))
        opened.goto(server[0])
        yield opened
        chromium.close()
    assert faults == []


def verdicts(page: Any) -> list[str]:
    return [article.get_attribute("data-verdict") for article in page.query_selector_all("article")]


def press(page: Any, key: str, expected: list[str]) -> None:
    """Press a key and wait until the texts have these verdicts."""
    page.keyboard.press(key)
    until(lambda: verdicts(page) == expected)


def until(told: Callable[[], bool]) -> None:
    """Wait for the page; playwright's own way evaluates a string in it, which its security policy forbids."""
    deadline = time.monotonic() + 20
    while not told() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert told()


def test_a_pair_is_reviewed_with_the_keyboard_alone(page: Any, root: Path) -> None:
    keys = page.keyboard
    shot(page, "review")
    assert page.inner_text("#judged") == "0" and verdicts(page) == ["", "", ""]
    press(page, "a", ["accept", "", ""])
    keys.press("e")  # the next open text has the focus
    keys.press("End")
    keys.type(" Ra")
    keys.press("Escape")
    assert verdicts(page) == ["accept", "", ""]
    machine = page.inner_text("article:nth-of-type(2) .text")
    keys.press("e")
    keys.press("Control+A")
    keys.type("Raise a hand, r a e j k.")  # keys of commands are letters in here
    press(page, "Enter", ["accept", "edit", ""])
    press(page, "r", ["accept", "edit", "reject"])
    shot(page, "review-judged")
    assert page.inner_text("#judged") == "3"
    assert page.get_attribute("article:nth-of-type(3) button[data-verdict=reject]", "aria-pressed") == "true"

    keys.press("k")  # up to the second text: another verdict replaces the first
    press(page, "a", ["accept", "accept", "reject"])
    assert page.inner_text("#judged") == "3"
    keys.press("k")
    keys.press("e")
    keys.press("Control+A")
    keys.type("Lift your left hand.")
    press(page, "Enter", ["edit", "accept", "reject"])

    keys.press("n")
    page.wait_for_url("**/variant/1")
    keys.press("n")
    page.wait_for_url("**/variant/2")
    assert "scaleX" in page.inner_html("style") and page.query_selector(".mirrored img")
    keys.press("p")
    page.wait_for_url("**/variant/1")
    keys.press("p")
    page.wait_for_url("**/variant/0")
    assert verdicts(page) == ["edit", "accept", "reject"]
    keys.press("o")
    page.wait_for_url("**/variant/1")

    with Reviews(root, "anna") as stored:
        texts = stored.variant(0)["texts"]
    assert [(t["verdict"], t["edited"]) for t in texts] == [
        ("edit", "Lift your left hand."), ("accept", ""), ("reject", ""),
    ]  # fmt: skip
    assert texts[1]["text"] == machine


def test_pictures_stay_in_sight_and_a_dead_server_is_told(page: Any, server: tuple[str, Any]) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    for key in "jj":
        page.keyboard.press(key)
    until(lambda: "current" in page.query_selector_all("article")[2].get_attribute("class"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.query_selector(".pair img").bounding_box()
    current = page.query_selector("article.current .text").bounding_box()
    assert box["y"] >= 0 and current["y"] >= box["y"] + box["height"]
    shot(page, "review-phone")
    server[1].terminate()
    server[1].wait(30)
    page.keyboard.press("a")
    page.wait_for_selector("text=Not saved: the server has stopped")
    assert page.query_selector_all("article")[2].get_attribute("data-verdict") == ""


def test_what_was_reviewed_is_exported(page: Any, root: Path) -> None:
    press(page, "a", ["accept", "", ""])
    press(page, "a", ["accept", "accept", ""])
    page.keyboard.press("e")
    page.keyboard.press("Control+A")
    page.keyboard.type("Lift both hands.")
    press(page, "Enter", ["accept", "accept", "edit"])
    export_texts(root)
    with Reviews(root, "anna") as stored:
        row = stored.rows[0]
    pair = next(p for p in load_corpus(root).pairs[Split.TRAIN] if p.reference == row.item.reference)
    assert pair.texts["mllm"][2] == "Lift both hands."
    assert {note["by"] for note in pair.extra["reviewed"]["mllm"]} == {"anna"}
