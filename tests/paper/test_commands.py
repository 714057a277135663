"""The paper's four commands on a tiny corpus, in its order, with its file names."""

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import open_clip
import pytest
import torch

from autocompose.core.records import Split
from autocompose.paper import commands as paper
from tests.fixtures.corpora import make_corpus

SRC = Path(__file__).parents[2] / "src"
TINY = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
CLIP = ["--clip-model-name", "tiny-test", "--transform", "squarepad"]
TRAIN = [*CLIP, "--num-epochs", "2", "--batch-size", "8", "--save-training", "--validation-frequency", "1"]
SIZES = ["--projection-dim", "8", "--hidden-dim", "12"]
SEVEN = {
    "group_recall_at1",
    "group_recall_at3",
    "group_recall_at5",
    "recall_at1",
    "recall_at5",
    "recall_at10",
    "recall_at50",
}


@pytest.fixture(scope="module", autouse=True)
def tiny_architecture(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "tiny-test.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project root with posefix_dataset/ in the paper's layout, all text fields filled."""
    corpus = make_corpus(tmp_path / "posefix_dataset", poses=False)

    def filled(pair):
        keys = ("auto", "auto-reverse", "mllm", "reverse", "mirror", "mirror-reverse")
        return dataclasses.replace(
            pair, texts={"sents": pair.texts["sents"], **{k: (f"{k} one", f"{k} two") for k in keys}}
        )

    pairs = {split: tuple(map(filled, entries)) for split, entries in corpus.pairs.items()}
    dataclasses.replace(corpus, pairs=pairs).save()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command, *options):
    return getattr(paper, command)(["--dataset", "PoseFix", "--experiment-name", "e", *options])


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_four_commands_in_the_papers_order(project, capsys):
    text = ["--mllm-mode", "mllm-mirror-reverse_2", "--use-cycle-loss"]
    clip_folder = project / "models/tiny-test/clip_finetuned_on_posefix_e"
    combiner_folder = project / "models/tiny-test/combiner_trained_on_posefix_e"
    tuned = ["--clip-model-path", str(clip_folder / "saved_models/tuned_clip_1.pt")]

    assert run("clip_fine_tune", *TRAIN, *text, "--encoder", "text", "--clip-weights", "random") == 0
    assert torch.load(clip_folder / "saved_models/tuned_clip_1.pt", weights_only=True)["epoch"] == 1
    assert [r["epoch"] for r in rows(clip_folder / "train_metrics.csv")] == ["0", "1"]
    watched = rows(clip_folder / "validation_metrics.csv")
    assert watched[0].keys() == {"epoch"} | SEVEN

    capsys.readouterr()
    assert run("clip_test", *CLIP, *tuned) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.keys() == SEVEN
    (tested,) = rows(clip_folder / "validation_metrics_test.csv")
    assert next(iter(tested)) == "epoch" and tested.pop("epoch") == "0"  # as theirs, which does not know better
    assert {k: float(v) for k, v in tested.items()} == printed
    assert {k: float(v) for k, v in watched[-1].items() if k != "epoch"} == pytest.approx(printed)
    assert (clip_folder / "top50_all_selection.csv").exists()

    assert run("combiner_train", *TRAIN, *text, *SIZES, *tuned) == 0
    saved = ["--combiner-model-path", str(combiner_folder / "saved_models/combiner_1.pt")]
    assert run("combiner_test", *CLIP, *SIZES, *tuned, *saved, "--keep-selection", "0") == 0
    assert not (combiner_folder / "top0_all_selection.csv").exists()
    (tested,) = rows(combiner_folder / "validation_metrics_test.csv")
    tested.pop("epoch")
    last = rows(combiner_folder / "validation_metrics.csv")[-1]
    assert {k: float(v) for k, v in last.items() if k != "epoch"} == pytest.approx(
        {k: float(v) for k, v in tested.items()}
    )


@pytest.mark.parametrize(
    "text", [["--use-human-sents", "2"], ["--use-auto-sents", "2"], ["--use-auto-sents", "1", "--use-cycle-loss"]]
)
def test_the_other_text_sources(project, text):
    assert run("clip_fine_tune", *TRAIN, *text, "--clip-weights", "random") == 0


@pytest.mark.parametrize(
    ("epochs", "frequency", "validated"),
    [(1, 1, [0]), (5, 2, [0, 2, 4]), (6, 2, [0, 2, 4, 5]), (4, 3, [0, 3]), (3, 9, [0, 2])],
)
def test_it_validates_when_the_papers_scripts_do(project, epochs, frequency, validated):
    """After the first epoch, which they call 0, then every f epochs, and after the last."""
    options = ["--num-epochs", str(epochs), "--validation-frequency", str(frequency), "--batch-size", "36"]
    text = ["--mllm-mode", "reverse-mllm_03", "--encoder", "text", "--clip-weights", "random"]
    assert run("clip_fine_tune", *CLIP, *options, *text) == 0
    folder = project / "models/tiny-test/clip_finetuned_on_posefix_e"
    assert [int(r["epoch"]) for r in rows(folder / "validation_metrics.csv")] == validated
    assert [int(r["epoch"]) for r in rows(folder / "train_metrics.csv")] == list(range(epochs))


@pytest.mark.parametrize("command", ["clip_fine_tune", "combiner_train"])
def test_without_save_training_no_weights_are_left_and_a_killed_run_continues(project, capsys, command):
    options = [*TRAIN, "--use-human-sents", "5", "--clip-weights", "random"]
    options = [o for o in options if o != "--save-training"] + (SIZES if command == "combiner_train" else [])
    (folder,) = [
        project / f"models/tiny-test/{name}_on_posefix_e"
        for name in (["clip_finetuned"] if command == "clip_fine_tune" else ["combiner_trained"])
    ]
    with mock.patch.object(paper, "_write_tables", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        run(command, *options)  # training is over, its tables are not written
    assert (folder / "training.pt").exists()
    capsys.readouterr()
    assert run(command, *options) == 0
    assert "continuing" in capsys.readouterr().err
    assert [r["epoch"] for r in rows(folder / "validation_metrics.csv")] == ["0", "1"]
    assert not [p.name for p in folder.rglob("*") if p.suffix in (".pt", ".safetensors")]
    (folder / "training.pt").touch()  # as if killed between the tables and the removal
    assert run(command, *options) == 2
    assert not (folder / "training.pt").exists()


def test_splits_of_any_name_and_one_pair_in_a_batch(project, capsys):
    for kind in ("captions", "image_splits"):
        for split in ("train", "test"):
            path = project / f"posefix_dataset/{kind}/{split}.json"
            path.rename(path.with_name(f"my_{split}10.json"))
    splits = ["--train-split", "my_train10", "--val-split", "my_test10"]
    few = [*CLIP, "--num-epochs", "1", "--batch-size", "1", "--encoder", "text", "--save-training"]
    assert run("clip_fine_tune", *few, *splits, "--use-human-sents", "2", "--clip-weights", "random") == 0
    assert "nothing is learned" in capsys.readouterr().err
    folder = project / "models/tiny-test/clip_finetuned_on_posefix_e"
    assert json.loads((folder / "model.json").read_text())["card"]["validated_on"]["split"] == "my_test10"
    tuned = ["--clip-model-path", str(folder / "saved_models/tuned_clip_0.pt")]
    assert run("clip_test", *CLIP, *tuned, *splits[2:]) == 0


@pytest.mark.parametrize("dataset", ["posefix", "fixmypose"])
def test_more_human_texts_than_there_are(project, dataset):
    (project / "posefix_dataset").rename(project / f"{dataset}_dataset")
    few = [*CLIP, "--num-epochs", "1", "--batch-size", "36", "--encoder", "text", "--clip-weights", "random"]
    assert paper.clip_fine_tune(["--dataset", dataset, *few, "--use-human-sents", "1000000000"]) == 0


def test_a_finished_run_is_refused_and_an_unfinished_one_continues(project, capsys):
    options = [*TRAIN, "--use-auto-sents", "1", "--clip-weights", "random"]
    assert run("clip_fine_tune", *options) == 0
    assert run("clip_fine_tune", *options) == 2
    assert "has finished" in capsys.readouterr().err
    folder = project / "models/tiny-test/clip_finetuned_on_posefix_e"
    (folder / "validation_metrics.csv").unlink()  # as if killed just before the end
    assert run("clip_fine_tune", *options, "--learning-rate", "1e-3") == 2
    assert "learning_rate = 2e-06 instead of 0.001" in capsys.readouterr().err
    assert run("clip_fine_tune", *options) == 0
    assert (folder / "validation_metrics.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "none chosen"),
        (["--use-auto-sents", "1", "--mllm-mode", "mllm_1"], "auto and mllm chosen"),
        (["--use-auto-sents", "-1"], "expected at least 1"),
        (["--use-human-sents", "1", "--use-cycle-loss"], "no reverse human texts"),
        (["--mllm-mode", "mllm_1", "--use-cycle-loss"], "reverse"),
        (["--mllm-mode", "mllm-mirror-mirror_1"], "expected mllm"),
        (["--mllm-mode", "mirror_1"], "expected mllm"),
        (["--mllm-mode", "mllm_6"], "k from 1 to 5"),
        (["--mllm-mode", "mllm_1", "--train-split", "learn"], "--train-split 'learn': expected a name with"),
        (["--mllm-mode", "mllm_1", "--val-split", "../test"], "--val-split '../test': expected a name with"),
        (["--mllm-mode", "mllm_1", "--train-split", "train10"], "captions/train10.json: file not found"),
        (["--mllm-mode", "mllm_1", "--clip-model-name", "RN50"], "no weights for RN50.*pretrained:openai"),
    ],
)
def test_wrong_options_are_one_line(project, capsys, monkeypatch, options, words):
    monkeypatch.setenv("HOME", str(project))
    assert run("clip_fine_tune", *TRAIN, *options) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    import re

    assert re.search(words, error)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--batch-size", "0"], "--batch-size: '0': expected an integer >= 1"),
        (["--validation-frequency", "0"], ">= 1"),
        (["--seed", "-1"], ">= 0"),
        (["--transform", "round"], "invalid choice: 'round'"),
    ],
)
def test_options_that_do_not_exist_or_fit_are_one_line(capsys, options, words):
    assert run("clip_fine_tune", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert "--help" in line


def test_nothing_is_left_where_training_could_not_start(project, capsys):
    options = [*TRAIN, "--use-auto-sents", "1", "--clip-weights", "random"]
    for size, weight in (("37", "0.5"), ("8", "7")):
        assert run("clip_fine_tune", *options, "--batch-size", size, "--cycle-loss-weight", weight) == 2
    assert "only 36 training pairs" in capsys.readouterr().err
    assert not (project / "models").exists()
    assert run("clip_fine_tune", *options) == 0


def test_ctrl_c_is_one_line_and_stops_a_sweep(project, capsys, monkeypatch):
    monkeypatch.setattr(paper, "_data", mock.Mock(side_effect=KeyboardInterrupt))
    options = ["--dataset", "posefix", *TRAIN, "--use-auto-sents", "1"]
    monkeypatch.setattr(sys, "argv", ["clip_fine_tune.py", *options])
    assert paper.clip_fine_tune() == 130
    assert "the same command continues" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        paper.clip_fine_tune(options)


def test_human_texts_are_refused_for_aist(project, capsys):
    assert paper.clip_fine_tune(["--dataset", "aist", *TRAIN, "--use-human-sents", "1"]) == 2
    assert "aist has none; fixmypose and posefix have" in capsys.readouterr().err


def test_a_checkpoint_of_another_architecture_is_named(project, capsys):
    run("clip_fine_tune", *TRAIN, "--use-auto-sents", "1", "--clip-weights", "random")
    tuned = project / "models/tiny-test/clip_finetuned_on_posefix_e/saved_models/tuned_clip_1.pt"
    assert run("clip_test", "--clip-model-name", "RN50", "--clip-model-path", str(tuned)) == 2
    assert "vision width is 8, the flags say 64" in capsys.readouterr().err


def test_aist_asks_with_every_text(project, monkeypatch):
    (project / "posefix_dataset").rename(project / "aist_dataset")
    args = paper._common("").parse_args(["--dataset", "aist"])
    data = paper._data(args)
    assert len(data.corpus.questions(Split.TEST, data.key, data.flatten)) == 2 * len(data.corpus.split(Split.TEST))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("clip_fine_tune", {"num_epochs": 300, "encoder": "both", "learning_rate": 2e-6, "batch_size": 512}),
        (
            "combiner_train",
            {
                "projection_dim": 2560,
                "hidden_dim": 5120,
                "num_epochs": 300,
                "combiner_lr": 2e-5,
                "batch_size": 1024,
                "clip_bs": 32,
                "validation_frequency": 3,
            },
        ),
    ],
)
def test_defaults_are_the_papers(monkeypatch, name, options):
    seen = {}
    monkeypatch.setattr(paper, "_run", lambda command, parser, argv: seen.update(vars(parser.parse_args(argv))))
    getattr(paper, name)(["--dataset", "aist"])
    common = {"clip_model_name": "RN50x4", "transform": "targetpad", "target_ratio": 1.25, "val_split": "test"}
    text = {
        "mllm_mode": "none",
        "use_cycle_loss": False,
        "cycle_loss_weight": 0.5,
        "use_auto_sents": 0,
        "use_human_sents": 0,
    }
    assert {k: seen[k] for k in {**options, **common, **text}} == {**options, **common, **text}


@pytest.mark.parametrize("name", ["clip_fine_tune", "clip_test", "combiner_train", "combiner_test"])
def test_the_scripts_start_and_tell_their_defaults(name):
    done = subprocess.run([sys.executable, SRC / f"{name}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    told = " ".join(done.stdout.split())
    defaults = ["RN50x4", "targetpad", "1.25", "test"] + (
        ["0.5", "300"] if name in ("clip_fine_tune", "combiner_train") else ["50"]
    )
    assert all(f"(default: {value})" in told for value in defaults)
    assert "None" not in told
