"""The verbs index and search, with a real model of random weights."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from autocompose.cli import query as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.answer_sheet import write_sheet
from autocompose.gallery.storage.vectors import normalise
from autocompose.model.checkpoint import load_model
from autocompose.model.embedders.own import RunFolder, run_fingerprint
from tests.gallery.fakes import photos

TEXT = "raise the left arm"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("command")
    root = photos(folder / "photos", 15)
    (root / "metadata.csv").write_text("path,person\na/00001.png,anna\na/00003.png,ben\n", "utf-8")
    assert run(["index", str(root), str(folder / "g"), "--model", str(run_folder)]) == 0
    return folder / "g"


def test_search_as_table_and_as_json(gallery: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["search", str(gallery), "--reference", "a/00005.png", "--text", TEXT, "-k", "4"]
    assert run(arguments) == 0
    table, notes = capfd.readouterr()
    assert "understood: left arm: up" in notes and table.count(".png") == 4
    assert run([*arguments, "--mirror"]) == 0
    assert "searched for: raise the right arm" in capfd.readouterr().err and "searched for" not in notes
    assert run([*arguments, "--json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert [r["path"] for r in answer["results"]] == re.findall(r"\S+\.png", table)
    assert run(["search", str(gallery), "--text", TEXT, "--where", "person=anna", "--json"]) == 0
    assert [r["path"] for r in json.loads(capfd.readouterr().out)["results"]] == ["a/00001.png"]


def test_a_real_model_composes_what_is_stored(gallery: Path, run_folder: Path) -> None:
    opened, model = Gallery.open(gallery), load_model(run_folder)
    items = list(opened.store.items())
    images = model.encode_images([opened.picture_path(i) for i in items])
    np.testing.assert_allclose(opened.store.vectors([i.id for i in items]), images, atol=1e-4)
    row = next(r for r, i in enumerate(items) if i.path == "a/00005.png")
    query = model.compose_features(images[[row]], model.encode_texts([TEXT]))[0]
    answer = opened.search(reference="a/00005.png", text=TEXT, k=14)
    scores = {i.id: float(s) for i, s in zip(items, normalise(images) @ query, strict=True)}
    assert [h.score for h in answer.hits] == pytest.approx([scores[h.item.id] for h in answer.hits], abs=1e-4)
    assert [h.score for h in answer.hits] == pytest.approx(
        sorted((s for i, s in scores.items() if i != items[row].id), reverse=True), abs=1e-4
    )


def test_the_fingerprint_follows_weights_and_configuration(run_folder: Path, tmp_path: Path) -> None:
    info = json.loads((run_folder / "model.json").read_text())
    assert run_fingerprint(run_folder) == RunFolder(run_folder).fingerprint
    for key, value in (("sha256", "0" * 64), ("composer", {"kind": "sum"}), ("encoder", {**info["encoder"], "x": 1})):
        (tmp_path / "model.json").write_text(json.dumps({**info, key: value}))
        assert run_fingerprint(tmp_path) != run_fingerprint(run_folder)
    (tmp_path / "model.json").write_text(json.dumps({**info, "card": {"note": "other"}}))
    assert run_fingerprint(tmp_path) == run_fingerprint(run_folder)


def test_the_contact_sheet_needs_nothing_else(gallery: Path, tmp_path: Path) -> None:
    opened = Gallery.open(gallery)
    answer = opened.search(reference="a/00005.png", text="<b>raise</b> the left arm", k=6)
    sheet = write_sheet(opened, answer, tmp_path / "sheet.html").read_text("utf-8")
    assert sheet.count("data:image/webp;base64,") == 7
    assert "<b>raise" not in sheet and "http" not in sheet
    mine = opened.search(reference=opened.picture_path(answer.hits[0].item), text=TEXT, k=2)
    assert write_sheet(opened, mine).read_text("utf-8").count("data:image/webp") == 3


def test_forget_by_command(tmp_path: Path, run_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = photos(tmp_path / "photos", 4)
    (root / "metadata.csv").write_text("path,person\na/00001.png,anna\n", "utf-8")
    index = ["index", str(root), str(tmp_path / "g")]
    assert run([*index, "--model", str(run_folder)]) == 0
    assert run([*index, "--forget", "person=anna", "--forget", "b/00002.png"]) == 0
    assert "deleted 2 pictures: a/00001.png, b/00002.png" in capfd.readouterr().err
    assert run(index) == 0  # the gallery remembers its model
    assert "dropped 2: deleted on request" in capfd.readouterr().err
    assert Gallery.open(tmp_path / "g").store.count() == 2


def test_mistakes_are_one_line_and_exit_2(
    gallery: Path, tmp_path: Path, run_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["search", str(tmp_path), "--text", "x"], "not a gallery"),
        (["search", str(gallery)], "nothing to search for"),
        (["search", str(gallery), "--text", "x", "--engine", "magic"], "engine = 'magic'"),
        (["search", str(gallery), "--text", "x", "--sides", "mine"], "sides = 'mine'"),
        (["search", str(gallery), "--text", "x", "--where", "person"], "expected COLUMN=VALUE"),
        (["search", str(gallery), "--reference", "none.jpg"], "neither a picture of the gallery nor a file"),
        (
            ["search", str(gallery), "--text", "x", "--model", str(tmp_path)],
            "neither a run folder (no model.json) nor CLIP weights",
        ),
        (
            ["index", str(tmp_path / "none"), str(tmp_path / "g"), "--model", str(run_folder)],
            "picture folder not found",
        ),
        (["search", str(gallery), "--text", "x", "--engine", "blend"], "blend is no more; auto, the default"),
        (["search", str(gallery), "one text", "--text", "another"], "the text is given twice"),
        (["index", str(tmp_path), str(tmp_path / "g"), "--model", "pretrained:none"], "open_clip has no such weights"),
    ):
        assert run(arguments) == 2, arguments
        error = capfd.readouterr().err
        assert message in error and error.count("\n") == 1


def test_a_narrow_terminal_shows_every_picture(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert run(["search", str(gallery), "--text", TEXT, "-k", "3"]) == 0
    shown = "".join(capfd.readouterr().out.split())
    assert len(re.findall(r"[ab]/\d{5}\.png", shown)) == 3
