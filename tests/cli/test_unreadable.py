"""What the operating system does not give is one line with exit code 2, whichever verb meets it."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.config import read_toml
from autocompose.core.errors import ConfigError, ImageError
from autocompose.corpus.exchange.export_import import Format, export_corpus, import_corpus
from autocompose.corpus.format import Corpus
from autocompose.corpus.validate import validate
from tests.fixtures.corpora import make_corpus
from tests.fixtures.permissions import closed

load_verbs()
LONG = "n" * 300


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path / "corpus")


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """The one line of a command that is refused."""
    assert run([str(a) for a in argv]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("autocompose:")]
    assert len(lines) == 1
    return lines[0]


def test_names_too_long_and_folders_in_place_of_files(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert "too long" in refused(capsys, "index", LONG, corpus.root.parent / "g", "--model", "small")
    assert "too long" in refused(capsys, "validate", LONG)
    assert "too long" in refused(capsys, "search", LONG, "--text", "sit")
    captions = corpus.root / "captions" / "test.json"
    captions.unlink()
    captions.mkdir()
    assert "test.json: is a folder, expected a file" in refused(capsys, "validate", corpus.root)


def test_files_without_permission_are_not_called_damaged(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    with closed(corpus.root / "captions" / "test.json"):
        assert "test.json: no permission to read it" in refused(capsys, "validate", corpus.root)
    name = corpus.galleries["test"][0]
    with closed(corpus.image_path(name)):
        line = refused(capsys, "validate", corpus.root, "--images")
    assert name in line and "no permission" in line and "damaged" not in line
    with closed(corpus.image_path(name).parent):
        faults = [fault for check in validate(corpus) for fault in check.faults]
    assert any(name in fault and "no permission" in fault for fault in faults)


@pytest.mark.parametrize("kind", list(Format))
def test_an_export_names_the_picture_that_it_cannot_read(corpus: Corpus, tmp_path: Path, kind: Format) -> None:
    path = corpus.image_path(corpus.galleries["test"][0])
    with closed(path), pytest.raises(ImageError, match=rf"{path.name}: no permission to read it"):
        export_corpus(corpus.root, tmp_path / "out", kind)


@pytest.mark.parametrize("entry", [b"[" * 100_000, b"3", b'{"a": NaN}', b"\xff\xfe", b"9" * 5000])
def test_an_import_with_odd_json_is_one_line(corpus: Corpus, tmp_path: Path, entry: bytes) -> None:
    export_corpus(corpus.root, tmp_path / "out", Format.WEBDATASET)
    shard = next((tmp_path / "out").glob("pairs-*.tar"))
    shard.unlink()
    (tmp_path / "x.json").write_bytes(entry)
    with tarfile.open(shard, "w") as tar:
        tar.add(tmp_path / "x.json", "000000000.json")
    with pytest.raises(Exception, match=r"a sample without a valid \.json") as raised:
        import_corpus(tmp_path / "out", tmp_path / "again")
    assert "\n" not in str(raised.value)


def test_settings_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbfsteps = 3\r\n")
    assert read_toml(path) == {"steps": 3}
    path.write_bytes("steps = 3\n".encode("utf-16"))
    assert read_toml(path) == {"steps": 3}


@pytest.mark.parametrize(
    "content", [b"a = ", b"a = " + b"[" * 100_000, b"a = " + b"9" * 5000, b"\xe9 = 1", b"a = 2024-13-45", b"\0"]
)
def test_settings_that_are_no_toml_are_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.toml: not"):
        read_toml(path)
    with closed(path), pytest.raises(ConfigError, match="no permission to read it"):
        read_toml(path)
    with pytest.raises(ConfigError, match="is a folder, expected a file"):
        read_toml(tmp_path)


def test_the_unexpected_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr("autocompose.corpus.validate.load_corpus", fail)
    assert re.search("/some/file: no permission to read it; see where with --debug", refused(capsys, "validate", "x"))
    with pytest.raises(PermissionError):
        run(["validate", "x", "--debug"])
