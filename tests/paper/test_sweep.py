"""The sweep: which experiments, what is skipped, and the results table."""

import csv
from pathlib import Path

import pytest

from autocompose.core.errors import InputError
from autocompose.paper import sweep as module
from autocompose.paper.results_table import HEADER, TITLES, Published, write_results
from autocompose.paper.sweep import Sweep, run_sweep
from tests.paper.test_commands import CLIP, SIZES, project, tiny_architecture  # noqa: F401

PAPER = Path(__file__).parents[2] / "configs" / "paper.toml"
TINY = Sweep.parse(
    {
        "backbones": ["tiny-test"],
        "common": [*CLIP[2:]],
        "clip_fine_tune": ["--num-epochs", "1", "--batch-size", "8", "--encoder", "text", "--clip-weights", "random"],
        "combiner_train": ["--num-epochs", "1", "--batch-size", "8", *SIZES],
        "test": ["--keep-selection", "0"],
        "setups": [
            {"name": "auto-{k}", "k": [1, 2], "datasets": ["posefix"], "options": ["--use-auto-sents", "{k}"]},
            {"name": "mllm_1", "datasets": ["aist"], "options": ["--mllm-mode", "mllm_1"]},
        ],
        "published": [{"dataset": "posefix", "backbone": "tiny-test", "setup": "auto-1", "recall_at": [1, 2, 3, 4]}],
    }
)


def test_the_papers_matrix():
    experiments = list(Sweep.load(PAPER).experiments())
    assert len(experiments) == len({e.title for e in experiments}) == 236
    cycle = next(e for e in experiments if e.title == "ViT-B/32/aist/mllm-mirror-reverse_5-cycle")
    assert cycle.options == ("--mllm-mode", "mllm-mirror-reverse_5", "--use-cycle-loss")
    assert not any(e.dataset != "posefix" for e in experiments if e.setup.startswith("auto"))


def test_a_sweep_runs_skips_and_tells(project, capsys, monkeypatch):  # noqa: F811
    run_sweep(TINY)
    assert "experiments: 3 in, 2 kept; dropped 1: aist_dataset/ is not here" in capsys.readouterr().err
    with open("models/results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["setup"], r["stage"]) for r in rows] == [
        ("auto-1", "Combiner"),
        ("auto-1", "sum"),
        ("auto-2", "Combiner"),
        ("auto-2", "sum"),
    ]
    assert rows[0]["published_recall_at5"] == "2.00"
    assert rows[1]["published_recall_at5"] == ""
    assert 0 <= float(rows[0]["recall_at1"]) <= 100
    for command in ("clip_fine_tune", "clip_test", "combiner_train", "combiner_test"):
        monkeypatch.setattr(module.paper, command, None)  # nothing may run again
    run_sweep(TINY)


def test_a_failing_experiment_does_not_stop_the_others(project, capsys):  # noqa: F811
    broken = TINY.setups[0].model_copy(update={"name": "bad", "options": ("--mllm-mode", "mllm_9"), "k": (9,)})
    sweep = TINY.model_copy(update={"setups": (broken, TINY.setups[0].model_copy(update={"k": (1,)}))})
    with pytest.raises(InputError, match="1 experiments failed: tiny-test/posefix/bad"):
        run_sweep(sweep)
    assert Path("models/tiny-test/combiner_trained_on_posefix_auto-1/validation_metrics_test.csv").exists()


def test_dry_run_and_only(capsys):
    run_sweep(Sweep.load(PAPER), only="RN101/aist/mllm-reverse_3", dry_run=True)
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in out] == ["RN101/aist/mllm-reverse_3", "RN101/aist/mllm-reverse_3-cycle"]
    with pytest.raises(InputError, match="no experiment"):
        run_sweep(Sweep.load(PAPER), only="RN51")


def test_a_table_of_the_user_is_not_replaced(tmp_path):
    (tmp_path / "results.csv").write_text("mine,1\n")
    with pytest.raises(InputError, match=r"results\.csv: already exists"):
        write_results(tmp_path)
    (tmp_path / "results.csv").write_text(",".join(HEADER) + "\n")  # of version 0.1, which left no record
    write_results(tmp_path)
    write_results(tmp_path)
    assert (tmp_path / "results.md").exists()


def test_published_values_without_a_run_have_their_row(tmp_path):
    write_results(tmp_path, [Published(dataset="aist", backbone="ViT-B/32", setup="<s>", recall_at=(1, 2, 3, 4))])
    (row,) = csv.DictReader((tmp_path / "results.csv").read_text().splitlines())
    assert tuple(row) == HEADER
    assert (row["backbone"], row["recall_at1"], row["published_recall_at50"]) == ("ViT-B-32", "", "4.00")
    page = (tmp_path / "results.html").read_text()
    assert "&lt;s&gt;" in page
    assert page.count("not run") == len(TITLES)
    assert "- (1.00) | - (2.00)" in (tmp_path / "results.md").read_text()
