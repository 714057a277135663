"""The precision of a run: chosen by what the device can do, written down, and kept."""

from types import SimpleNamespace

import pytest
import torch

from autocompose.demo.demo import Demo
from autocompose.demo.presets import DemoSettings
from autocompose.model.checkpoint import load_model
from autocompose.train import precision
from autocompose.train.loop import LoopSettings, run
from autocompose.train.precision import Choice, best_precision, recorded_precision, resolved
from autocompose.train.runs import FinetuneSettings, finetune, train_combiner
from tests.train.test_loop import Line, settings
from tests.train.test_runs import ALL, CombinerSettings, corpus, data, encoder, loop  # noqa: F401

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def forgotten():
    best_precision.cache_clear()
    yield
    best_precision.cache_clear()


@pytest.mark.parametrize(
    ("instructions", "share", "wanted"),
    [
        ([], 0.1, "fp32"),  # without instructions nothing is measured
        (["AMX"], 0.2, "bf16"),
        (["AVX512-BF16"], 0.7, "bf16"),
        (["AVX512-BF16"], 0.95, "fp32"),
    ],
)
def test_a_cpu_needs_the_instructions_and_must_gain(monkeypatch, instructions, share, wanted):
    monkeypatch.setattr(precision, "bf16_instructions", lambda: instructions)
    monkeypatch.setattr(precision, "bf16_share", lambda: share)
    best = best_precision(CPU)
    assert best.precision == wanted
    assert (instructions[0] in best.why and f"{share:.2f}" in best.why) if instructions else "emulate" in best.why


@pytest.mark.parametrize(
    ("major", "hip", "wanted"), [(9, None, "bf16"), (7, None, "fp16"), (6, None, "fp32"), (9, "6", "bf16")]
)
def test_a_gpu_by_its_capability(monkeypatch, major, hip, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Name")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (major, 0))
    monkeypatch.setattr(torch.version, "hip", hip)
    assert best_precision(GPU).precision == wanted
    muon = resolved("auto", GPU, allowed=("fp32", "bf16"))
    assert muon == ("fp32" if wanted == "fp16" else wanted)


def test_other_devices_stay_in_fp32():
    assert best_precision(torch.device("mps")).precision == "fp32"


def test_the_share_of_time_is_measured():
    assert precision.bf16_share(64) > 0


@pytest.mark.parametrize(
    ("said", "recorded", "wanted"), [("fp32", "bf16", "fp32"), ("auto", "fp32", "fp32"), ("auto", None, "bf16")]
)
def test_what_is_said_goes_first_then_what_the_run_began_with(monkeypatch, capsys, said, recorded, wanted):
    monkeypatch.setattr(precision, "best_precision", lambda _: Choice("bf16", "it can"))
    assert LoopSettings(precision=said).on(CPU, recorded).precision == wanted
    told = capsys.readouterr().err
    assert ("as when the run started; a new run here would use bf16" in told) == (said == "auto" and recorded == "fp32")


def other_machine(monkeypatch, kind):
    monkeypatch.setattr(precision, "best_precision", lambda _: Choice(kind, "so it is"))


class Stop(BaseException):
    """Stands for the end of the process."""


def test_a_loop_that_continues_on_another_machine_keeps_its_precision(tmp_path, monkeypatch):
    def dying():
        raise Stop

    other_machine(monkeypatch, "bf16")
    line = Line()
    calls = iter([lambda: {"error": 1.0}, dying])
    with pytest.raises(Stop):
        run(line, settings(precision="auto", save_seconds=0), tmp_path, lambda: next(calls)(), "line")
    other_machine(monkeypatch, "fp32")
    run(Line(), settings(precision="auto"), tmp_path, lambda: {"error": 1.0}, "line")
    assert torch.load(tmp_path / "line.pt", weights_only=True)["settings"]["precision"] == "bf16"


@pytest.mark.parametrize("stage", [1, 2])
def test_a_run_says_what_it_was_computed_in_and_keeps_it(data, tmp_path, monkeypatch, stage):  # noqa: F811
    def train(**changes):
        if stage == 1:
            return finetune(data, encoder(), FinetuneSettings(text=ALL, loop=loop(epochs=1, **changes)), tmp_path)
        values = {"text": ALL, "projection_dim": 8, "hidden_dim": 12, "loop": loop(epochs=1, **changes)}
        return train_combiner(data, encoder(), CombinerSettings(**values), tmp_path)

    other_machine(monkeypatch, "bf16")
    train()
    assert load_model(tmp_path).card["settings"]["loop"]["precision"] == "bf16"
    assert recorded_precision(tmp_path, "train") == "bf16"
    other_machine(monkeypatch, "fp32")
    assert train().card["settings"]["loop"]["precision"] == "bf16"  # finished, and the same run


def test_a_demo_chooses_once_for_all_its_stages(tmp_path, monkeypatch):
    wanted = DemoSettings.preset_file("scratch-quick", 0)
    other_machine(monkeypatch, "bf16")
    assert recorded_precision(tmp_path, "demo") is None
    first = Demo(tmp_path, wanted, 0).settings
    other_machine(monkeypatch, "fp32")
    again = Demo(tmp_path, wanted, 0).settings
    assert first == again
    assert {
        s.precision for s in (first.scratch.loop, first.scratch.text.loop, first.finetune.loop, first.combiner.loop)
    } == {"bf16"}
    assert Demo(tmp_path / "new", wanted, 0).settings.combiner.loop.precision == "fp32"


def test_the_demos_follow_the_machine_and_the_papers_commands_do_not():
    for name in ("scratch", "scratch-quick", "demo", "quick"):
        found = DemoSettings.preset_file(name, 0)
        assert found.combiner.loop.precision == found.finetune.loop.precision == "auto"
    from autocompose.paper import commands as paper

    parser = paper._common("")
    paper._training(parser, 1, 1, 1)
    assert parser.parse_args(["--dataset", "aist"]).precision == "fp32"
    assert SimpleNamespace(**LoopSettings().model_dump()).precision == "auto"
