"""Two real processes (gloo) train what one process trains with the joined batch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from autocompose.core import distributed as processes
from autocompose.core.distributed import (
    average_gradients,
    first_process_first,
    gather,
    in_shares,
    rank,
    share_value,
    together,
    world,
)
from autocompose.core.errors import ConfigError, ImageError, InputError
from autocompose.train import compose_stages as stages
from autocompose.train.loop import LoopSettings, Stage, run
from tests.fixtures.corpora import make_corpus
from tests.train.test_runs import four_fields

SCRIPT = Path(__file__).with_name("two_processes.py")


def test_in_one_process_everything_is_the_identity():
    values = torch.ones(2, requires_grad=True)
    assert gather(values) is values
    assert share_value("x") == "x"
    average_gradients([torch.nn.Parameter(torch.ones(1))])
    with first_process_first():
        pass


def train_with(folder: Path) -> None:
    """What each of two processes does: its share of some rows, a mean gradient, a value of the first."""
    rows = in_shares(range(5), lambda part: torch.tensor([[float(item * item)] for item in part]))
    weights = [torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(4))]
    weights[0].grad = torch.full((2, 3), 1.0 + rank())
    average_gradients(weights)
    told = {"world": world(), "rows": rows.flatten().tolist(), "gradients": [w.grad.tolist() for w in weights]}
    (folder / f"{rank()}.json").write_text(json.dumps({**told, "first": share_value(rank() + 7)}))


def fails_beside(folder: Path) -> None:
    raise SystemExit(3)


def finds_a_fault(folder: Path) -> None:
    raise ImageError(f"{folder}/a.png: truncated")


def test_helpers_of_this_machine_train_along_and_are_gone_afterwards(tmp_path):
    threads = torch.get_num_threads()
    with together(2, train_with, tmp_path):
        assert torch.get_num_threads() <= max(1, threads // 2)
        train_with(tmp_path)
    told = [json.loads((tmp_path / f"{number}.json").read_text()) for number in (0, 1)]
    assert told[0] == told[1]
    assert told[0] == {
        "world": 2,
        "rows": [0.0, 1.0, 4.0, 9.0, 16.0],
        "gradients": [[[1.5] * 3] * 2, [0.0] * 4],
        "first": 7,
    }
    assert world() == 1
    assert torch.get_num_threads() == threads


@pytest.mark.slow
def test_a_helper_that_dies_ends_the_training(tmp_path):
    """No waiting for ever."""
    with pytest.raises(RuntimeError), together(2, fails_beside, tmp_path):
        train_with(tmp_path)
    assert world() == 1


@pytest.mark.slow
def test_what_a_helper_finds_wrong_is_said_by_the_first_process(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: truncated"), together(2, finds_a_fault, tmp_path):
        train_with(tmp_path)


class Fit(Stage):
    """Two matrices learn a product; every process draws batches of its own. Ends before epoch ``stop``."""

    def __init__(self, stop: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers, self.stop = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Linear(6, 4)), stop

    def steps(self) -> int:
        return 5

    def batches(self, epoch: int):
        if epoch == self.stop:
            raise ConfigError("interrupted")
        draws = torch.Generator().manual_seed(10 * epoch + rank())
        return (torch.randn(8, 6, generator=draws) for _ in range(5))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return (self.layers(batch) - batch[:, :4].flip(1)).square().mean()


def fit(folder: Path, stop: int) -> None:
    stage = Fit(stop)
    settings = LoopSettings(epochs=4, batch_size=8, optimizer="muon", select=None, save_seconds=0)
    run(stage, settings, folder, lambda: {"none": 0.0}, "fit")
    if rank() == 0:
        torch.save(stage.state_dict(), folder / "weights.pt")


@pytest.mark.slow
def test_an_interrupted_stage_continues_in_two_processes_bit_identically(tmp_path):
    """Each process knows the momentum of half of the matrices only; what is saved has all of it."""
    with together(2, fit, tmp_path / "whole", -1):
        fit(tmp_path / "whole", -1)
    with pytest.raises(ConfigError, match="interrupted"), together(2, fit, tmp_path / "cut", 2):
        fit(tmp_path / "cut", 2)
    assert torch.load(tmp_path / "cut" / "fit.pt")["epoch"] == 2
    with together(2, fit, tmp_path / "cut", -1):
        fit(tmp_path / "cut", -1)
    whole, cut = (torch.load(tmp_path / name / "weights.pt") for name in ("whole", "cut"))
    for name in whole:
        assert torch.equal(whole[name], cut[name]), name


def test_one_process_needs_no_helper(tmp_path):
    with together(1, fails_beside, tmp_path):
        assert world() == 1


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path):
    corpus = four_fields(make_corpus(tmp_path / "corpus"))
    corpus.save()
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, prefix in (("one", []), ("two", launch)):
        command = [sys.executable, *prefix, str(SCRIPT), str(tmp_path / "corpus"), str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[2])
        assert done.returncode == 0, done.stderr[-3000:]
    for stage in ("clip", "combiner"):
        one, two = (load_file(tmp_path / name / stage / "model.safetensors") for name in ("one", "two"))
        for key in one:
            torch.testing.assert_close(two[key], one[key], atol=1e-5, rtol=0, msg=f"{stage} {key}")
        lines = [
            [json.loads(line) for line in (tmp_path / name / stage / "metrics.jsonl").read_text().splitlines()]
            for name in ("one", "two")
        ]
        assert [line["epoch"] for line in lines[1]] == [1, 2]
        for first, second in zip(*lines, strict=True):
            assert second["loss"] == pytest.approx(first["loss"], abs=1e-5)
            assert second["recall_at5"] == first["recall_at5"]
    caches = [sorted(p.name for p in (tmp_path / name / "cache").iterdir()) for name in ("one", "two")]
    assert len(caches[0]) == len(caches[1])  # nothing is cached once per process


def test_processes_must_share_a_batch_equally(monkeypatch):
    monkeypatch.setattr(processes, "world", lambda: 3)
    stage = stages.ComposeStage(None, None, torch.nn.Identity(), stages.ComposeSettings(), 8)
    with pytest.raises(ConfigError, match="not a multiple of the 3 processes"):
        stage.batches(0)


def test_splitting_a_loss_over_processes_is_the_mean_of_shares(monkeypatch):
    """The arithmetic without processes: each share's queries against all columns, averaged."""
    from autocompose.model import losses

    torch.manual_seed(0)
    columns, ids = torch.randn(6, 4), torch.tensor([0, 1, 0, 2, 3, 1])
    queries = torch.nn.functional.normalize(torch.randn(6, 4), dim=-1)
    whole = losses.contrastive_loss(queries, columns, ids)
    parts = []
    for number in (0, 1):
        monkeypatch.setattr(losses, "rank", lambda n=number: n)
        gathered = iter((torch.nn.functional.normalize(columns, dim=-1), ids))
        monkeypatch.setattr(losses, "gather", lambda _, g=gathered: next(g))
        mine = slice(3 * number, 3 * number + 3)
        parts.append(losses.contrastive_loss(queries[mine], columns[mine], ids[mine]))
    torch.testing.assert_close(sum(parts) / 2, whole)


TINY = """
loop = { epochs = 1, batch_size = 8 }
[encoder.model]
embed_dim = 16
quick_gelu = true
vision_cfg = { image_size = 32, layers = [1, 1, 1, 1], width = 8 }
text_cfg = { context_length = 77, vocab_size = 49408, width = 64, heads = 1, layers = 1 }
"""
LAUNCHERS = {
    "torchrun": "torch.distributed.run --standalone --nproc-per-node 2",
    "accelerate": "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 "
    "--mixed_precision no --dynamo_backend no",
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_verb_runs_under_a_launcher(tmp_path, launcher):
    """Only the first process speaks and writes."""
    four_fields(make_corpus(tmp_path / "corpus")).save()
    (tmp_path / "tiny.toml").write_text(TINY)
    verb = "autocompose finetune corpus --config tiny.toml --weights random --texts auto_1 --out run"
    command = [sys.executable, "-m", *LAUNCHERS[launcher].split(), "-m", *verb.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("training pairs: 24 in, 24 kept") == 1
    assert (tmp_path / "run" / "model.safetensors").exists()
