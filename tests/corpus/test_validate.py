from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import CorpusError
from autocompose.core.files import read_json, write_json
from autocompose.core.records import Split
from autocompose.corpus.format import load_corpus
from autocompose.corpus.names import name_fault
from autocompose.corpus.validate import Check, share_over_clip, validate
from tests.fixtures.corpora import make_corpus


def faults(checks: list[Check]) -> dict[str, tuple[str, ...]]:
    return {check.rule: check.faults for check in checks if check.faults}


def test_a_sound_corpus_has_no_faults(tmp_path: Path) -> None:
    make_corpus(tmp_path)
    assert faults(validate(tmp_path, images=True)) == {}


def test_the_authors_layout_without_val_poses_and_train_groups_is_sound(tmp_path: Path) -> None:
    make_corpus(tmp_path, poses=False)
    entries = read_json(tmp_path / "captions/train.json")
    write_json(tmp_path / "captions/train.json", [{**entry, "img_set": []} for entry in entries])
    assert faults(validate(tmp_path)) == {}


Change = Callable[[list[Any]], object]
GROUP_WITHOUT_TARGET = ["c003/0.png", "c003/2.png", "c003/3.png", "c004/0.png"]
GROUP_WITHOUT_REF = ["c003/1.png", "c003/2.png", "c003/3.png", "c004/0.png"]
BROKEN: list[tuple[str, Change, str]] = [
    ("captions/train", lambda e: e[3].update(target=e[3]["reference"]), "captions/train.json[3]: reference = target"),
    ("captions/test", lambda e: e[0].update(img_set=GROUP_WITHOUT_TARGET), "[0]: target c003/1.png is not in img_set"),
    ("captions/test", lambda e: e[5]["img_set"].append("c004/1.png"), "[5]: img_set has 5 members, the others have 4"),
    (
        "captions/test",
        lambda e: e[0].update(img_set=GROUP_WITHOUT_REF),
        "test.json[0]: the reference is not in img_set",
    ),
    ("captions/test", lambda e: e[0].update(img_set=["c003/0.png", "c003/1.png"] * 2), "names a picture twice"),
    ("captions/test", lambda e: e[1].update(img_set=[]), "captions/test.json[1]: img_set is empty"),
    ("image_splits/test", lambda n: n.pop(2), "c003/2.png is not in image_splits/test.json"),
    ("image_splits/test", lambda n: n.append(n[0]), "image_splits/test.json[8]: c003/0.png is already entry 0"),
    ("captions/train", lambda e: e[7].update(sents=[]), "captions/train.json[7]: 'sents' is an empty list"),
    ("captions/train", lambda e: e[7].update(sents=["x", "  "]), "captions/train.json[7]: sents[1] is blank"),
    ("captions/train", lambda e: e[2].update(target="c000/9.png"), "train.json[2]: images/c000/9.png does not exist"),
]
BAD_NAMES: list[tuple[str, Change, str]] = [
    ("captions/train", lambda e: e[2].update(target="../../etc/passwd"), "[2]: '../../etc/passwd' must not contain"),
    ("captions/train", lambda e: e[2].update(reference="/etc/passwd"), "must be a relative path"),
    ("captions/test", lambda e: e[2]["img_set"].append("a//b.png"), "[2]: 'a//b.png' must not contain"),
    ("captions/train", lambda e: e[2].update(target="\ud800.png"), r"[2]: '\ud800.png' is not UTF-8"),
    ("image_splits/test", lambda n: n.append("../x.png"), "test.json[8]: '../x.png' must not contain"),
]


@pytest.mark.parametrize(("file", "change", "words"), BROKEN)
def test_each_broken_rule_names_its_entry(tmp_path: Path, file: str, change: Change, words: str) -> None:
    make_corpus(tmp_path)
    path = tmp_path / f"{file}.json"
    entries = read_json(path)
    change(entries)
    write_json(path, entries)
    assert words in "\n".join(fault for found in faults(validate(tmp_path)).values() for fault in found)


@pytest.mark.parametrize(("file", "change", "words"), BAD_NAMES)
def test_names_that_leave_the_picture_folder_are_not_even_loaded(
    tmp_path: Path, file: str, change: Change, words: str
) -> None:
    make_corpus(tmp_path)
    path = tmp_path / f"{file}.json"
    entries = read_json(path)
    change(entries)
    path.write_text(json.dumps(entries))
    with pytest.raises(CorpusError) as caught:
        load_corpus(tmp_path)
    assert words in str(caught.value)


def test_leaks_are_found_by_picture_and_by_group_column(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    assert corpus.poses is not None
    cubes = corpus.poses.columns["cube"].copy()
    cubes[-1] = 0
    leaky = replace(corpus, poses=replace(corpus.poses, columns={"cube": cubes}))
    assert faults(validate(leaky)) == {"splits share nothing": ("train and test share cube 0",)}
    galleries = {**corpus.galleries, Split.TRAIN: (*corpus.galleries[Split.TRAIN], "c003/0.png")}
    leaky = replace(corpus, galleries=galleries, poses=None)
    assert faults(validate(leaky)) == {"splits share nothing": ("train and test share gallery c003/0.png",)}
    allowed = validate(leaky, allow_shared=["gallery"])
    assert faults(allowed) == {}
    assert any("share 1 of gallery (allowed)" in note for check in allowed for note in check.notes)


def test_damaged_pictures_are_found_only_when_decoding(tmp_path: Path) -> None:
    make_corpus(tmp_path)
    path = tmp_path / "images/c001/2.png"
    path.write_bytes(path.read_bytes()[:60])
    assert faults(validate(tmp_path)) == {}
    assert "c001/2.png" in faults(validate(tmp_path, images=True))["pictures exist and open"][0]


def test_poses_that_are_not_numbers_or_double_are_found(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    assert corpus.poses is not None
    corpus.poses.joints[3, 4, 1] = np.nan
    names = (*corpus.poses.names[:-1], corpus.poses.names[0])
    broken = replace(corpus, poses=replace(corpus.poses, names=names))
    rule = faults(validate(broken))["poses are usable"]
    assert any("poses.npz[3]" in fault for fault in rule) and any("more than one row" in fault for fault in rule)


def test_mirrored_texts_that_keep_their_sides_are_counted(tmp_path: Path) -> None:
    make_corpus(tmp_path)
    path = tmp_path / "captions/train.json"
    entries = read_json(path)
    entries[0]["auto-mirror"] = entries[0]["auto"]
    write_json(path, entries)
    notes = [note for check in validate(tmp_path) for note in check.notes]
    assert "1 mirrored texts name the same sides as the plain text" in notes


def test_share_over_clip_equals_counting_every_text() -> None:
    from open_clip.tokenizer import SimpleTokenizer

    texts = ["arm", "a " * 60, "left " * 75, "left " * 76, "x" * 400]
    slow = sum(len(SimpleTokenizer().encode(t)) + 2 > 77 for t in texts) / len(texts)
    assert share_over_clip(texts) == slow
    assert 0 < slow < 1


def test_structure_faults_list_all_entries(tmp_path: Path) -> None:
    make_corpus(tmp_path)
    path = tmp_path / "captions/test.json"
    entries = read_json(path)
    entries[1]["sents"] = "a string"
    del entries[2]["reference"]
    write_json(path, entries)
    with pytest.raises(CorpusError) as caught:
        validate(tmp_path)
    assert len(caught.value.entries) == 2


def test_names() -> None:
    assert name_fault("a/b c.png") is None
    for bad in (
        "",
        "/a.png",
        "a/../b.png",
        "./a.png",
        "a//b.png",
        "c:/a.png",
        "a\\b.png",
        "a\nb.png",
        " a.png",
        "x" * 300,
    ):
        assert name_fault(bad), bad


def test_the_command_exits_2_and_names_the_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_corpus(tmp_path)
    assert run(["validate", str(tmp_path), "--images"]) == 0
    assert "reference and" in capsys.readouterr().out
    path = tmp_path / "captions/train.json"
    entries = read_json(path)
    entries[3]["target"] = entries[3]["reference"]
    write_json(path, entries)
    assert run(["validate", str(tmp_path), "--json"]) == 2
    out = capsys.readouterr()
    assert "captions/train.json[3]: reference = target" in out.err
    assert any(check["faults"] for check in json.loads(out.out))
    assert run(["validate", str(tmp_path / "nothing")]) == 2
    assert run(["validate", str(tmp_path), "--allow-shared", "colour"]) == 2


def test_saving_and_loading_keeps_a_corpus(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path)
    again = load_corpus(tmp_path)
    assert (again.pairs, again.galleries) == (dict(corpus.pairs), dict(corpus.galleries))
