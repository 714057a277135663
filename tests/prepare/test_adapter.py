from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from autocompose.core.errors import CorpusError, InputError
from autocompose.core.files import value_hash, write_json
from autocompose.core.records import Split
from autocompose.corpus.about import About
from autocompose.prepare.adapter import Stage, place
from tests.fixtures.corpora import make_corpus
from tests.fixtures.tree import tree


def test_pictures_of_a_split_without_pairs_are_not_dropped_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "raw")
    corpus = replace(corpus, root=tmp_path / "raw", pairs={**corpus.pairs, Split.TEST: ()})
    stage = Stage(tmp_path / "out", {"verb": "x"})
    done = stage.finish(corpus, About(name="x"), [], 0, 0)
    assert set(done.pairs) == set(done.galleries) == {Split.TRAIN}
    assert "test: no pairs remain, so its 8 pictures are in no gallery" in capsys.readouterr().err


def make(out: Path, sources: dict[str, Path], **settings: object) -> Stage:
    """A whole run of an adapter that makes one picture of each source."""
    stage = Stage(out, {"verb": "x", **settings}, sources)
    if not stage.finished:
        corpus = make_corpus(out.parent / f"raw-{out.name}")
        names = sorted({n for gallery in corpus.galleries.values() for n in gallery})
        stage.name_pictures(names)
        for name in names:
            target = out / "images" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.write_bytes(corpus.image_path(name).read_bytes())
        stage.finish(replace(corpus, root=out), About(name="x"), [], 0, 0)
    return stage


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "motion.bvh"
    path.write_text("Frame Time: 0.033333")
    return {"motion": path}


def test_a_folder_of_the_user_is_refused(tmp_path: Path, source: dict[str, Path]) -> None:
    out = make_corpus(tmp_path / "mine").root
    for folder in ("captions", "images"):
        shutil.rmtree(out / folder)
        before = tree(out)
        with pytest.raises(InputError, match="not empty and not a corpus made by this program"):
            make(out, source)
        assert tree(out) == before


def test_a_raw_file_corrected_in_place_is_seen(tmp_path: Path, source: dict[str, Path]) -> None:
    out = tmp_path / "out"
    make(out, source)
    assert make(out, source).finished
    source["motion"].write_text("Frame Time: 0.133333")
    with pytest.raises(
        InputError,
        match=r"made with other settings \(raw\.motion = .* instead of .*\); choose another folder, or delete",
    ):
        make(out, source)


def test_the_advice_works(tmp_path: Path, source: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    make(out, source, yaw=0)
    with pytest.raises(InputError, match=r"yaw = 0 instead of 120\); .*delete .*captions and prepare\.manifest\.json"):
        make(out, source, yaw=120)
    shutil.rmtree(out / "captions")
    (out / "prepare.manifest.json").unlink()
    picture = next((out / "images").rglob("*.png"))
    picture.write_bytes(b"of the old settings")
    (out / "images/mine.png").write_bytes(b"mine")
    make(out, source, yaw=120)
    assert "was started with other settings (yaw = 0 instead of 120); starting over" in capsys.readouterr().err
    assert picture.read_bytes() != b"of the old settings"
    assert (out / "images/mine.png").read_bytes() == b"mine"
    assert make(out, source, yaw=120).finished


def test_captions_may_hold_work_and_are_never_made_anew(tmp_path: Path, source: dict[str, Path]) -> None:
    out = tmp_path / "out"
    make(out, source, yaw=0)
    (out / "prepare.manifest.json").unlink()
    before = tree(out)
    with pytest.raises(InputError, match="yaw = 0 instead of 120"):
        make(out, source, yaw=120)
    assert tree(out) == before


def test_lost_pictures_of_a_finished_corpus_are_told(tmp_path: Path, source: dict[str, Path]) -> None:
    out = tmp_path / "out"
    stage = make(out, source)
    next((out / "images").rglob("*.png")).unlink()
    with pytest.raises(CorpusError, match="1 of its pictures are gone"):
        stage.result()


def test_folders_of_version_0_1_are_known(tmp_path: Path, source: dict[str, Path]) -> None:
    out = tmp_path / "out"
    make(out, source)
    raw = value_hash([("motion.bvh", source["motion"].stat().st_size)])
    for name in ("prepare", "prepare-started"):
        settings = {"verb": "x", "raw": raw}
        write_json(out / f"{name}.manifest.json", {"settings_hash": value_hash(settings), "settings": settings})
    assert Stage(out, {"verb": "x"}, source).finished
    (out / "prepare.manifest.json").unlink()
    shutil.rmtree(out / "captions")
    assert not Stage(out, {"verb": "x"}, source).finished, "continues"
    write_json(out / "prepare-started.manifest.json", {"settings_hash": "", "settings": {"verb": "y", "raw": raw}})
    with pytest.raises(InputError, match=rf"or delete {out} to start over"):
        Stage(out, {"verb": "x"}, source)


def test_a_placed_picture_follows_its_source(tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "out/a.png"
    source.write_bytes(b"one")
    place(source, target)
    source.unlink()
    source.write_bytes(b"two")
    place(source, target)
    assert target.read_bytes() == b"two"
