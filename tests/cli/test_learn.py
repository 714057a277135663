"""The learning verbs on a tiny corpus: what they print, what they leave, how they fail."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from autocompose.cli import load_verbs
from autocompose.cli.app import run
from autocompose.core.config import read_toml
from autocompose.core.errors import ConfigError
from autocompose.model.checkpoint import save_model
from autocompose.model.hub import load
from autocompose.train.run_options import merged, text_mode
from autocompose.train.runs import CombinerSettings, FinetuneSettings
from tests.fixtures.corpora import make_corpus
from tests.train.test_runs import four_fields

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG = """
[encoder]
transform = "squarepad"
[encoder.model]
embed_dim = 16
quick_gelu = true
[encoder.model.vision_cfg]
image_size = 32
layers = [1, 1, 1, 1]
width = 8
[encoder.model.text_cfg]
context_length = 77
vocab_size = 49408
width = 64
heads = 1
layers = 1
[loop]
epochs = 2
batch_size = 8
"""

load_verbs()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    root = tmp_path_factory.mktemp("work")
    four_fields(make_corpus(root / "corpus", train=5)).save()
    (root / "clip.toml").write_text(CONFIG)
    (root / "combiner.toml").write_text("projection_dim = 8\nhidden_dim = 12\n[loop]\nepochs = 2\nbatch_size = 8\n")
    return root


@pytest.fixture(scope="module")
def trained(work):
    options = ["--texts", "auto-mirror-reverse_2", "--cycle"]
    clip, combiner = str(work / "clip"), str(work / "combiner")
    start = ["--config", str(work / "clip.toml"), "--weights", "random"]
    assert run(["finetune", str(work / "corpus"), "--out", clip, *start, *options]) == 0
    stage2 = ["--clip", clip, "--out", combiner, "--config", str(work / "combiner.toml")]
    assert run(["train", str(work / "corpus"), *stage2, *options]) == 0
    return work


def test_both_stages_leave_models(trained):
    clip, combiner = load(trained / "clip"), load(trained / "combiner")
    assert clip.card["settings"]["text"]["cycle"] is True
    assert combiner.composer.projection_dim == 8
    assert combiner.card["validated_on"] == {"split": "val", "text": "sents"}
    assert torch.equal(clip.encoder.clip.text_projection, combiner.encoder.clip.text_projection)


def test_evaluate_and_compare(trained, capsys):
    for name in ("clip", "combiner"):
        capsys.readouterr()
        assert run(["evaluate", str(trained / name), str(trained / "corpus"), "--keep", "3"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed == json.loads((trained / name / "test" / "metrics.json").read_text())
        assert (trained / name / "test" / "top3_all_selection.csv").exists()
    assert run(["compare", str(trained / "clip" / "test"), str(trained / "combiner" / "test")]) == 0
    table = capsys.readouterr().out
    assert "recall_at1" in table
    assert "24 queries" in table
    assert (
        run(["evaluate", str(trained / "clip"), str(trained / "corpus"), "--every-text", "--out", str(trained / "e")])
        == 0
    )
    assert run(["compare", str(trained / "clip" / "test"), str(trained / "e")]) == 2
    assert "query 1 differs from that of" in capsys.readouterr().err


def test_a_bank_of_some_pairs_is_evaluated_and_counted(trained, tmp_path, capsys):
    corpus = shutil.copytree(trained / "corpus", tmp_path / "corpus")
    file = corpus / "captions" / "test.json"
    pairs = json.loads(file.read_text("utf-8"))
    pairs[0]["mllm"] = ["Raise your left arm."]
    file.write_text(json.dumps(pairs), "utf-8")
    capsys.readouterr()
    command = ["evaluate", str(trained / "clip"), str(corpus), "--texts", "mllm", "--out", str(tmp_path / "e")]
    assert run(command) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["n_queries"] == 1
    assert "pairs: 24 in, 1 kept; dropped 23: no text in mllm" in said.err


def test_a_run_folder_as_first_weights_says_what_it_is(trained):
    options = ["--weights", str(trained / "clip"), "--epochs", "1", "--batch-size", "8", "--texts", "auto_1"]
    assert run(["finetune", str(trained / "corpus"), "--out", str(trained / "again"), *options]) == 0
    assert load(trained / "again").encoder.config == load(trained / "clip").encoder.config


def test_a_small_corpus_trains_without_validation(trained, tmp_path, capsys):
    four_fields(make_corpus(tmp_path / "corpus", train=1)).save()
    stages = {
        "finetune": ["--weights", str(trained / "clip"), "--out", str(tmp_path / "clip")],
        "train": [
            "--clip",
            str(trained / "clip"),
            "--out",
            str(tmp_path / "comb"),
            "--config",
            str(trained / "combiner.toml"),
        ],
    }
    for verb, options in stages.items():
        command = [verb, str(tmp_path / "corpus"), *options, "--texts", "auto_1", "--epochs", "1", "--batch-size", "12"]
        assert run(command) == 2
        assert "--no-val" in capsys.readouterr().err
        assert run([*command, "--no-val"]) == 0
        assert "the last epoch, not validated" in capsys.readouterr().err
    assert load(tmp_path / "comb").card["validation"] == {}


def test_new_words_get_rows_of_their_own(trained, capsys):
    small = load(trained / "clip")
    small.encoder = small.encoder.with_vocabulary(["raise your horse"])
    save_model(trained / "small", small)
    again = ["--weights", str(trained / "small"), "--out", str(trained / "grown"), "--epochs", "1", "--batch-size", "8"]
    assert run(["finetune", str(trained / "corpus"), *again]) == 0
    assert "new words were added to the text encoder" in capsys.readouterr().err
    known, grown = (set(m.encoder.config.vocabulary) for m in (small, load(trained / "grown")))
    assert known < grown


def test_export(trained, capsys):
    assert run(["export-weights", str(trained / "combiner"), "--out", str(trained / "pt"), "--epoch", "49"]) == 0
    assert {p.name for p in (trained / "pt").iterdir()} == {"tuned_clip_49.pt", "combiner_49.pt"}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["finetune", "CORPUS", "--out", "x", "--texts", "auto_k"], "texts 'auto_k'"),
        (["finetune", "CORPUS", "--out", "x", "--config", "bad.toml"], "unknown key 'lop'"),
        (["finetune", "CORPUS", "--out", "x", "--config", "none.toml"], "none.toml: file not found"),
        (["finetune", "CORPUS", "--out", "x", "--arch", "RN51", "--weights", "random"], "RN51"),
        (["finetune", "nowhere", "--out", "x", "--weights", "random"], "nowhere"),
        (["train", "CORPUS", "--clip", "nowhere.pt", "--out", "x"], "nowhere.pt: weight file not found"),
        (["evaluate", "nowhere", "CORPUS"], "model file not found"),
        (["evaluate", "CLIP", "CORPUS", "--split", "tset"], "split 'tset'"),
        (["compare", "nowhere", "CLIP"], "nowhere"),
        (["sweep", "none.toml"], "none.toml: file not found"),
    ],
)
def test_bad_input_is_one_line(trained, capsys, monkeypatch, command, words):
    monkeypatch.chdir(trained)
    (trained / "bad.toml").write_text("[lop]\nepochs = 2\n")
    command = [{"CORPUS": "corpus", "CLIP": "clip"}.get(c, c) for c in command]
    assert run(command) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("autocompose: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert not (trained / "x").exists()


@pytest.mark.parametrize(
    ("file", "settings"), [("finetune.toml", FinetuneSettings), ("combiner.toml", CombinerSettings)]
)
def test_the_shipped_configs_are_the_defaults(file, settings):
    values = read_toml(CONFIGS / file)
    values.pop("encoder", None)
    assert merged(settings, values, {}, file) == settings()


def test_text_names():
    mode = text_mode("mllm-mirror-reverse_3", True)
    assert (mode.source.value, mode.mirror, mode.reverse, mode.texts, mode.cycle) == ("mllm", True, True, 3, True)
    with pytest.raises(ConfigError, match="needs reverse texts"):
        text_mode("auto_3", True)
    with pytest.raises(ConfigError, match="only for the plain pair"):
        text_mode("human-reverse_1", False)


def test_hub_names_are_only_followed_when_spelled_out(tmp_path):
    from autocompose.core.errors import CheckpointError

    with pytest.raises(CheckpointError, match="model file not found"):
        load("owner/name")


def test_evaluating_into_a_folder_of_the_user_is_refused(trained, tmp_path, capsys):
    (tmp_path / "metrics.json").write_text("{}")
    line = ["evaluate", str(trained / "clip"), str(trained / "corpus"), "--texts", "rules", "--out"]
    assert run([*line, str(tmp_path)]) == 2
    assert "not empty and not an evaluation made by this program" in capsys.readouterr().err
    assert (tmp_path / "metrics.json").read_text() == "{}"


def test_a_smaller_evaluation_leaves_nothing_of_the_larger_one(trained, tmp_path):
    folders = [str(trained / "clip"), str(trained / "corpus")]
    line = ["evaluate", *folders, "--texts", "rules", "--out", str(tmp_path / "e")]
    assert run([*line, "--keep", "5"]) == 0
    (tmp_path / "e/notes.txt").touch()
    assert run([*line, "--keep", "0"]) == 0
    names = sorted(p.name for p in (tmp_path / "e").iterdir() if not p.name.endswith(".manifest.json"))
    assert names == ["metrics.json", "notes.txt", "ranks.csv"]


def test_weights_of_the_user_are_not_replaced(trained, tmp_path, capsys):
    (tmp_path / "tuned_clip_0.pt").write_bytes(b"mine")
    assert run(["export-weights", str(trained / "combiner"), "--out", str(tmp_path)]) == 2
    assert "tuned_clip_0.pt: already exists" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["tuned_clip_0.pt"]
