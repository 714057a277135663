"""What a number type costs on this processor: the steps that training consists of, in fp32 and in bf16.

    python benchmarks/precision.py      a few minutes; prints the table of docs/benchmarks-training.md

One thread. Rows: a matrix product; Muon's orthogonalising of all matrices of the demo's image encoder; a step of its
pretraining (forward, backward, Muon) at 64 and 96 pixels. Each is the fastest of REPEATS.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from autocompose.core.machine import instructions, processor
from autocompose.demo.presets import DemoSettings
from autocompose.model.small import small_encoder
from autocompose.prepare.bodycpr.singles import Singles
from autocompose.train.loop import LoopSettings
from autocompose.train.optimizer import Muon, matrices, orthogonalised
from autocompose.train.precision import DTYPES, bf16_share
from autocompose.train.pretrain import Pretrain

REPEATS, BATCH = 3, 64


def fastest(work: Callable[[], None]) -> float:
    """Milliseconds."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def step(side: int, precision: str, muon: torch.dtype) -> float:
    """A step of the demo's pretraining on noise."""
    settings, rng = DemoSettings.preset_file("scratch", 0).scratch, np.random.default_rng(0)
    pixels = rng.integers(0, 256, (BATCH, 96, 96, 3), dtype=np.uint8)
    joints, points = (rng.normal(size=(BATCH, 22, n)).astype(np.float32) for n in (3, 2))
    data = Singles(pixels, joints, np.zeros(BATCH, np.float32), points, np.arange(BATCH))
    changes = {"small": side, "small_until": 99}
    stage = Pretrain(
        small_encoder(settings.sizes, ["arm"]), data, settings.pretrain.model_copy(update=changes), BATCH, 0
    )
    optimizer = Muon(stage, 1e-3, 0.05, 1e-8, muon)
    batch = next(stage.batches(0))

    def work() -> None:
        with LoopSettings(precision=precision).autocast(torch.device("cpu")):
            loss = stage(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return fastest(work)


def main() -> None:
    torch.set_num_threads(1)
    print(f"{processor()}; {', '.join(instructions()) or 'no vector instructions known'}; torch {torch.__version__}\n")
    print("| work | fp32 ms | bf16 ms | bf16 : fp32 |\n|---|---|---|---|")
    encoder = small_encoder(DemoSettings.preset_file("scratch", 0).scratch.sizes, ["arm"])
    moved = [torch.randn(weight.flatten(1).shape) for weight in matrices(encoder.visual)]
    rows = {
        "Muon's orthogonalising": [
            fastest(lambda d=d: [orthogonalised(m, d) for m in moved]) for d in list(DTYPES.values())[:2]
        ]
    }
    for side in (64, 96):
        rows[f"pretraining step, {side} px"] = [step(side, p, DTYPES[p]) for p in ("fp32", "bf16")]
    mixed = step(64, "bf16", torch.float32)
    print(f"| matrix product, 768 x 768 | | | {bf16_share():.2f} |")
    for name, (exact, rough) in rows.items():
        print(f"| {name} | {exact:.0f} | {rough:.0f} | {rough / exact:.2f} |")
    exact = rows["pretraining step, 64 px"][0]
    print(f"| the same at 64 px, Muon in fp32 on both sides | {exact:.0f} | {mixed:.0f} | {mixed / exact:.2f} |")


if __name__ == "__main__":
    main()
