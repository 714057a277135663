"""Any embedder goes through index, search, evaluate and compare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.errors import ConfigError
from autocompose.core.files import read_json
from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.evaluate.questions import evaluate_model
from autocompose.gallery.gallery_folder import read_config
from autocompose.gallery.indexing.index import build
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage.vectors import normalise
from autocompose.model.embedders.embedder import unit
from autocompose.model.embedders.endpoint.endpoint_model import EndpointModel
from autocompose.model.embedders.naming import open_embedder
from autocompose.model.embedders.options import EmbedderOptions
from tests.fixtures.corpora import make_corpus
from tests.fixtures.embeddings_server import embeddings_server
from tests.gallery.fakes import FakeModel, photos
from tests.model.embedders.endpoint.test_endpoint_model import colour, options, without_both

pytestmark = pytest.mark.usefixtures("no_hub")
load_verbs()
TEXT = "raise the left arm"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a val part, on which weights are fitted."""
    made = make_corpus(tmp_path_factory.mktemp("corpus"))
    pairs, galleries = dict(made.pairs), dict(made.galleries)
    pairs[Split.VAL], galleries[Split.VAL] = pairs[Split.TRAIN], galleries[Split.TRAIN]
    replace(made, pairs=pairs, galleries=galleries).save()
    return made.root


@contextmanager
def named(kind: str, folders: dict[str, Path]) -> Iterator[str]:
    if kind in folders:
        yield f"st:{folders[kind]}" if kind.startswith("st") else str(folders[kind])
    else:
        with embeddings_server(colour if kind == "joint server" else without_both) as fake:
            yield f"{fake.url}#tiny"


@pytest.fixture(scope="session")
def folders(siglip: Path, st_clip: Path, st_joint: Path, run_folder: Path) -> dict[str, Path]:
    return {"siglip": siglip, "st clip": st_clip, "st joint": st_joint, "own": run_folder}


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("st clip", "st joint", "server of two towers")]


@pytest.mark.parametrize("kind", ["siglip", "joint server", *SLOW])
def test_index_search_evaluate_compare(
    kind: str, folders: dict[str, Path], corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, follows = tmp_path / "options.toml", kind != "siglip"  # instructions
    file.write_text('picture_format = "png"\n[limits]\nslots = 2\n' if "server" in kind else "batch_size = 5\n")
    with named(kind, folders) as name:
        _searches(name, file, ["--document-prompt", "a person"] if follows else [], tmp_path, capfd)
        evaluated = ["evaluate", name, str(corpus), "--model-options", str(file)]
        assert run([*evaluated, "--out", str(tmp_path / "one"), *(["--query-prompt", TEXT] if follows else [])]) == 0
        assert run([*evaluated, "--out", str(tmp_path / "two"), "--text-weight", "1"]) == 0
    metrics = read_json(tmp_path / "one/metrics.json")
    joint = "joint" in kind
    assert metrics["model"]["composition"] == ("picture and text together" if joint else "weighted sum")
    assert ("text_weight" in metrics["model"]) is not joint and metrics["recall_at50"] == 100
    assert read_json(tmp_path / "two/metrics.json")["model"]["text_weight"] == 1
    assert run(["evaluate", str(folders["own"]), str(corpus), "--out", str(tmp_path / "own")]) == 0
    capfd.readouterr()
    assert run(["compare", str(tmp_path / "own"), str(tmp_path / "one")]) == 0
    assert "recall_at1" in capfd.readouterr().out


def _searches(name: str, file: Path, more: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gallery = tmp_path / "g"
    index = ["index", str(photos(tmp_path / "photos", 6)), str(gallery), "--model", name, "--no-poses"]
    assert run([*index, "--model-options", str(file), *more]) == 0
    capfd.readouterr()
    assert run(["search", str(gallery), "--reference", "a/00001.png", "--text", TEXT, "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    config = read_config(gallery)
    assert (
        config is not None and config.model == name and config.model_options.keys() <= set(EmbedderOptions.model_fields)
    )
    assert config.model_options.get("document_prompt", "") == (more or ["", ""])[1]
    model = open_embedder(name, EmbedderOptions.parse(config.model_options))
    opened = Gallery.open(gallery)
    items = {item.path: item for item in opened.store.items()}
    pictures = [opened.picture_path(item) for item in items.values()]
    vectors = opened.store.vectors([item.id for item in items.values()])
    np.testing.assert_allclose(vectors, model.embed_images(pictures), atol=1e-4)
    query = model.compose_pictures([opened.picture_path(items["a/00001.png"])], [TEXT])[0]
    scores = dict(zip(items, normalise(vectors) @ query, strict=True))
    for row in answer["results"]:
        assert row["score"] == pytest.approx(scores[row["path"]], abs=1e-4)
    assert run([*index, "--model-options", str(file), "--document-prompt", "another"]) == 2
    why = "index the pictures again into another folder" if more else "document-prompt has no effect on this model"
    assert why in capfd.readouterr().err
    assert run(index) == 0  # a second run uses the gallery's settings
    opened.close()


def test_mirrored_and_outside_references_reach_a_joint_model(tmp_path: Path, st_joint: Path) -> None:
    root, model = photos(tmp_path / "photos", 4), open_embedder(f"st:{st_joint}")
    build(root, model, tmp_path / "g", model_name=model.name)
    gallery = Gallery.open(tmp_path / "g")
    path = root / "a/00001.png"
    picture = Image.open(path).convert("RGB")
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for reference, shown, mirror in (("a/00001.png", mirrored, True), (picture, picture, False)):
        answer = gallery.search(TEXT, reference=reference, mirror=mirror, engine="learned", k=3)
        query = model.compose_pictures([shown], [answer.text])[0]
        for hit in answer:
            vector = gallery.store.vectors([hit.item.id])[0]
            assert hit.score == pytest.approx(float(unit(vector[None])[0] @ query), abs=1e-4)
    gallery.close()


def test_a_refused_picture_is_counted_and_the_rest_is_indexed(tmp_path: Path) -> None:
    with embeddings_server(colour) as fake:
        model = open_embedder(f"{fake.url}#x", options(limits={"slots": 1}))
        assert model.dim == 16
        fake.faults = ["", "400"]
        report = build(photos(tmp_path / "photos", 4), model, tmp_path / "g", model_name=model.name)
        assert report.tally.kept == 3 and report.tally.dropped == {"the model's server refused the picture": 1}
        again = build(tmp_path / "photos", model, tmp_path / "g", model_name=model.name)
        assert again.tally.kept == 4 and again.embedded == 1


def remote(
    name: str = "https://api.example.org/v1#m", consent: bool = False, sent: list | None = None
) -> EndpointModel:
    async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        if sent is not None:
            sent.append(body)
        return {"data": [{"embedding": [1.0, float(len(str(body)) % 7), 2.0]}]}

    return EndpointModel("https://api.example.org/v1#m", options(), consent, post)


def test_consent_is_given_once_for_a_gallery_and_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out, sent = photos(tmp_path / "photos", 3), tmp_path / "g", []
    with pytest.raises(ConfigError, match="pass --yes"):
        build(root, remote(sent=sent), out, model_name=remote().name)
    assert not sent
    build(root, remote(consent=True, sent=sent), out, model_name=remote().name)
    config = read_config(out)
    assert config is not None and config.destination == "api.example.org (m)" and sent
    opened = Gallery.open(out)
    assert opened.model is not None and opened.model.consent
    opened.close()
    elsewhere = Gallery.open(out, "https://other.example.org/v1#m")  # the same model at a host that nobody agreed to
    assert elsewhere.model is not None and not elsewhere.model.consent
    with pytest.raises(ConfigError, match=r"other\.example\.org"):
        elsewhere.search(TEXT, reference="a/00001.png", engine="learned")
    elsewhere.close()


def test_consent_is_kept_with_a_corpus(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pass --yes"):
        evaluate_model(remote(), corpus, cache=tmp_path)
    first, sent = evaluate_model(remote(consent=True), corpus, cache=tmp_path), []
    second = evaluate_model(remote(sent=sent), corpus, cache=tmp_path)
    assert len(sent) == 1  # only the probe: no vector is asked for twice
    np.testing.assert_array_equal(first.predictions, second.predictions)


def test_a_killed_evaluation_asks_for_nothing_twice(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autocompose.evaluate.embedding.CHUNK", 3)

    class Dying(FakeModel):
        def embed_images(self, images: Any) -> np.ndarray:
            if self.pictures >= 6:
                raise KeyboardInterrupt
            return super().embed_images([Image.open(path).convert("RGB") for path in images])

    with pytest.raises(KeyboardInterrupt):
        evaluate_model(Dying(), corpus, cache=tmp_path)
    model = Dying()
    model.pictures = -100
    evaluation = evaluate_model(model, corpus, cache=tmp_path)
    assert model.pictures == -100 + 20 - 6  # 8 pictures of test, 12 of val
    names = load_corpus(corpus).galleries[Split.TEST]
    direct = FakeModel().embed_images([Image.open(corpus / "images" / name).convert("RGB") for name in names])
    np.testing.assert_array_equal(evaluation.gallery, direct)


def test_the_default_folder_of_results_is_a_name(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with embeddings_server(colour) as fake:
        assert run(["evaluate", f"{fake.url}#Qwen/VL", str(corpus)]) == 0
        folder = f"{fake.url.removeprefix('http://').replace(':', '-').replace('/', '-')}-Qwen-VL"
    assert (tmp_path / folder / "test/metrics.json").exists()
