from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import CorpusError, InputError
from autocompose.core.records import Split
from autocompose.corpus.about import About
from autocompose.corpus.exchange import webdataset
from autocompose.corpus.exchange.export_import import Format, export_corpus, import_corpus
from autocompose.corpus.format import load_corpus
from tests.fixtures.corpora import make_corpus
from tests.fixtures.tree import tree


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    make_corpus(root)
    About(name="tiny", sources=("made by a test",), licence="CC0", redistribution="yes").save(root)
    return root


@pytest.mark.parametrize("kind", list(Format))
def test_export_and_import_give_the_same_corpus(corpus: Path, tmp_path: Path, kind: Format) -> None:
    export_corpus(corpus, tmp_path / "export", kind)
    import_corpus(tmp_path / "export", tmp_path / "again")
    one, other = load_corpus(corpus), load_corpus(tmp_path / "again")
    assert (one.pairs, one.galleries) == (other.pairs, other.galleries)
    assert tree(tmp_path / "again", without=("train.json", "test.json")) == tree(
        corpus, without=("train.json", "test.json")
    )


@pytest.mark.parametrize("kind", list(Format))
def test_shards_are_cut_by_size_and_equal_each_time(corpus: Path, tmp_path: Path, kind: Format) -> None:
    from autocompose.corpus.exchange import export_import as exchange

    for name in ("a", "b"):
        export_corpus(corpus, tmp_path / name, kind)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    exchange.WRITERS[kind].write_split(load_corpus(corpus), Split.TRAIN, tmp_path / "small", 600)
    assert len(list((tmp_path / "small").rglob("*train-*"))) > 3


@pytest.mark.slow
def test_datasets_loads_the_parquet_files(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    export_corpus(corpus, tmp_path / "export")
    cache = str(tmp_path / "cache")
    pairs = datasets.load_dataset(str(tmp_path / "export"), "pairs", cache_dir=cache)
    pictures = datasets.load_dataset(str(tmp_path / "export"), "pictures", cache_dir=cache)
    assert (len(pairs["train"]), len(pairs["test"])) == (36, 24)
    assert pictures["test"][0]["image"].size == (24, 24) and pictures["test"][0]["name"] == "c003/0.png"
    assert pairs["train"][0]["sents"][1] == "Raise your left arm."


@pytest.mark.slow
def test_webdataset_reads_the_shards(corpus: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    export_corpus(corpus, tmp_path / "export", Format.WEBDATASET)
    shard = str(tmp_path / "export" / "pairs-train-000000.tar")
    samples = list(webdataset.WebDataset(shard, shardshuffle=False).decode("pil"))
    assert len(samples) == 36 and samples[0]["reference.png"].size == (24, 24)
    assert samples[0]["json"]["reference"] == "c000/0.png"


def test_the_card_states_sources_licences_and_counts(corpus: Path, tmp_path: Path) -> None:
    export_corpus(corpus, tmp_path / "export")
    card = (tmp_path / "export" / "README.md").read_text()
    for line in (
        "- made by a test",
        "CC0",
        "**Redistribution:** yes",
        "| pairs | 36 | 24 |",
        "| texts in `sents` | 72 | 48 |",
    ):
        assert line in card
    assert "path: pairs/train-*.parquet" in card


def test_the_card_names_all_shards(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = webdataset.write_split
    monkeypatch.setattr(webdataset, "write_split", lambda c, s, out, size: real(c, s, out, size // 100))
    export_corpus(corpus, tmp_path / "export", Format.WEBDATASET, shard=1)
    count = len(list((tmp_path / "export").glob("pairs-train-*.tar")))
    card = (tmp_path / "export" / "README.md").read_text()
    assert count > 1 and f'"FOLDER/pairs-train-{{000000..{count - 1:06d}}}.tar"' in card
    assert 'test = webdataset.WebDataset("FOLDER/pairs-test-' in card


@pytest.mark.parametrize("kind", list(Format))
def test_damaged_exports_are_clear_errors(corpus: Path, tmp_path: Path, kind: Format) -> None:
    export_corpus(corpus, tmp_path / "export", kind)
    path = sorted((tmp_path / "export").rglob("*pictures*/train*" if kind is Format.PARQUET else "pictures-train*"))[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged or truncated"):
        import_corpus(tmp_path / "export", tmp_path / "again")
    assert not (tmp_path / "again" / "captions").exists()


def test_names_that_leave_the_folder_are_refused(corpus: Path, tmp_path: Path) -> None:
    export_corpus(corpus, tmp_path / "export", Format.WEBDATASET)
    shard = tmp_path / "export" / "pictures-train-000000.tar"
    with tarfile.open(shard, "w") as tar:
        for name, content in (
            ("0.json", json.dumps({"name": "../../evil.png", "in_gallery": True}).encode()),
            ("0.png", b"x"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(CorpusError, match=r"'\.\./\.\./evil\.png' must not contain"):
        import_corpus(tmp_path / "export", tmp_path / "again")
    assert not list(tmp_path.rglob("evil.png"))
    with tarfile.open(shard, "w") as tar:
        link = tarfile.TarInfo("0.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(InputError, match="is not a plain file"):
        import_corpus(tmp_path / "export", tmp_path / "again")


def test_wrong_folders(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="neither pairs"):
        import_corpus(corpus, tmp_path / "x")
    with pytest.raises(InputError, match="not empty"):
        export_corpus(corpus, corpus)
    assert run(["export", str(corpus), str(tmp_path / "e"), "--format", "webdataset"]) == 0
    assert "redistribution: yes" in capsys.readouterr().err
    assert run(["import", str(tmp_path / "e"), str(tmp_path / "i")]) == 0
    assert run(["import", str(tmp_path / "e"), str(tmp_path / "i")]) == 2
    (corpus / "images/c000/0.png").unlink()
    with pytest.raises(CorpusError, match="not exported, 1 faults"):
        export_corpus(corpus, tmp_path / "f")


def test_exports_go_into_folders_of_their_own(corpus: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export_corpus(corpus, mine)
    assert tree(mine) == tree(mine) and (mine / "README.md").read_text() == "mine"
    export_corpus(corpus, tmp_path / "out")
    with pytest.raises(InputError, match="not empty"):
        export_corpus(corpus, tmp_path / "out")


@pytest.mark.parametrize("kind", list(Format))
def test_an_export_that_was_cut_short_leaves_no_shards_behind(
    corpus: Path, tmp_path: Path, kind: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("autocompose.corpus.exchange.export_import.dataset_card", killed)
    with pytest.raises(KeyboardInterrupt):
        export_corpus(corpus, out, kind)
    monkeypatch.undo()
    stale = next(p for p in sorted(out.rglob("*")) if p.suffix in (".parquet", ".tar"))
    extra = stale.with_name(stale.name.replace("0." + stale.suffix[1:], "9." + stale.suffix[1:]))
    extra.write_bytes(stale.read_bytes())
    (out / "mine.txt").write_text("mine")
    export_corpus(corpus, out, kind)
    assert not extra.exists() and (out / "mine.txt").exists()
    assert not list(out.glob("*.manifest.json"))


def test_an_import_does_not_touch_poses_of_the_user(corpus: Path, tmp_path: Path) -> None:
    export_corpus(corpus, tmp_path / "out")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "poses.npz").write_bytes(b"mine")
    with pytest.raises(InputError, match="not empty"):
        import_corpus(tmp_path / "out", mine)
    assert (mine / "poses.npz").read_bytes() == b"mine"


def test_an_import_that_was_cut_short_goes_on(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_corpus(corpus, tmp_path / "out")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("autocompose.corpus.exchange.export_import.load_corpus", killed)
    with pytest.raises(KeyboardInterrupt):
        import_corpus(tmp_path / "out", tmp_path / "in")
    monkeypatch.undo()
    next((tmp_path / "in/images").rglob("*.png")).write_bytes(b"half")
    import_corpus(tmp_path / "out", tmp_path / "in")
    import_corpus(tmp_path / "out", tmp_path / "fresh")
    assert tree(tmp_path / "in") == tree(tmp_path / "fresh")
    with pytest.raises(InputError, match="already contains a corpus"):
        import_corpus(tmp_path / "out", tmp_path / "in")
