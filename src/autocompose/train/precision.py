"""The number type of training: only types that the device supports natively.

A type that a processor only emulates is many times slower than fp32 (``benchmarks/precision.py``). So bf16 is taken on
GPUs that have it, and on CPUs with AMX or AVX512-BF16 where a product, measured here and now, gains by it; fp16 on
older GPUs with tensor cores. The choice is written into a run, which keeps it wherever it continues.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import torch

from autocompose.core.files import read_json
from autocompose.core.log import say
from autocompose.core.machine import bf16_instructions

Precision = Literal["fp32", "bf16", "fp16"]
WORTH = 0.8  # bf16 is taken where a product takes at most this share of the time of fp32: the rest of a step gains less
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SIDE = 768  # of the matrices whose product is measured; a hundredth of a second


@dataclass(frozen=True)
class Choice:
    """A precision and the reason for it, for messages."""

    precision: Precision
    why: str


@lru_cache
def best_precision(device: torch.device) -> Choice:
    """The fastest precision of a device that training can use."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        major, _ = torch.cuda.get_device_capability(device)
        if torch.version.hip or major >= 8:
            return Choice("bf16", f"{name} computes bf16")
        if major == 7:
            return Choice("fp16", f"{name} computes fp16, but not bf16")
        return Choice("fp32", f"{name} computes nothing smaller faster")
    if device.type != "cpu":
        return Choice("fp32", f"smaller types were not tried on {device.type}")
    instructions = bf16_instructions()
    if not instructions:
        return Choice("fp32", "the processor has neither AMX nor AVX512-BF16, so it would emulate bf16")
    share = bf16_share()
    measured = (
        f"the processor has {' and '.join(instructions)}; a product in bf16 takes {share:.2f} of the time of fp32"
    )
    return Choice("bf16" if share <= WORTH else "fp32", measured)


def bf16_share(side: int = SIDE) -> float:
    """Time of a matrix product in bf16 on the CPU as a share of that in fp32, best of five each."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(side, side, dtype=dtype)
        a @ a
        seconds[dtype] = min(_timed(a) for _ in range(5))
    return seconds[torch.bfloat16] / seconds[torch.float32]


def _timed(a: torch.Tensor) -> float:
    start = time.perf_counter()
    a @ a
    return time.perf_counter() - start


def resolved(
    precision: str, device: torch.device, recorded: str | None = None, allowed: tuple[str, ...] = get_args(Precision)
) -> Precision:
    """A precision to compute with, and a line for the user where it was chosen.

    :param precision: what the settings say; ``auto`` leaves the choice to the device.
    :param recorded: with what an unfinished run has begun; it goes on so.
    :param allowed: what the optimiser can take.
    """
    if precision != "auto":
        return _known(precision)
    best = best_precision(device)
    chosen = best.precision if best.precision in allowed else "fp32"
    if recorded in get_args(Precision) and recorded != chosen:
        say(f"precision: {recorded}, as when the run started; a new run here would use {chosen} ({best.why})")
        return _known(recorded)
    say(f"precision: {chosen} ({best.why})")
    return chosen


def _known(precision: str | None) -> Precision:
    return next(p for p in get_args(Precision) if p == precision)


def recorded_precision(folder: Path, stage: str) -> str | None:
    """The precision that an earlier start of a stage wrote down in its folder; None: there is none."""
    for name in (f"{stage}-started.manifest.json", f"{stage}.manifest.json", "settings.json"):
        if (folder / name).is_file():
            record = read_json(folder / name)
            settings = record.get("settings", record) if isinstance(record, dict) else {}
            if isinstance(settings, dict):
                stage_settings = settings.get("combiner", settings)  # of a demo, whose stages share one precision
                loop = stage_settings.get("loop") if isinstance(stage_settings, dict) else None
                if isinstance(loop, dict):
                    return loop.get("precision")
    return None
