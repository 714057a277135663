"""The loop on a toy stage: schedule, precision, trackers, selection, what it refuses."""

import itertools
import json
from typing import ClassVar

import pytest
import torch

from autocompose.core.errors import ConfigError, DependencyError, InputError
from autocompose.train import tracker
from autocompose.train.loop import LoopSettings, Stage, _Run, run


class Line(Stage):
    """Fits y = 2 x; four batches an epoch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, 1))

    def steps(self):
        return 4

    def batches(self, epoch):
        generator = torch.Generator().manual_seed(epoch)
        return (torch.rand(16, 1, generator=generator) for _ in range(4))

    def forward(self, batch):
        return ((batch @ self.weight - 2 * batch) ** 2).mean()


def settings(**changes):
    return LoopSettings(**{"epochs": 5, "batch_size": 16, "learning_rate": 0.2, "select": "-error", **changes})


def train(tmp_path, stage=None, **changes):
    stage = stage or Line()
    return run(stage, settings(**changes), tmp_path, lambda: {"error": abs(2 - stage.weight.item())}, "line"), stage


def test_it_learns_and_writes_a_line_per_epoch(tmp_path):
    metrics, stage = train(tmp_path, epochs=30)
    assert metrics["error"] < 0.05
    assert abs(stage.weight.item() - 2) == pytest.approx(metrics["error"])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 31))
    assert lines[-1]["loss"] < lines[0]["loss"] / 10


class Layer(Line):
    """The same with a layer, which Muon trains."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        torch.nn.init.zeros_(self.layer.weight)
        self.weight = self.layer.weight


def test_muon_learns_and_continues_where_it_stopped(tmp_path):
    whole, _ = train(tmp_path / "whole", Layer(), epochs=20, learning_rate=1.0, optimizer="muon", select=None)
    assert whole["error"] < 0.2
    stopped = Layer()
    stopped.register_forward_pre_hook(lambda module, _: stop_at(20))
    steps = itertools.count()

    def stop_at(last):
        if next(steps) == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "again", stopped, epochs=20, learning_rate=1.0, optimizer="muon", select=None, save_seconds=0)
    again, _ = train(tmp_path / "again", Layer(), epochs=20, learning_rate=1.0, optimizer="muon", select=None)
    assert again == whole


def test_muon_does_not_scale_gradients():
    with pytest.raises(ConfigError, match="bf16 or fp32"):
        LoopSettings.parse({"optimizer": "muon", "precision": "fp16"})


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_learns_too(tmp_path, precision):
    metrics, stage = train(tmp_path, epochs=30, precision=precision)
    assert metrics["error"] < 0.1
    assert stage.weight.dtype == torch.float32


def test_the_rate_rises_then_falls(tmp_path):
    loop = _Run(Line(), settings(epochs=10, warmup=0.1, learning_rate=1.0), tmp_path, dict, "line")
    rates = [loop._rate(step) for step in range(40)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == pytest.approx(1)
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert rates[-1] < 0.01
    constant = _Run(Line(), settings(warmup=0, schedule="constant"), tmp_path, dict, "line")
    assert {constant._rate(step) for step in range(20)} == {0.2}


def test_other_settings_in_a_started_folder_are_named(tmp_path):
    train(tmp_path)
    with pytest.raises(ConfigError, match=r"learning_rate = .* instead of 0\.3"):
        train(tmp_path, learning_rate=0.3)


def test_an_unknown_metric_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"'recall': no such validation metric; expected .*error"):
        train(tmp_path, select="recall")


def test_tensorboard_gets_the_lines(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, tracker="tensorboard")
    events = EventAccumulator(str(next(tmp_path.rglob("events.out*")).parent)).Reload()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    logged = [event.value for event in events.Scalars("loss")]
    assert logged == pytest.approx([line["loss"] for line in lines])


class Remote:
    """Stands for a tracker with projects and runs."""

    requires_logging_directory = False
    seen: ClassVar = []

    def __init__(self, project, name):
        self.seen += [project, name]
        if name == "refused":
            raise OSError("no login\nsee the manual")

    def log(self, values, step):
        self.seen.append((step, sorted(values)))

    def finish(self):
        self.seen.append("end")


def test_a_remote_tracker_gets_the_runs_name(tmp_path, monkeypatch):
    from accelerate import tracking

    monkeypatch.setattr(tracker, "_installed", lambda kind: True)
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "trackio", Remote)
    train(tmp_path / "mine", epochs=2, tracker="trackio")
    names = ["epoch", "error", "loss", "seconds"]
    assert Remote.seen == ["autocompose", "mine", (1, names), (2, names), "end"]
    with pytest.raises(InputError, match=r"trackio failed to start \(no login see the manual\); --tracker none"):
        train(tmp_path / "refused", tracker="trackio")


def test_a_tracker_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tracker, "_installed", lambda kind: False)
    with pytest.raises(DependencyError, match="wandb"):
        train(tmp_path, tracker="wandb")
    assert tracker.open_tracker("none", tmp_path, "x") is None


def test_a_run_that_explodes_stops(tmp_path):
    with pytest.raises(ConfigError, match="epoch 1: the loss is nan"):
        stage = Line()
        stage.weight.data.fill_(float("nan"))
        train(tmp_path, stage)
