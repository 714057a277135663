"""Re-ranking the answers of a gallery, in Python, on the command line's terms, and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from autocompose.bodies.convert import SKELETONS
from autocompose.cli import query as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import AnnotationError, ConfigError, InputError
from autocompose.describe.mllm.asking.sent_pictures import STRENGTH
from autocompose.describe.mllm.asking.side_views import COLOURS
from autocompose.describe.mllm.asks import Answer, Ask, Fault, FaultKind
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.gallery.answer import Reference
from autocompose.gallery.indexing.index import build
from autocompose.gallery.item import Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.request import SearchRequest
from autocompose.gallery.reranked import Reranking
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.app import create_app
from autocompose.rerank.settings import Reranker
from tests.gallery.fakes import FakeModel
from tests.rerank.fakes import Fake, figures, reranker
from tests.simulator.chooser import Chooser, Mistakes

TEXT = "Do it otherwise."
REMOTE = Endpoint(base_url="https://models.example/v1", key_env="SIM_KEY")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of 24 figures."""
    root = tmp_path_factory.mktemp("figures")
    figures(root, 12, 1)
    build(root / "images", FakeModel(), root / "g")
    return root / "g"


@pytest.fixture
def gallery(made: Path) -> Iterator[Gallery]:
    (made / "rerank.sqlite").unlink(missing_ok=True)
    opened = Gallery.open(made, FakeModel())
    yield opened
    opened.close()


def wanting(item: Item, mistakes: Mistakes | None = None) -> Chooser:
    """A model that thinks that this figure is wanted, whatever the reference."""
    number = int(Path(item.path).stem)
    return Chooser({f"{reference} {TEXT}": number for reference in range(24)}, mistakes or Mistakes())


def asked(gallery: Gallery, model: Reranker, k: int = 12, **changes: Any) -> Reranking:
    values = {"ref": gallery.item("00000.png").key, "text": TEXT, "k": k, **changes}
    request = SearchRequest.parse(values, "test")
    return Reranking(gallery, request, gallery.answer(request), model)


def test_the_wanted_result_comes_first_and_the_others_stay_in_order(gallery: Gallery) -> None:
    reranking = asked(gallery, reranker())
    plain = reranking.answer
    answer = reranking.run(send=(fake := Fake(wanting(plain[7].item))))
    assert [hit.item.key for hit in answer] == [hit.item.key for hit in [plain[7], *plain[:7], *plain[8:]]]
    assert [hit.rank for hit in answer] == list(range(1, 13))
    assert answer[0].score == plain[7].score
    assert answer.reranked == answer.record()["reranked"] == 10
    assert answer.notes[-1] == "sim at 127.0.0.1:9 re-ranked the first 10 results."
    assert len(fake.questions) == 1
    assert len(fake.questions[0].pictures) == 2
    assert Reranking(gallery, reranking.request, answer, reranker()).count == 0  # not once more
    assert reranking.run(send=Fake()).hits == answer.hits  # from the journal


def test_results_behind_the_first_are_not_sent(gallery: Gallery) -> None:
    reranking = asked(gallery, reranker(top=3))
    answer = reranking.run(send=Fake(wanting(reranking.answer[5].item)))
    assert [hit.item.key for hit in answer][3:] == [hit.item.key for hit in reranking.answer][3:]
    assert {hit.item.key for hit in answer[:3]} == {hit.item.key for hit in reranking.answer[:3]}


def test_a_text_alone_is_asked_without_a_reference(gallery: Gallery) -> None:
    reranking = asked(gallery, reranker(), ref="")

    def best(ask: Ask, _: int) -> Answer:
        assert len(ask.pictures) == 1
        assert "Reference:" not in ask.text
        return Answer('{"best": []}')

    answer = reranking.run(send=Fake(before=best))
    assert answer.hits == reranking.answer.hits
    assert answer.notes[-1] == "sim at 127.0.0.1:9 was asked and changed nothing (none fits)."


def test_a_mirrored_reference_is_shown_mirrored(gallery: Gallery) -> None:
    fake = Fake(before=lambda ask, _: Answer('{"best": [1]}'))
    asked(gallery, reranker()).run(send=fake)
    asked(gallery, reranker(), mirror=True).run(send=fake)
    assert len({ask.pictures[0].hash for ask in fake.questions}) == 2


def test_what_a_model_refuses_changes_nothing(gallery: Gallery) -> None:
    reranking = asked(gallery, reranker())
    fake = Fake(wanting(reranking.answer[1].item, Mistakes(refuse=1)))
    answer = reranking.run(send=fake)
    assert answer.hits == reranking.answer.hits
    assert answer.reranked == 0
    assert "changed nothing (refused)" in answer.notes[-1]
    assert len(fake.questions) == 2  # asked again once


def test_a_text_is_needed(gallery: Gallery) -> None:
    with pytest.raises(InputError, match="re-ranking needs a text"):
        asked(gallery, reranker(), text="").run(send=Fake())


def test_pictures_leave_the_machine_only_with_consent(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIM_KEY", "secret")
    reranking = asked(gallery, reranker(endpoint=REMOTE, model="gpt-4o"))
    assert reranking.price == "about $0.002 at prices of 2025-08"
    fake = Fake(wanting(reranking.answer[1].item))
    with pytest.raises(ConfigError, match=r"the reference and 10 results would be sent to models.example \(gpt-4o, .*"):
        reranking.run(send=fake)
    assert not fake.asks
    assert reranking.run(yes=True, send=fake).reranked == 10


def test_a_budget_that_is_used_up(gallery: Gallery) -> None:
    with pytest.raises(AnnotationError, match="has not re-ranked the results: its budget is reached"):
        asked(gallery, reranker(Limits(max_tokens=100))).run(send=Fake())


def test_limbs_are_tinted_where_landmarks_are_seen(gallery: Gallery) -> None:
    """A person in the right half of a wide picture, cut out; the left arm is blue, the right one unseen."""
    landmarks = np.zeros((33, 3), np.float32)
    names = SKELETONS["mediapipe33"]
    for side, x in (("left", 160.0), ("right", 120.0)):
        for joint, y in zip(
            ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"), (20, 40, 60, 60, 75, 90), strict=True
        ):
            landmarks[names.index(f"{side}_{joint}")] = x, y, 0.9
    landmarks[names.index("right_elbow"), 2] = 0.1
    pose = Pose(np.zeros((22, 3), np.float32), np.zeros(22, np.float32), landmarks)
    picture = Image.new("RGB", (64, 64), "white")  # the box, scaled by 0.64
    reference = Reference(lambda: picture, pose=pose, box=(100, 0, 200, 100), size=(200, 100))
    reranking = asked(gallery, reranker(size=64))
    shown = reranking._start(reference)
    assert shown.tinted
    blue, orange = _paint("left"), _paint("right")
    image = np.asarray(shown.image, int)
    assert np.abs(image[26, 38] - blue).max() < 3
    assert (image[26, 13] == 255).all()  # the right elbow is not seen
    assert np.abs(image[48, 13] - orange).max() < 3  # the right leg is
    flipped = replace(reranking, request=reranking.request.model_copy(update={"mirror": True}))._start(reference)
    assert np.abs(np.asarray(flipped.image, int)[26, 63 - 38] - orange).max() < 3  # the left arm has become the right


def _paint(side: str) -> np.ndarray:
    """The colour of a tinted white picture."""
    return 255 + (np.array(COLOURS[side]) - 255) * STRENGTH / 255


@pytest.fixture
def client(gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    class Connected(Fake):
        def __init__(self, *_: object) -> None:
            super().__init__(wanting(asked(gallery, reranker(), k=24).answer[4].item))

        async def __aenter__(self) -> Connected:
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("autocompose.describe.mllm.sending.crew.Client", Connected)
    app = create_app(gallery, tmp_path, reranker=reranker())
    with TestClient(app, "http://localhost") as opened:
        yield opened


def test_over_http(client: TestClient, gallery: Gallery) -> None:
    query = {"ref": gallery.item("00000.png").key, "text": TEXT}
    plain = client.get("/api/search", params=query).json()
    answer = client.post("/api/rerank", params=query).json()
    assert answer["results"][0]["id"] == plain["results"][4]["id"]
    assert answer["reranked"] == 10
    assert plain["reranked"] == 0


def test_the_button_says_what_is_sent_and_asks_only_when_it_is_pressed(client: TestClient, gallery: Gallery) -> None:
    query = {"ref": gallery.item("00000.png").key, "text": TEXT}
    page = client.get("/", params=query).text
    assert "Re-rank the first 10 with sim" in page
    assert "Sends the reference and 10 results to 127.0.0.1:9, on this machine, free of charge." in page
    assert not (gallery.folder / "rerank.sqlite").exists()  # nothing has been asked
    assert client.get("/rerank", params=query).status_code == 405  # an address alone asks nothing
    ordered = client.post("/rerank", params=query)
    assert ordered.headers["hx-push-url"].startswith("/?ref=")
    assert "sim at 127.0.0.1:9 re-ranked the first 10 results." in ordered.text
    assert "Re-rank" not in ordered.text
    foreign = client.post("/rerank", params=query, headers={"origin": "https://elsewhere.example"})
    assert foreign.status_code == 403
    assert "Re-rank" not in client.get("/", params={"ref": query["ref"]}).text  # no text, nothing to decide by


def test_a_model_that_is_away_leaves_the_page_as_it_was(
    client: TestClient, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Answer:
        raise Fault(FaultKind.RUN_FAILED, "key", "refuses the key")

    from autocompose.describe.mllm.sending import crew

    monkeypatch.setattr(crew.Client, "__call__", away)
    query = {"ref": gallery.item("00000.png").key, "text": TEXT}
    page = client.post("/rerank", params=query)
    assert page.status_code == 200
    assert "sim could not be asked, so the order is as it was." in page.text
    assert client.post("/api/rerank", params=query).status_code == 503


def test_without_a_model_there_is_no_button(gallery: Gallery, tmp_path: Path) -> None:
    with TestClient(create_app(gallery, tmp_path), "http://localhost") as client:
        query = {"text": TEXT}
        assert "Re-rank the" not in client.get("/", params=query).text
        assert client.post("/api/rerank", params=query).status_code in (404, 405)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rerank", "gpt"], "--rerank gpt: expected mllm"),
        (["--rerank", "mllm"], "name the model with --rerank-model"),
        (["--rerank", "mllm", "--rerank-model", "m", "--rerank-way", "both"], "way"),
        (["--rerank", "mllm", "--rerank-model", "m", "--rerank-url", "here"], "expected an address"),
        (["--rerank", "mllm", "--rerank-model", "nobody", "--max-cost", "1"], "the price of nobody is unknown"),
    ],
)
def test_wrong_options_are_one_line(
    gallery: Gallery, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert run(["search", str(gallery.folder), TEXT, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_serve_wants_the_key_before_it_starts(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIM_KEY", raising=False)
    with pytest.raises(ConfigError, match="SIM_KEY is not set"):
        reranker(endpoint=REMOTE).check()
