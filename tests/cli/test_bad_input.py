"""Bad input costs one line that names file and entry, exit code 2, and no existing output."""

import json
import os
import subprocess
import sys

import pytest

from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.files import file_hash
from autocompose.model.checkpoint import save_model
from autocompose.model.combiner import ElementwiseSum
from autocompose.model.encoder import Encoder
from autocompose.model.model import Model
from autocompose.model.small import SmallSizes, small_config
from tests.fixtures.corpora import make_corpus

TINY = SmallSizes(image_size=32, width=8, layers=(1, 1, 1, 1), dim=16, text_width=32, text_layers=1, text_heads=4)
load_verbs()


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def model(tmp_path):
    save_model(tmp_path / "model", Model(Encoder(small_config(TINY)), ElementwiseSum()))
    return tmp_path / "model"


def spoil(corpus, change, split="test", kind="captions"):
    path = corpus.root / kind / f"{split}.json"
    entries = json.loads(path.read_text())
    change(entries)
    path.write_text(json.dumps(entries))


def refused(argv, capsys, *words):
    """The command fails with exit code 2 and one line on stderr that contains all words."""
    code = run([str(a) for a in argv])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("autocompose:")]
    assert code == 2
    assert len(lines) == 1, lines
    for word in words:
        assert str(word) in lines[0]


def test_a_missing_picture_is_named(corpus, model, tmp_path, capsys):
    name = corpus.galleries["test"][1]
    corpus.image_path(name).unlink()
    refused(["evaluate", model, corpus.root], capsys, name, "not found")
    refused(["validate", corpus.root], capsys, name)


def test_a_truncated_picture_is_named(corpus, model, capsys):
    name = corpus.galleries["test"][1]
    data = corpus.image_path(name).read_bytes()
    corpus.image_path(name).write_bytes(data[: len(data) // 2])
    refused(["evaluate", model, corpus.root], capsys, name, "damaged")
    refused(["validate", corpus.root, "--images"], capsys, name)


def test_a_wrong_json_type_is_named_with_its_entry(corpus, model, capsys):
    spoil(corpus, lambda entries: entries[2].update(sents="raise the arm"))
    refused(["evaluate", model, corpus.root], capsys, "test.json[2]", "'sents' must be a list of strings")


def test_broken_json_is_named_with_its_line(corpus, model, capsys):
    (corpus.root / "captions" / "test.json").write_text('[{"reference": "a.png",]')
    refused(["evaluate", model, corpus.root], capsys, "test.json", "line 1, column")


def test_a_target_outside_the_gallery_is_named(corpus, model, capsys):
    target = json.loads((corpus.root / "captions" / "test.json").read_text())[0]["target"]
    spoil(corpus, lambda names: names.remove(target), kind="image_splits")
    refused(["evaluate", model, corpus.root], capsys, target)


def test_an_empty_text_is_named(corpus, capsys):
    spoil(corpus, lambda entries: entries[3].update(sents=["  "]))
    refused(["validate", corpus.root], capsys, "captions/test.json[3]")


def test_an_unknown_setting_is_named_with_the_known_ones(corpus, tmp_path, capsys):
    config = tmp_path / "finetune.toml"
    config.write_text("[loop]\nepoch = 3\n")
    refused(
        ["finetune", corpus.root, "--out", tmp_path / "run", "--config", config, "--weights", "random"],
        capsys, config, "loop.epoch", "unknown key", "epochs",
    )  # fmt: skip


def test_a_full_disk_leaves_the_old_output_whole(corpus):
    """The file size limit of a child process stands for the full disk."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64));"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from autocompose.cli import load_verbs; from autocompose.cli.app import run; load_verbs();"
        f"sys.exit(run(['describe', 'rules', {str(corpus.root)!r}]))"
    )
    before = {p: file_hash(p) for p in sorted(corpus.root.rglob("*.json"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert {p: file_hash(p) for p in before} == before
    assert not list(corpus.root.rglob("*.part"))


def test_debug_shows_the_traceback(corpus, model):
    (corpus.root / "captions" / "test.json").write_text("[")
    with pytest.raises(Exception, match="not valid JSON"):
        run(["evaluate", str(model), str(corpus.root), "--debug"])


def test_a_package_of_an_extra_that_is_missing_is_named_with_its_extra(tmp_path):
    program = "import sys; sys.modules['numba'] = None; from autocompose.cli import main; main()"
    argv = ["demo", "--quick", "--out", str(tmp_path / "demo")]
    done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True)
    expected = "autocompose: this command needs the package numba; install it with: pip install 'autocompose[demo]'\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_an_ascii_terminal_shows_what_it_can(corpus):
    """Names with accents in a table, as JSON and in an error; help has none, but frames around it."""
    spoil(corpus, lambda entries: entries[3].update(sents=["zoë"], target="zoë.png"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "TERM": "dumb"}
    for options in (["validate", corpus.root], ["validate", corpus.root, "--json"], ["validate", "ä"], ["--help"]):
        argv = [sys.executable, "-m", "autocompose", *map(str, options)]
        done = subprocess.run(argv, capture_output=True, env=environment, check=False)
        assert b"Traceback" not in done.stderr, done.stderr
        assert done.returncode == (0 if options == ["--help"] else 2)
        assert (done.stdout + done.stderr).isascii()
        if "--json" in options:
            assert "zoë.png" in str(json.loads(done.stdout))
