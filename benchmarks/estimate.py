"""Milliseconds of the estimator's parts on one core, beside LiteRT for the same networks in the same run.

    python benchmarks/estimate.py [--npm FOLDER] [--rounds 30]

FOLDER is the unpacked npm package (runs/convert_blazepose.py says how to get it); without it, or without the package
ai-edge-litert, LiteRT is left out. The person is a rendered body; times are medians of rounds in turn, so that a busy
machine slows all alike.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autocompose.estimate import Estimator
from autocompose.estimate.detector import SIDE as DETECTOR_SIDE
from autocompose.estimate.landmarks import SIDE as CROP_SIDE
from autocompose.estimate.lifting import Seen

VECTORS = Path(__file__).parents[1] / "tests/estimate/vectors.npz"


def litert(path: Path, side: int) -> Callable[[], None]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    entrance = interpreter.get_input_details()[0]["index"]
    picture = np.random.default_rng(0).random((1, side, side, 3), dtype=np.float32)

    def run() -> None:
        interpreter.set_tensor(entrance, picture)
        interpreter.invoke()

    return run


def steps(npm: Path | None) -> dict[str, Callable[[], object]]:
    estimator = Estimator.load()
    picture = Image.fromarray(np.load(VECTORS)["crops"][0])
    views = estimator.views(picture, windows=False)[0]
    small, crop = (
        torch.rand(1, 3, n, n).contiguous(memory_format=torch.channels_last) for n in (DETECTOR_SIDE, CROP_SIDE)
    )
    street = Image.new("RGB", (768, 576), (90, 110, 90))
    walker = street.copy()
    walker.paste(picture.resize((128, 128)), (420, 300))
    work: dict[str, Callable[[], object]] = {
        "detector, torch": lambda: estimator.detector(small),
        "landmarks, torch": lambda: estimator.net(crop),
        "lifting": lambda: estimator.lifter(Seen.of([views])),
        "whole picture, one person (with the mirrored view)": lambda: estimator.people([picture], windows=False),
        "windows, 768 x 576, nobody": lambda: estimator.people([street], windows="auto"),
        "windows, 768 x 576, one small person": lambda: estimator.people([walker], windows=True),
    }
    try:
        if npm:
            work["detector, LiteRT"] = litert(npm / "pose_solution_packed_assets.data", DETECTOR_SIDE)
            work["landmarks, LiteRT"] = litert(npm / "pose_landmark_full.tflite", CROP_SIDE)
    except ImportError:
        print("ai-edge-litert is not installed: LiteRT is left out")
    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--npm", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {}
    with torch.inference_mode():
        todo = steps(arguments.npm)
        for number in range(arguments.rounds + 2):
            for name, step in todo.items():
                start = time.process_time()
                step()
                if number > 1:
                    times.setdefault(name, []).append(1000 * (time.process_time() - start))
    for name, values in times.items():
        print(f"{name:52} median {np.median(values):7.1f} ms   minimum {min(values):7.1f} ms")
    for part in ("detector", "landmarks"):
        if f"{part}, LiteRT" in times:
            ratio = [min(times[f"{part}, {runtime}"]) for runtime in ("torch", "LiteRT")]
            print(f"{part}: torch takes {ratio[0] / ratio[1]:.2f} times LiteRT's time (minimum against minimum)")


if __name__ == "__main__":
    main()
