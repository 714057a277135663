"""A model behind a loopback endpoint: the model's own features, and every fault of servers and networks."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autocompose.core.errors import AnnotationError, ConfigError, ImageError
from autocompose.model.embedders.embedder import RefusedInputsError, unit
from autocompose.model.embedders.endpoint.endpoint_model import EndpointModel
from autocompose.model.embedders.naming import open_embedder
from autocompose.model.embedders.open_clip_model import OpenClipModel
from autocompose.model.embedders.options import COMPOSED_PROMPT, TEXT_PROMPT, EmbedderOptions
from autocompose.model.embedders.sentence_model import SentenceModel
from tests.fixtures.embedders import noise
from tests.fixtures.embeddings_server import FakeEndpoint, embeddings_server

pytest.importorskip("openai")
pytestmark = pytest.mark.usefixtures("no_hub")
DIM = 16
QUICK = {"backoff": 0.01, "tries": 3, "slots": 4, "deadline": 5.0}
TEXTS = ["raise your left arm", "a person sits"]


def colour(prompt: str, picture: Image.Image | None, text: str) -> np.ndarray:
    """A model that looks at everything it is given."""
    seed = sum(map(ord, prompt + text)) % 2**31
    words = np.random.default_rng(seed).normal(size=DIM) if text else np.zeros(DIM)
    pixels = np.asarray(picture.resize((4, 4)).convert("L"), float).ravel() / 255 if picture else np.zeros(DIM)
    return words + pixels + 0.01


def without_both(prompt: str, picture: Image.Image | None, text: str) -> np.ndarray:
    if picture is not None and text:
        raise ValueError("CLIP takes a text or an image, not both")
    return colour(prompt, picture, text)


def options(**more: object) -> EmbedderOptions:
    return EmbedderOptions.parse({"limits": QUICK, "picture_format": "png", "batch_size": 4, **more})


@pytest.fixture
def server() -> Iterator[FakeEndpoint]:
    with embeddings_server(colour) as fake:
        yield fake


def opened(fake: FakeEndpoint, **more: object) -> EndpointModel:
    model = open_embedder(f"{fake.url}#tiny/model", options(**more))
    assert isinstance(model, EndpointModel)
    return model


@pytest.mark.parametrize("packed", [True, False])
def test_a_joint_model_gets_conversations(packed: bool, tmp_path: Path) -> None:
    with embeddings_server(colour, base64=packed) as fake:
        model, pictures = opened(fake, document_prompt="look", body={"dimensions": DIM}), [noise(1), noise(2, 60, 30)]
        pictures[1].save(tmp_path / "two.png")
        assert model.joint and model.learned and model.destination == ""
        fake.bodies.clear()
        given = [pictures[0], tmp_path / "two.png"]
        images, both = model.embed_images(given), model.compose_pictures(given, TEXTS)
        np.testing.assert_allclose(images, [colour("look", p, "") for p in pictures], atol=1e-5)
        expected = [colour(COMPOSED_PROMPT, p, t) for p, t in zip(pictures, TEXTS, strict=True)]
        np.testing.assert_allclose(both, unit(np.array(expected)), atol=1e-5)
        texts = model.embed_texts(TEXTS)
        np.testing.assert_allclose(texts, [colour(TEXT_PROMPT, None, t) for t in TEXTS], atol=1e-5)
        assert all("messages" in body and "input" not in body for body in fake.bodies)
        assert {body["model"] for body in fake.bodies} == {"tiny/model"} and fake.bodies[0]["dimensions"] == DIM
        assert len(fake.bodies) == 6 and model.dim == DIM
        model.embed_texts(TEXTS)
        assert len(fake.bodies) == 6 + 1  # that of `dim`: texts are asked for once
        assert model.requests.tokens >= 6 * 50


def test_a_model_of_two_towers_gets_lists_of_texts_and_is_added(siglip: Path) -> None:
    local = OpenClipModel(str(siglip))

    def embed(prompt: str, picture: Image.Image | None, text: str) -> np.ndarray:
        if picture is not None and text:
            raise ValueError("not both")
        return (local.embed_images([picture]) if picture else local.embed_texts([text]))[0]

    with embeddings_server(embed) as fake:
        model, pictures = opened(fake), [noise(1), noise(2, 60, 30)]
        assert not model.joint
        image, text = model.embed_images(pictures), model.embed_texts([*TEXTS, "up", "down", "left", "right"])
        np.testing.assert_allclose(image, local.embed_images(pictures), atol=1e-5)
        np.testing.assert_allclose(text[:2], local.embed_texts(TEXTS), atol=1e-5)
        assert sorted(len(body["input"]) for body in fake.bodies if "input" in body) == [1, 1, 2, 2, 4]
        expected = unit(unit(image) + unit(text[:2]))
        np.testing.assert_allclose(model.compose_pictures(pictures, TEXTS), expected, atol=1e-5)


def test_a_real_joint_model_behind_a_server_gives_the_same(st_joint: Path) -> None:
    local = SentenceModel(str(st_joint))

    def embed(prompt: str, picture: Image.Image | None, text: str) -> np.ndarray:
        given = {**({"image": picture} if picture else {}), **({"text": text} if text else {})}
        return local.loaded.encode_query([given], prompt=prompt or None)[0]

    with embeddings_server(embed) as fake:
        model, pictures = opened(fake), [noise(1), noise(2, 60, 30)]
        found = model.compose_pictures(pictures, TEXTS)
        np.testing.assert_allclose(found, local.compose_pictures(pictures, TEXTS), atol=1e-5)
        np.testing.assert_allclose(model.embed_images(pictures), local.embed_images(pictures), atol=1e-5)
        np.testing.assert_allclose(model.embed_texts(TEXTS), local.embed_texts(TEXTS), atol=1e-5)


def test_a_weight_asks_for_no_joint_input(server: FakeEndpoint) -> None:
    model = opened(server, text_weight=0.3)
    image, text = model.embed_images([noise(1)]), model.embed_texts(TEXTS[:1])
    expected = unit(0.7 * unit(image) + 0.3 * unit(text))
    np.testing.assert_allclose(model.compose_pictures([noise(1)], TEXTS[:1]), expected, atol=1e-5)
    assert not model.joint and all(_kinds(body) != {"image_url", "text"} for body in server.bodies)


def _kinds(body: dict) -> set[str]:
    return {part["type"] for message in body.get("messages", []) for part in message["content"]}


def test_a_turn_that_stays_open_is_added_where_the_model_wants_it(server: FakeEndpoint) -> None:
    opened(server, body={"continue_final_message": True, "add_special_tokens": True}).embed_images([noise(1)])
    body = server.bodies[-1]
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": ""}]}
    assert body["continue_final_message"] is True


def test_large_pictures_are_reduced_before_they_are_sent(server: FakeEndpoint, tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1000), (9, 99, 9)).save(tmp_path / "large.jpg", exif=b"Exif\x00\x00secret place")
    opened(server, picture_side=128, picture_format="jpeg").embed_images([tmp_path / "large.jpg"])
    url = server.bodies[-1]["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,") and len(url) < 4000
    with pytest.raises(ImageError, match=r"none\.jpg"):
        opened(server).embed_images([tmp_path / "none.jpg"])


# -- faults


@pytest.mark.parametrize(
    "fault", ["500", "429", "html", "cut", "nan", "zero", "fewer", "more", "twice", "text", "no data"]
)
def test_a_fault_that_passes_changes_nothing(server: FakeEndpoint, fault: str) -> None:
    model, pictures = opened(server, text_weight=0.5), [noise(i) for i in range(6)]
    model.embed_texts(["up", "down"])  # finds out whether the server takes lists
    server.bodies.clear()
    expected = [colour("", p, "") for p in pictures]
    server.faults = [fault, "", fault]
    np.testing.assert_allclose(model.embed_images(pictures), expected, atol=1e-5)
    assert len(server.bodies) == 8
    server.faults = [fault]
    np.testing.assert_allclose(model.embed_texts(TEXTS), [colour("", None, t) for t in TEXTS], atol=1e-5)


def test_vectors_in_another_order_are_sorted_by_their_index(server: FakeEndpoint) -> None:
    model = opened(server, text_weight=0.5)
    model.embed_texts(["up", "down"])
    server.faults = ["order"]
    np.testing.assert_allclose(model.embed_texts(TEXTS), [colour("", None, t) for t in TEXTS], atol=1e-5)


def test_texts_go_one_by_one_where_a_list_gives_other_vectors(
    server: FakeEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    server.always = "first"  # llama.cpp does so with some models
    found = opened(server, text_weight=0.5).embed_texts(TEXTS)
    np.testing.assert_allclose(found, [colour("", None, t) for t in TEXTS], atol=1e-5)
    assert "differently from each alone" in " ".join(capsys.readouterr().err.split())


def test_a_slow_answer_is_asked_for_again(server: FakeEndpoint) -> None:
    server.faults = ["slow"]
    model = opened(server, limits={**QUICK, "deadline": 0.5})
    np.testing.assert_allclose(model.embed_images([noise(1)]), [colour("", noise(1), "")], atol=1e-5)
    assert len(server.bodies) == 2


def test_a_rate_limit_pauses_everybody_as_long_as_the_server_says(server: FakeEndpoint) -> None:
    server.faults = ["429"]
    begun = time.monotonic()
    opened(server).embed_images([noise(1)])
    assert time.monotonic() - begun >= 0.2


def test_no_more_requests_than_slots_are_in_flight(server: FakeEndpoint) -> None:
    def slow(*parts: Any) -> np.ndarray:
        time.sleep(0.05)  # long enough for the next request to arrive
        return colour(*parts)

    server.embed = slow
    opened(server).embed_images([noise(i) for i in range(24)])
    assert 1 < server.peak <= 4 and len(server.bodies) == 24


def test_refused_inputs_are_named_and_the_others_kept(server: FakeEndpoint) -> None:
    server.faults = ["", "400"]
    model = opened(server, limits={**QUICK, "slots": 1})
    with pytest.raises(RefusedInputsError, match="1 of 3 inputs were refused; input 1: 400: fault 400") as caught:
        model.embed_images([noise(i) for i in range(3)])
    found = caught.value.features
    assert caught.value.reasons.keys() == {1} and np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], [colour("", noise(i), "") for i in (0, 2)], atol=1e-5)


def test_a_vector_that_is_never_right_is_refused_with_the_reason(server: FakeEndpoint) -> None:
    server.faults = ["nan"] * 3
    with pytest.raises(RefusedInputsError, match="not finite"):
        opened(server).embed_images([noise(1)])
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("fault", "why"), [("401", "refuses the key"), ("404", "knows no such model"), ("html", "faults in a row")]
)
def test_what_no_request_will_survive_ends_the_work(server: FakeEndpoint, fault: str, why: str) -> None:
    server.always = fault
    model = opened(server, limits={**QUICK, "breaker": 5})
    with pytest.raises(AnnotationError, match=why):
        model.embed_images([noise(i) for i in range(40)])
    assert len(server.bodies) < 15


def test_another_dimension_ends_the_work(server: FakeEndpoint) -> None:
    model = opened(server, text_weight=0.5)
    model.embed_images([noise(1)])
    server.faults = ["dimension"]
    with pytest.raises(AnnotationError, match="vectors of 7 and 16 numbers; is another model behind this address"):
        model.embed_images([noise(2)])


def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(AnnotationError, match=r"nothing listens at .*the address in --model"):
        open_embedder("http://127.0.0.1:9/v1#x", options()).embed_texts(["a"])


def test_a_server_without_pictures_is_one_line() -> None:
    def words(prompt: str, picture: Image.Image | None, text: str) -> np.ndarray:
        if picture:
            raise ValueError("this model takes no images")
        return colour(prompt, picture, text)

    with embeddings_server(words) as fake, pytest.raises(AnnotationError, match=r"takes no pictures .*no images"):
        opened(fake).embed_texts(["a"])


def test_ctrl_c_ends_the_wait_and_leaves_the_model_usable(server: FakeEndpoint) -> None:
    model = opened(server)
    model.embed_images([noise(1)])
    server.faults = ["slow"] * 40
    interrupt = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        model.embed_images([noise(i) for i in range(40)])
    interrupt.join()
    server.faults = []
    assert model.embed_images([noise(3)]).shape == (1, DIM) and len(server.bodies) < 20


# -- names, consent, processes


@pytest.mark.parametrize("name", ["http://127.0.0.1:8000/v1", "http://#x", "https://#"])
def test_an_address_without_its_parts_is_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match=r"expected"):
        open_embedder(name)


def test_nothing_leaves_the_machine_without_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []

    async def post(path: str, body: dict) -> dict:
        sent.append(body)
        return {"data": [{"embedding": [1.0, 2.0]}]}

    def use(consent: bool) -> EndpointModel:
        return EndpointModel("https://api.example.org/v1#m", options(), consent, post)

    for call in (lambda m: m.embed_images([noise(1)]), lambda m: m.embed_texts(["a"]), lambda m: m.joint):
        with pytest.raises(ConfigError, match=r"sent to api\.example\.org \(m\); pass --yes"):
            call(use(False))
    assert not sent
    assert use(True).embed_images([noise(1)]).tolist() == [[1.0, 2.0]] and len(sent) == 1
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        EndpointModel("https://api.example.org/v1#m", options(), True).embed_texts(["a"])


def test_the_fingerprint_follows_what_changes_the_features_of_pictures(server: FakeEndpoint) -> None:
    first = opened(server).fingerprint
    changes = ({"document_prompt": "x"}, {"body": {"dimensions": 8}}, {"picture_side": 99}, {"picture_format": "jpeg"})
    assert len({first, *(opened(server, **change).fingerprint for change in changes)}) == 5
    for same in ({"query_prompt": "x"}, {"text_weight": 0.1}, {"limits": {"slots": 2}}):
        assert opened(server, **same).fingerprint == first
    other = pickle.loads(pickle.dumps(opened(server, document_prompt="x")))
    assert other.embed_images([noise(1)]).shape == (1, DIM) and other.options.document_prompt == "x"
