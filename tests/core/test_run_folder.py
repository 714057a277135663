"""Whose folder it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autocompose.core.errors import ConfigError, InputError
from autocompose.core.files import write_json
from autocompose.core.run_folder import RunFolder, difference, files_of_others, maker, require_ours


def test_differences_are_told_by_key() -> None:
    assert difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}) == [
        "a.c = 2 instead of 3",
        "d = None instead of 4",
    ]


@pytest.mark.parametrize("make", [None, "empty", "litter"])
def test_a_folder_that_holds_nothing_is_taken(tmp_path: Path, make: str | None) -> None:
    folder = tmp_path / "out"
    if make:
        folder.mkdir()
    if make == "litter":
        (folder / ".DS_Store").touch()
        (folder / f".x-started.manifest.json.{'0a' * 8}.part").touch()  # of a run that was killed as it began
    own = RunFolder(folder, "x")
    assert own.check({"layers": (1, 2)}) is False
    assert not own.started_path.exists()
    assert own.claim({"layers": (1, 2)}) is False
    assert own.claim({"layers": (1, 2)}) is False, "the same, read back: tuples are lists"
    own.finish(epochs=3)
    assert own.claim({"layers": (1, 2)}) is True
    assert (own.record() or {})["epochs"] == 3
    assert own.made_with() == {"layers": [1, 2]}


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "poses.npz").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"not empty and not a corpus made by this program.*'poses\.npz'.*new folder"):
        RunFolder(tmp_path, "x", "a corpus").claim({"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["poses.npz"]
    with pytest.raises(InputError, match="not a writable folder"):
        RunFolder(tmp_path / "poses.npz", "x").claim({"a": 1})


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    RunFolder(tmp_path, "x", "a run").claim({"a": 1, "b": {"c": 2}, "d": 1, "e": 1, "f": 1})
    with pytest.raises(
        ConfigError, match=r"holds a run made with other settings \(a = 1 instead of 2; b\.c = 2 instead of 3; .*1 more"
    ):
        RunFolder(tmp_path, "x", "a run").claim({"a": 2, "b": {"c": 3}, "d": 2, "e": 2, "f": 1})


def test_a_stage_beside_another_writes_only_what_is_not_there(tmp_path: Path) -> None:
    RunFolder(tmp_path, "first").claim({})
    (tmp_path / "metrics.json").touch()
    with pytest.raises(InputError, match="made by this program"):
        RunFolder(tmp_path, "second").claim({}, files=["other.json"])
    with pytest.raises(InputError, match=r"metrics\.json: already exists"):
        RunFolder(tmp_path, "second", beside=("first",)).claim({}, files=["metrics.json"])
    assert RunFolder(tmp_path, "second", beside=("first",)).claim({}, files=["other.json"]) is False


def test_only_named_files_are_removed(tmp_path: Path) -> None:
    own = RunFolder(tmp_path / "out", "x")
    own.claim({"a": 1}, files=["a.png"])
    own.name_files(["sub/b[1].png"], ["frames/??.jpg"])
    for name in ("a.png", "sub/b[1].png", "sub/b1.png", "frames/01.jpg", "frames/mine.jpg", "notes.txt"):
        (own.folder / name).parent.mkdir(exist_ok=True)
        (own.folder / name).touch()
    own.clear()
    left = sorted(
        p.relative_to(own.folder).as_posix() for p in own.folder.rglob("*") if p.is_file() and p != own.started_path
    )
    assert left == ["frames/mine.jpg", "notes.txt", "sub/b1.png"]


def test_a_record_from_a_stranger_names_nothing_outside(tmp_path: Path) -> None:
    own = RunFolder(tmp_path / "out", "x")
    outside = tmp_path / "outside/mine.txt"
    outside.parent.mkdir()
    outside.touch()
    own.claim({})
    (own.folder / "link").symlink_to(outside.parent)
    names = {"files": ["../outside/mine.txt", str(outside), "link/mine.txt"], "patterns": ["../outside/*", "/etc/*"]}
    write_json(own.started_path, {**json.loads(own.started_path.read_text()), **names})
    assert list(own.owned()) == []
    own.clear()
    assert outside.exists()


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    own = RunFolder(tmp_path, "x")
    own.claim({"raw": {"\udce9.bvh": "1"}}, files=["\udce9.png"])
    assert own.claim({"raw": {"\udce9.bvh": "1"}}) is False


def test_new_results_replace_those_of_the_stage_and_no_others(tmp_path: Path) -> None:
    own = RunFolder(tmp_path / "out", "evaluation", "an evaluation")
    own.renew({"keep": 50}, ["ranks.csv", "top50.csv"])
    for name in ("ranks.csv", "top50.csv", "mine.csv"):
        (own.folder / name).write_text("old")
    own.renew({"keep": 10}, ["ranks.csv", "top10.csv"])
    assert sorted(p.name for p in own.folder.glob("*.csv")) == ["mine.csv", "ranks.csv"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/ranks.csv").write_text("mine")
    with pytest.raises(InputError, match="not an evaluation made by"):
        RunFolder(tmp_path / "mine", "evaluation", "an evaluation").renew({}, ["ranks.csv"])


@pytest.mark.parametrize(
    ("stage", "record", "last"),
    [
        ("train", "settings.json", "model.json"),
        ("options", "training_hyperparameters.json", "validation_metrics.csv"),
    ],
)
def test_runs_of_version_0_1_are_known(tmp_path: Path, stage: str, record: str, last: str) -> None:
    old = {"encoder": "1", "clip_model_name": "RN50", "loop": {"epochs": 3}}
    write_json(tmp_path / record, old)
    new = {**old, "start": None, "questions": {}}
    own = RunFolder(tmp_path, stage, "a run")
    assert own.check(new, old) is False
    with pytest.raises(ConfigError, match=r"loop\.epochs = 3 instead of 4"):
        own.check(new, {**old, "loop": {"epochs": 4}})
    (tmp_path / last).touch()
    assert own.check(new, old) is True


def test_what_the_program_has_made_is_no_source_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.npz").touch()
    RunFolder(tmp_path / "corpus", "prepare").claim({})
    (tmp_path / "corpus/poses.npz").touch()
    write_json(tmp_path / "site/gallery.json", {"pictures": "x", "fingerprint": "y", "dim": 2})
    (tmp_path / "site/2.npz").touch()
    write_json(tmp_path / "theirs/gallery.json", {"title": "of another program"})
    assert [maker(tmp_path / name) for name in ("a", "corpus", "site", "theirs")] == [None, "prepare", "gallery", None]
    found = [p.relative_to(tmp_path).as_posix() for p in files_of_others(tmp_path)]
    assert found == ["a/1.npz", "theirs/gallery.json"]


def test_a_file_is_replaced_only_with_our_mark(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    require_ours(path, b"mark")
    path.write_bytes(b"<html>mark")
    require_ours(path, b"mark")
    path.write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"page\.html: already exists"):
        require_ours(path, b"mark")
    with pytest.raises(InputError, match="not a regular file"):
        require_ours(tmp_path, b"mark")
