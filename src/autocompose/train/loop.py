"""The one training loop, for every stage.

A stage is a module whose ``forward(batch)`` is the loss. The loop owns everything that stages share:
optimiser, schedule, precision, validation, best-on-val selection, `metrics.jsonl`, and a state from which a killed run
continues bit-identically on a CPU.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from autocompose.core.config import Config
from autocompose.core.distributed import average_gradients, mean_over_processes, rank, share_value, share_weights
from autocompose.core.errors import ConfigError
from autocompose.core.files import atomic_file, write_text
from autocompose.core.log import bar, say
from autocompose.core.reading.jsontext import parse_json, to_json
from autocompose.core.reading.plain import read_file
from autocompose.core.run_folder import difference, some
from autocompose.train.optimizer import Muon
from autocompose.train.precision import best_precision, resolved
from autocompose.train.tracker import open_tracker

Metrics = dict[str, float]
MAX_GRAD_NORM = 5.0
LOG = "metrics.jsonl"


class LoopSettings(Config):
    """Duration, optimiser and validation of a training stage.

    :param warmup: share of all steps in which the learning rate rises from 0.
    :param validate_every: epochs between validations; the last epoch is always validated.
    :param validate_first: validate after the first epoch too and count from there (the paper's protocol).
    :param save_seconds: at least this many seconds between two saved states.
    :param select: validation metric whose best epoch is kept, with a leading "-" if smaller is better; None keeps the
        last epoch (the paper's protocol).
    :param optimizer: ``muon`` learns small networks from scratch in about half of the epochs (docs/training.md);
        it updates matrices, AdamW the rest. The paper's protocol is ``adamw``.
    :param precision: of the forward pass, and of encoding with frozen weights. ``auto``: what the device supports in
        hardware; a continued run keeps its precision, which its settings record.
    :param tracker: destination of each epoch's metrics besides ``metrics.jsonl``.
    """

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    eps: float = Field(1e-8, gt=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    warmup: float = Field(0.05, ge=0, le=1)
    schedule: Literal["constant", "cosine"] = "cosine"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    clip_gradients: bool = True
    validate_every: int = Field(1, ge=1)
    validate_first: bool = False
    save_seconds: float = Field(30.0, ge=0)
    select: str | None = "group_recall_at1"
    seed: int = Field(0, ge=0)
    tracker: Literal["none", "tensorboard", "trackio", "wandb", "comet_ml", "mlflow"] = "none"

    @model_validator(mode="after")
    def _check(self) -> LoopSettings:
        if self.optimizer == "muon" and self.precision == "fp16":
            raise ValueError("optimizer muon does not support the gradient scaling of fp16; use bf16 or fp32")
        return self

    def on(self, device: torch.device, recorded: str | None = None) -> LoopSettings:
        """With ``precision`` decided, the same in all processes.

        :param recorded: the precision of an unfinished run.
        """
        if self.precision != "auto":
            return self
        allowed = ("fp32", "bf16") if self.optimizer == "muon" else ("fp32", "bf16", "fp16")
        chosen = share_value(resolved(self.precision, device, recorded, allowed))
        return self.model_copy(update={"precision": chosen})

    def autocast(self, device: torch.device) -> torch.autocast:
        """The autocast context of ``precision``."""
        chosen = best_precision(device).precision if self.precision == "auto" else self.precision
        dtype = torch.float16 if chosen == "fp16" else torch.bfloat16
        return torch.autocast(device.type, dtype, enabled=chosen != "fp32")


class Stage(nn.Module):
    """The interface of a training stage: ``forward(batch) -> loss``, and its batches.

    Parameters with ``requires_grad`` are trained.
    """

    def batches(self, epoch: int) -> Iterator[Any]:
        """The batches of an epoch, the same for the same epoch."""
        raise NotImplementedError

    def steps(self) -> int:
        """Batches in an epoch."""
        raise NotImplementedError


def _optimizer(stage: Stage, settings: LoopSettings) -> Any:
    rate, decay, eps = settings.learning_rate, settings.weight_decay, settings.eps
    if settings.optimizer == "muon":
        # what the processor emulates it emulates here too
        return Muon(stage, rate, decay, eps, torch.bfloat16 if settings.precision == "bf16" else torch.float32)
    parameters = [p for p in stage.parameters() if p.requires_grad]
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, eps=eps, fused=True)


def run(stage: Stage, settings: LoopSettings, folder: Path, validate: Callable[[], Metrics], name: str) -> Metrics:
    """Train a stage; continue an interrupted run; return at once when the stage has finished.

    In several processes (torchrun, ``accelerate launch``) gradients are averaged, and the first process validates and
    writes all files.

    :param folder: of this run alone (see ``core.run_folder``); receives ``metrics.jsonl`` (one line per epoch)
        and ``NAME.pt`` (state).
    :param validate: metrics on the validation split with the stage's present weights.
    :return: the metrics of the weights that ``stage`` holds afterwards.
    :raises ConfigError: the folder holds a run with other settings, ``select`` is no metric, or the loss explodes.
    """
    path = Path(folder) / f"{name}.pt"
    state = torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
    settings = settings.on(next(stage.parameters()).device, state["settings"]["precision"] if state else None)
    return _Run(stage, settings, Path(folder), validate, name).finish(state)


class _Run:
    def __init__(self, stage: Stage, settings: LoopSettings, folder: Path, validate: Callable[[], Metrics], name: str):
        self.stage, self.settings, self.validate, self.name = stage, settings, validate, name
        self.state_path, self.log_path = folder / f"{name}.pt", folder / LOG
        self.optimizer = _optimizer(stage, settings)
        self.scaler = torch.amp.GradScaler(self._device().type, enabled=settings.precision == "fp16")
        self.tracker = open_tracker(settings.tracker, folder, name) if rank() == 0 else None
        self.total = settings.epochs * stage.steps()
        self.epoch, self.lines = 0, list[dict[str, Any]]()
        self.best: tuple[float, dict[str, Tensor]] | None = None

    def finish(self, state: dict[str, Any] | None) -> Metrics:
        if state is not None:
            self._restore(state)
        saved = time.monotonic()
        with bar() as progress:
            task = progress.add_task(self.name, total=self.total, completed=self.epoch * self.stage.steps())
            while self.epoch < self.settings.epochs:
                self._train_epoch(lambda: progress.advance(task))
                due = time.monotonic() - saved > self.settings.save_seconds
                if self.epoch == self.settings.epochs or share_value(due):
                    self._save()
                    saved = time.monotonic()
        if self.best:
            self.stage.load_state_dict(self.best[1], strict=False)
        share_weights(self.stage)
        best = share_value(self._best_line() if rank() == 0 else {})
        if self.tracker:
            self.tracker.finish()
        return {k: v for k, v in best.items() if k not in ("epoch", "loss", "seconds")}

    def _train_epoch(self, tick: Callable[[], None]) -> None:
        start, total = time.monotonic(), torch.zeros((), device=self._device())
        self._seed()
        self.stage.train()
        for step, batch in enumerate(self.stage.batches(self.epoch)):
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate(self.epoch * self.stage.steps() + step)
            total += self._step(batch)
            tick()
        self.epoch += 1
        loss = float(mean_over_processes(total)) / self.stage.steps()
        if not np.isfinite(loss):
            raise ConfigError(f"{self.name}, epoch {self.epoch}: the loss is {loss}; lower learning_rate or use fp32")
        self._end_epoch(loss, start)

    def _step(self, batch: Any) -> Tensor:
        parameters = self.optimizer.param_groups[0]["params"]
        with self.settings.autocast(self._device()):
            loss = self.stage(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        average_gradients(parameters)
        self.scaler.unscale_(self.optimizer)
        if self.settings.clip_gradients:
            nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach().float()  # on the device: to ask for it would make every step wait

    def _end_epoch(self, loss: float, start: float) -> None:
        line: dict[str, Any] = {"epoch": self.epoch, "loss": loss}
        since = self.epoch - self.settings.validate_first
        if since % self.settings.validate_every == 0 or self.epoch == self.settings.epochs:
            self.stage.eval()
            if rank() == 0:
                line |= self.validate()
                self._keep_if_best(line)
        if rank() > 0:
            return
        line["seconds"] = round(time.monotonic() - start, 2)
        self.lines.append(line)
        write_text(self.log_path, "".join(to_json(entry) + "\n" for entry in self.lines))
        if self.tracker:
            self.tracker.log({k: v for k, v in line.items() if isinstance(v, (int, float))}, step=self.epoch)

    def _keep_if_best(self, line: dict[str, Any]) -> None:
        if self.settings.select is None:
            return
        score = self._score(line)
        if self.best is None or score > self.best[0]:
            self.best = score, {n: v.detach().clone() for n, v in self._trained().items()}

    def _trained(self) -> dict[str, Tensor]:
        """The part of the stage's state that training changes; frozen weights are restored with the stage itself."""
        frozen = {n for n, p in self.stage.named_parameters() if not p.requires_grad}
        return {n: v for n, v in self.stage.state_dict().items() if n not in frozen}

    def _score(self, line: dict[str, Any]) -> float:
        select = self.settings.select or ""
        metric = select.removeprefix("-")
        if metric not in line:
            raise ConfigError(f"select = {select!r}: no such validation metric; expected {', '.join(sorted(line))}")
        return -line[metric] if select.startswith("-") else line[metric]

    def _best_line(self) -> dict[str, Any]:
        if self.settings.select is None:
            return self.lines[-1]
        validated = [entry for entry in self.lines if len(entry) > 3]
        return max(validated, key=self._score)  # the first of equals, as _keep_if_best

    def _rate(self, step: int) -> float:
        warmup = int(self.settings.warmup * self.total)
        if step < warmup:
            return self.settings.learning_rate * (step + 1) / warmup
        if self.settings.schedule == "constant":
            return self.settings.learning_rate
        share = (step - warmup) / max(1, self.total - warmup)
        return self.settings.learning_rate * 0.5 * (1 + float(np.cos(np.pi * share)))

    def _device(self) -> torch.device:
        return next(self.stage.parameters()).device

    def _seed(self) -> None:
        """Dropout depends on (seed, epoch, process) alone, so that a run continues as if it had never stopped."""
        seed = int(np.random.SeedSequence([self.settings.seed, self.epoch, rank()]).generate_state(1)[0])
        random.seed(seed)
        torch.manual_seed(seed)

    def _identity(self) -> dict[str, Any]:
        return self.settings.model_dump(exclude={"save_seconds", "tracker"})

    def _save(self) -> None:
        optimizer = self.optimizer.state_dict()  # of which every process may hold a part
        if rank() > 0:
            return
        state = {
            "settings": self._identity(),
            "stage": self._trained(),
            "optimizer": optimizer,
            "epoch": self.epoch,
            "lines": self.lines,
            "best": self.best,
            "scaler": self.scaler.state_dict(),
        }
        with atomic_file(self.state_path) as file:
            torch.save(state, file)

    def _restore(self, state: dict[str, Any]) -> None:
        if differences := difference(state["settings"], self._identity()):
            raise ConfigError(
                f"{self.state_path}: holds a run with {some(differences)}; choose another folder or delete it"
            )
        self.stage.load_state_dict(state["stage"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.lines, self.best = state["epoch"], state["lines"], state["best"]
        self.scaler.load_state_dict(state["scaler"])
        if self.epoch < self.settings.epochs:
            say(f"{self.name}: continuing after epoch {self.epoch} of {self.settings.epochs}")


def history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a run: loss, seconds and, where it was validated, metrics."""
    path = Path(folder) / LOG
    return [parse_json(line, f"{path}, line {i}", dict) for i, line in enumerate(read_file(path).splitlines(), 1)]
