"""The page in a real browser: Debian's Chromium, driven by Playwright. Screenshots go to build/screenshots/."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autocompose.core.files import write_json
from autocompose.gallery.indexing.index import build
from autocompose.gallery.search import Gallery
from autocompose.model.embedders.own import RunFolder
from tests.fixtures.corpora import make_corpus, picture
from tests.gallery.test_serve import served
from tests.rerank.fakes import figures
from tests.simulator.process import simulator

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
ARGUMENTS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
TEXT = "raise the left arm"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    corpus = make_corpus(folder / "corpus", train=6, test=4)
    group = Image.new("RGB", (90, 30))
    group.paste(picture(500, (30, 30)), (60, 0))
    group.save(corpus.root / "images" / "group.png")
    write_json(corpus.root / "boxes.json", {"group.png": [[60, 0, 90, 30]]})
    build(corpus.root, RunFolder(run_folder), folder / "poses", model_name=run_folder)
    return folder / "poses"


@pytest.fixture(scope="module")
def url(gallery: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(gallery, tmp_path_factory.mktemp("scratch")) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium; install it with: apt-get install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, url: str) -> Iterator[OpenPage]:
    """Open the page in a fresh profile; a script error or a request to elsewhere fails the test."""
    faults: list[str] = []
    contexts = []

    def opened(path: str = "/", width: int = 1440, height: int = 900, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if _is_fault(m.text) else None)
        page.on("request", lambda r: None if r.url.startswith((url, "data:", "blob:")) else faults.append(r.url))
        page.goto(url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def _is_fault(message: str) -> bool:
    """Whatever the policy stops, but for the styles that screenshots inject."""
    return "Content Security Policy" in message and "inline style" not in message


def shot(page: Any, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=str(SHOTS / f"{name}.png"))


def results(page: Any) -> list[str]:
    return [c.get_attribute("data-key") for c in page.query_selector_all("main.answered .card")]


def test_upload_type_results_trail_back_and_shared_address(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    shot(page, "start")
    picture(900, (640, 480)).save(tmp_path / "mine.jpg")
    page.set_input_files("#file", str(tmp_path / "mine.jpg"))
    page.wait_for_selector("main.answered .chosen img")
    assert page.get_attribute(".chosen img", "src").startswith("/uploads/u-")
    page.fill("#text", TEXT)
    page.wait_for_selector("#reading .chip")
    assert "left arm" in page.inner_text("#reading")
    page.click("text=Search >> visible=true")
    page.wait_for_selector("text=like the reference, with your change")
    first = results(page)
    assert len(first) == 24 and "text=raise+the+left+arm" in page.url
    shot(page, "results")

    page.click(f'.card[data-key="{first[0]}"] .go')  # go on from the best result
    page.wait_for_selector(".trail")
    assert f"ref={first[0]}" in page.url and first[0] not in results(page)
    assert TEXT in page.inner_text(".trail")
    page.fill("#text", "bend both knees")
    page.press("#text", "Enter")
    page.wait_for_selector('.trail li[aria-current] >> text="bend both knees"')
    shot(page, "trail")
    shared, last = page.url, results(page)

    page.go_back()
    page.wait_for_selector('.trail li[aria-current] >> text="now: similar poses"')
    page.go_back()
    page.wait_for_selector("main.answered >> text=like the reference, with your change")
    assert results(page) == first
    page.go_forward()
    page.wait_for_selector(".trail")
    assert results(open_page(shared.split("/", 3)[3].join(["/", ""]))) == last
    page.click(".trail a")
    page.wait_for_selector(".trail", state="detached")
    assert results(page) == first


def test_keyboard_only(open_page: OpenPage) -> None:
    page = open_page()
    keys = page.keyboard
    keys.press("ArrowRight")  # the first sample ...
    keys.press("ArrowRight")
    keys.press("ArrowDown")
    keys.press("ArrowUp")
    assert page.evaluate("document.activeElement.className") == "go"
    keys.press("Enter")  # ... becomes the reference
    page.wait_for_selector("main.answered .chosen")
    keys.press("Escape")
    keys.press("/")
    keys.type(TEXT)
    keys.press("Enter")
    page.wait_for_selector("text=like the reference, with your change")
    first = results(page)
    keys.press("Escape")
    keys.press("ArrowRight")
    keys.press("c")
    assert page.is_visible("#compare")
    keys.press("Escape")
    assert not page.is_visible("#compare")
    keys.press("+")
    page.wait_for_selector("text=forget 1 choice")
    assert f"like={first[0]}" in page.url
    keys.press("Escape")
    keys.press("m")
    page.wait_for_selector('.tool[aria-pressed="true"]')
    assert "Raise the right arm".lower() in page.inner_text(".note.used").lower()
    keys.press("Escape")
    keys.press("Backspace")
    page.wait_for_selector('.tool[aria-pressed="false"]')
    keys.press("Escape")
    keys.press("?")
    assert page.is_visible("#help")
    shot(page, "help")


def test_everything_is_reached_with_tab(open_page: OpenPage) -> None:
    page = open_page(f"/?text={TEXT}")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"skip", "brand", "empty", "text", "button primary", "chip", "go", "mini"} <= reached


def test_compare_filter_sides_and_box(open_page: OpenPage) -> None:
    page = open_page(f"/?text={TEXT}")
    page.click("#tune summary")
    page.select_option('select[name="where"] >> nth=0', index=1)
    page.wait_for_selector("text=without filters")
    assert page.is_visible("#weight"), "the settings stay open"
    assert len(results(page)) == 4 and page.inner_text(".badge") == "1 set"
    page.click("text=left as I see it")
    page.wait_for_selector("text=assumed to face the camera")
    assert "raise the right arm" in page.inner_text(".note.used").lower()
    page.click("text=without filters")
    page.wait_for_selector("text=Show more")
    page.click("text=Show more")
    page.wait_for_selector(".card .marks rect")
    card = page.locator(".card", has=page.locator(".marks rect"))
    card.hover()
    card.locator('[data-act="compare"]').click()
    page.wait_for_load_state("networkidle")
    assert page.eval_on_selector("#compare-right img", "image => image.naturalWidth") == 90
    assert page.is_visible("#compare-right .marks rect") and not page.is_visible("#compare-left")
    shot(page, "compare")
    page.click("#compare >> text=Continue from this")
    page.wait_for_selector(".chosen .marks")
    rectangle = page.eval_on_selector(".chosen .marks rect", "r => r.getAttribute('x') + ' ' + r.getAttribute('width')")
    assert rectangle == "60 30"


def test_a_large_a_broken_and_a_too_large_picture(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    noise = np.random.default_rng(0).integers(0, 256, (2600, 2600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png", compress_level=0)
    assert (tmp_path / "large.png").stat().st_size > 20_000_000
    page.set_input_files("#file", str(tmp_path / "large.png"))
    page.wait_for_selector("main.answered .chosen img", timeout=60_000)
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "large.png").read_bytes()[:5000])
    page.set_input_files("#file", str(tmp_path / "broken.jpg"))
    page.wait_for_selector("#upload-state.bad >> text=damaged")
    shot(page, "broken-picture")
    assert results(page), "what was there stays"
    (tmp_path / "page.png").write_text("<html><script>alert(1)</script></html>")
    page.set_input_files("#file", str(tmp_path / "page.png"))
    page.wait_for_selector("#upload-state.bad >> text=not a JPEG, PNG or WebP")
    (tmp_path / "huge.png").write_bytes(b"x" * (33 << 20))
    page.set_input_files("#file", str(tmp_path / "huge.png"))
    page.wait_for_selector("#upload-state.bad >> text=the maximum is 32 MB")


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("desktop-dark", (1440, 900), {"color_scheme": "dark"}),
        ("tablet", (820, 1180), {}),
        ("phone", (390, 844), {"is_mobile": True, "has_touch": True}),
        ("phone-dark", (360, 740), {"is_mobile": True, "has_touch": True, "color_scheme": "dark"}),
    ],
)
def test_sizes_and_themes(open_page: OpenPage, name: str, size: tuple[int, int], options: dict[str, Any]) -> None:
    page = open_page("/", *size, **options)
    page.click(".card .go >> nth=0")
    page.wait_for_selector("main.answered")
    page.fill("#text", TEXT)
    page.click("button.primary >> nth=0")
    page.wait_for_selector("text=like the reference, with your change")
    shot(page, name)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    assert page.locator(".card >> nth=0").bounding_box()["y"] < size[1], "results are in sight"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(19, 21, 20)") == ("dark" in name)
    if options.get("has_touch"):
        small = page.eval_on_selector_all(
            ".tool, .mini, .button, textarea", "e => e.filter(x => x.offsetHeight && x.offsetHeight < 32).length"
        )
        assert small == 0
        page.tap('.card [data-act="compare"] >> nth=0')
        assert page.is_visible("#compare")
        shot(page, f"{name}-compare")
    else:
        page.click('[data-act="theme"]')
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != background


def test_error_and_warning_states(open_page: OpenPage) -> None:
    page = open_page(f"/?ref={'0' * 15}&text={TEXT}")
    assert "not in the gallery" in page.inner_text("[role=alert] >> visible=true")
    assert page.input_value("#text") == TEXT
    shot(page, "error")
    page.goto(page.url.split("?")[0] + "?text=blue+sky")
    assert "No body part" in page.inner_text("#reading")
    shot(page, "warning")
    page.fill("#text", "turn your head to the right")
    page.wait_for_selector("#reading .side-none, #reading .side-right")
    assert not page.is_visible("#reading .warning")


def test_without_javascript_links_and_form_still_work(open_page: OpenPage) -> None:
    page = open_page("/", java_script_enabled=False)
    page.click(".card .go >> nth=0")
    page.fill("#text", TEXT)
    page.click("button.primary >> nth=0")
    assert "like the reference, with your change" in page.inner_text(".summary")


def test_a_restarted_server_and_a_stopped_one(browser: Any, gallery: Path, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    with served(gallery, tmp_path) as (address, _):
        page.goto(f"{address}/")
        picture(901).save(tmp_path / "mine.png")
        page.set_input_files("#file", str(tmp_path / "mine.png"))
        page.wait_for_selector("main.answered .chosen img")
        lost, key = page.url.split("/", 3)[3], results(page)[0]
    page.fill("#text", TEXT)
    page.click("button.primary >> nth=0")
    page.wait_for_selector("#toast >> text=The server does not answer")
    shot(page, "server-gone")
    with served(gallery, tmp_path) as (address, _):
        page.goto(f"{address}/{lost}")
        assert "no longer kept" in page.inner_text("[role=alert] >> visible=true")
        page.goto(f"{address}/?ref={key}&text={TEXT}")
        assert results(page)
    context.close()


def test_the_gallery_of_the_test_has_what_is_tested(gallery: Path) -> None:
    opened = Gallery.open(gallery)
    assert opened.store.count() == 41 and opened.store.poses().joints.shape == (40, 22, 3)


def test_re_ranking_says_what_it_costs_and_shows_the_new_order(
    tmp_path_factory: pytest.TempPathFactory, browser: Any, run_folder: Path
) -> None:
    folder = tmp_path_factory.mktemp("rerank")
    corpus = figures(folder / "corpus", 12, 1)
    build(corpus.root / "images", RunFolder(run_folder), folder / "g", model_name=run_folder)
    (folder / "scratch").mkdir()
    wanted = folder / "wanted.json"
    wanted.write_text(json.dumps({f"{n} {TEXT}": 17 for n in range(24)}))
    with simulator(wanted, "chooser", latency=0.3) as model:
        options = ("--rerank", "mllm", "--rerank-model", "sim-vl", "--rerank-url", model.url)
        with served(folder / "g", folder / "scratch", *options) as (address, _):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            start = Gallery.open(folder / "g").item("00000.png").key
            page.goto(f"{address}/?ref={start}&text={TEXT.replace(' ', '+')}&engine=learned&k=10")
            assert "Sends the reference and 10 results to 127.0.0.1" in page.inner_text(".rerank")
            shot(page, "rerank-offer")
            place = next(i for i, title in enumerate(_titles(page)) if title == "00017.png")
            assert 0 < place < 10
            page.click("text=Re-rank the first 10 with sim-vl")
            page.wait_for_selector(".rerank button:disabled")
            page.wait_for_selector("text=re-ranked the first 10 results")
            assert _titles(page)[0] == "00017.png"
            assert page.query_selector(".rerank") is None
            assert "/rerank" not in page.url
            shot(page, "rerank-done")
            page.set_viewport_size({"width": 390, "height": 844})
            page.goto(f"{address}/?ref={start}&text={TEXT.replace(' ', '+')}&engine=learned&k=10")
            shot(page, "rerank-phone")
            page.close()
        assert model.stats()["answered"] == 2  # the probe, and one question


def _titles(page: Any) -> list[str]:
    return [card.get_attribute("title") for card in page.query_selector_all(".card .pose")]
