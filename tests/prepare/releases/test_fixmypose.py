from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import CorpusError, InputError, StorageError
from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.corpus.validate import validate
from autocompose.prepare.releases.fixmypose import Protocol, prepare_fixmypose
from autocompose.prepare.releases.fixmypose_pictures import as_rgb
from tests.fixtures.fixmypose import captioning, make_fixmypose, names_of, retrieval, uid
from tests.fixtures.tree import tree


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return make_fixmypose(tmp_path / "raw")


def change(raw: Path, stem: str, edit: Callable[[list[dict[str, Any]]], object]) -> None:
    path = raw / f"{stem}.json"
    items = json.loads(path.read_text())
    edit(items)
    path.write_text(json.dumps(items))


def test_retrieval_keeps_the_authors_candidates(raw: Path, tmp_path: Path) -> None:
    corpus = prepare_fixmypose(raw, tmp_path / "out", val_share=0)
    item = json.loads((raw / "valid_ret_NC.json").read_text())[3]
    pair = corpus.pairs[Split.TEST][3]
    assert pair.reference == f"current_{item['uid']}.png" and pair.target == f"target_{item['uid']}.png"
    assert list(pair.img_set) == [item[f"trg{k}"].rsplit("\\", 1)[-1] for k in range(10)]
    assert pair.extra["uid"] == item["uid"] and pair.extra["sents_hindi"] == item["sents_hindi"]
    assert (len(corpus.pairs[Split.TRAIN]), len(corpus.pairs[Split.TEST])) == (48, 20)
    assert not [fault for check in validate(tmp_path / "out", images=True) for fault in check.faults]
    assert load_corpus(tmp_path / "out").pairs == corpus.pairs


def test_captioning_keeps_every_sentence_and_gets_groups(raw: Path, tmp_path: Path) -> None:
    corpus = prepare_fixmypose(raw, tmp_path / "out", protocol=Protocol.CAPTIONING)
    test = corpus.pairs[Split.TEST]
    assert [len(p.texts["sents"]) for p in test] == [3, 4, 3, 3, 3, 3, 3, 3]
    assert test[0].texts["sents"][0].startswith("move your left arm towards")  # the double space is gone
    assert {len(p.img_set) for p in test} == {10}
    flat = prepare_fixmypose(raw, tmp_path / "flat", protocol=Protocol.CAPTIONING, flatten=True)
    assert len(flat.pairs[Split.TEST]) == 25 and all(len(p.texts["sents"]) == 1 for p in flat.pairs[Split.TEST])
    assert [t for p in flat.pairs[Split.TEST] for t in p.texts["sents"]] == [t for p in test for t in p.texts["sents"]]


def test_hdf5_arrays_give_the_same_corpus_and_pictures(raw: Path, tmp_path: Path) -> None:
    make_fixmypose(tmp_path / "hdf5", "hdf5", layout="dataset/fixmypose")
    for name, source in (("a", raw), ("b", tmp_path / "hdf5")):
        prepare_fixmypose(source, tmp_path / name)
    files = {p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.png")}
    assert files and files == {p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*.png")}
    for file in files:
        np.testing.assert_array_equal(Image.open(tmp_path / "a" / file), Image.open(tmp_path / "b" / file))
    captions = "captions/train.json"
    assert (tmp_path / "a" / captions).read_text() == (tmp_path / "b" / captions).read_text()


def test_the_leak_between_the_tasks_is_refused_unless_forced(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="7 of 20 test items are also training items"):
        prepare_fixmypose(raw, tmp_path / "out", protocol=Protocol.BOTH_TASKS)
    assert not (tmp_path / "out" / "captions").exists()
    forced = prepare_fixmypose(raw, tmp_path / "out", protocol=Protocol.BOTH_TASKS, allow_leak=True, val_share=0)
    assert len(forced.pairs[Split.TRAIN]) == 48 + 39
    assert not [fault for check in validate(tmp_path / "out") for fault in check.faults]


def test_items_of_one_uid_become_one_with_all_their_sentences(raw: Path, tmp_path: Path) -> None:
    def again(items: list[dict[str, Any]]) -> None:
        items.append({**items[0], "sents": ["another sentence", items[0]["sents"][0]], "sents_hindi": ["एक", "दो"]})

    change(raw, "train_NC", again)
    corpus = prepare_fixmypose(raw, tmp_path / "out", protocol=Protocol.CAPTIONING, val_share=0)
    first = corpus.pairs[Split.TRAIN][0]
    assert len(corpus.pairs[Split.TRAIN]) == 39 and len(first.texts["sents"]) == 2
    assert first.texts["sents"][1] == "another sentence" and first.extra["sents_hindi"][1] == "एक"
    dropped = json.loads((tmp_path / "out" / "prepare.manifest.json").read_text())["tallies"]["items"]["dropped"]
    assert dropped == {"uid occurred before; its sentences are kept there": 1}


def test_missing_and_damaged_pictures_are_counted(raw: Path, tmp_path: Path) -> None:
    items = json.loads((raw / "train_ret_NC.json").read_text())
    (raw / "images" / f"current_{items[0]['uid']}.png").unlink()
    damaged = raw / "images" / f"target_{items[-1]['uid']}.png"
    damaged.write_bytes(damaged.read_bytes()[:70])
    prepare_fixmypose(raw, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "prepare.manifest.json").read_text())["tallies"]["items"]
    lost = {f"current_{items[0]['uid']}.png", damaged.name}
    hit = sum(bool(lost & set(names_of(item).values())) for item in items)
    assert record["dropped"] == {"picture missing or damaged": hit} and record["kept"] == 68 - hit
    assert 2 < hit < 14


BAD: list[tuple[str, Callable[[list[dict[str, Any]]], object], str]] = [
    ("valid_ret_NC", lambda e: e[2].update(ans_idx=11), r"valid_ret_NC\.json\[2\]: ans_idx = 11: expected 0\.\.9"),
    ("valid_ret_NC", lambda e: e[2].update(ans_idx=(e[2]["ans_idx"] + 1) % 10), r"\[2\]: picture .* does not belong"),
    ("valid_ret_NC", lambda e: e[2].pop("trg7"), r"valid_ret_NC\.json\[2\]: 'trg7' must be a string"),
    ("train_ret_NC", lambda e: e[5].update(sents=7), r"train_ret_NC\.json\[5\]: sents: expected a text or a list"),
    ("train_ret_NC", lambda e: e[5].update(trg0=e[5]["trg1"]), r"train_ret_NC\.json\[5\]"),
    (
        "train_ret_NC",
        lambda e: e[5].update(trg9="C:\\..\\.."),
        r"train_ret_NC\.json\[5\]: trg9: picture name '\.\.' must",
    ),
    ("train_ret_NC", lambda e: e[5].update(uid="../../x"), r"train_ret_NC\.json\[5\]: uid '../../x': expected five"),
    ("train_ret_NC", lambda e: e[5].update(uid="1_2_3"), r"train_ret_NC\.json\[5\]: uid '1_2_3': expected five"),
    ("train_ret_NC", lambda e: e.insert(0, "text"), r"train_ret_NC\.json\[0\]: expected an object, got str"),
]


@pytest.mark.parametrize(("stem", "edit", "words"), BAD)
def test_items_that_differ_from_the_layout_are_named(
    raw: Path, tmp_path: Path, stem: str, edit: Any, words: str
) -> None:
    change(raw, stem, edit)
    with pytest.raises(CorpusError, match=words):
        prepare_fixmypose(raw, tmp_path / "out")


def test_wrong_folders_and_files(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder not found"):
        prepare_fixmypose(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"train_ret_NC\.json \(FixMyPose annotations\) not found"):
        prepare_fixmypose(tmp_path / "empty", tmp_path / "out")
    bare = make_fixmypose(tmp_path / "bare", "none")
    with pytest.raises(InputError, match="neither PNG files"):
        prepare_fixmypose(bare, tmp_path / "out")
    twice = raw / "full" / next((raw / "images").iterdir()).name
    twice.parent.mkdir()
    Image.new("RGB", (9, 9)).save(twice)
    with pytest.raises(InputError, match="name one folder with --picture-folder"):
        prepare_fixmypose(raw, tmp_path / "out")
    (raw / "train_ret_NC.json").write_text("[{")
    with pytest.raises(InputError, match="not valid JSON at line 1"):
        prepare_fixmypose(raw, tmp_path / "out")


def test_hdf5_that_does_not_fit_the_json(tmp_path: Path) -> None:
    raw = make_fixmypose(tmp_path / "raw", "hdf5")
    change(raw, "train_ret_NC", lambda e: e.extend(retrieval([uid(1, 9, 0, d) for d in range(5)])))
    with pytest.raises(InputError, match="img0 has 48 rows, but the JSON file has item 52"):
        prepare_fixmypose(raw, tmp_path / "out")


def test_pixels_of_several_kinds() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    for same in (pixels, pixels.transpose(2, 0, 1), pixels / 255.0, pixels.astype(np.float32)):
        np.testing.assert_array_equal(as_rgb(same, "x"), pixels)
    with pytest.raises(InputError, match="normalised for a network"):
        as_rgb((pixels / 255.0 - 0.5) / 0.2, "x")
    with pytest.raises(InputError, match=r"got \(6, 5\)"):
        as_rgb(pixels[..., 0], "x")


def test_a_second_run_changes_nothing_and_other_settings_are_refused(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_fixmypose(raw, out)
    before = tree(out)
    prepare_fixmypose(raw, out)
    assert tree(out) == before
    with pytest.raises(InputError, match="made with other settings"):
        prepare_fixmypose(raw, out, flatten=True)
    assert tree(out) == before


def test_an_interrupted_run_continues(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_fixmypose(raw, tmp_path / "whole")
    real, calls = os.replace, iter(range(10**6))

    def killed(a: Any, b: Any) -> None:
        if next(calls) == 60:
            raise KeyboardInterrupt
        real(a, b)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_fixmypose(raw, tmp_path / "out")
    assert not (tmp_path / "out" / "captions").exists()
    prepare_fixmypose(raw, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_full_disk_is_a_clear_error(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left on device\); free space"):
        prepare_fixmypose(raw, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.png"))


def test_the_verb(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prepare", "fixmypose", str(raw), str(tmp_path / "out")]) == 0
    assert "items: 68 in, 68 kept" in capsys.readouterr().err
    assert run(["validate", str(tmp_path / "out"), "--images"]) == 0
    assert run(["prepare", "fixmypose", str(raw), str(tmp_path / "b"), "--protocol", "other"]) == 2
    assert run(["prepare", "fixmypose", str(tmp_path), str(tmp_path / "c")]) == 2


def test_the_fixture_has_the_oddities() -> None:
    items = captioning([uid(1, 2, 3, d) for d in range(3)])
    assert [len(item["sents"]) for item in items] == [3, 4, 3] and items[0]["img0"].startswith("/home/")
