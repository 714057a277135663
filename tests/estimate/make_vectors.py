"""Write vectors.npz: two rendered people, and what LiteRT says about them with the npm package's own files.

python tests/estimate/make_vectors.py FOLDER_OF_THE_NPM_PACKAGE     (needs ai-edge-litert and the extra demo)
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import render
from autocompose.prepare.bodycpr import frozen

PICTURES = (3, 300)  # rows of BodyCPR-v1


def pictures(side: int) -> np.ndarray:
    """``(2, side, side, 3)`` uint8."""
    found = []
    for row in PICTURES:
        look, shots = frozen.load().appearance(np.array([row]))
        bodies = shared_body().pose(frozen.load().rotations[[row]], look.phenotype).on_floor()
        found.append(render(shared_body(), bodies.vertices[0], look, shots[0], side))
    return np.stack(found)


def run(path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs by name, stacked over the inputs."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    found: dict[str, list[np.ndarray]] = {}
    for one in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], one[None].astype(np.float32))
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            found.setdefault(detail["name"], []).append(interpreter.get_tensor(detail["index"])[0].copy())
    return {name: np.stack(values) for name, values in found.items()}


def main(package: Path) -> None:
    """Write the file."""
    small, crops = pictures(224), pictures(256)
    seen = run(package / "pose_solution_packed_assets.data", small / 127.5 - 1)
    marks = run(package / "pose_landmark_full.tflite", crops / 255)
    heat = marks["Identity_3"].reshape(len(crops), -1, 39)
    np.savez_compressed(
        Path(__file__).with_name("vectors.npz"),
        small=small,
        crops=crops,
        logits=seen["Identity_1"][..., 0].astype(np.float32),
        boxes=seen["Identity"].astype(np.float16),
        points=marks["Identity"],
        world=marks["Identity_4"],
        presence=marks["Identity_1"],
        heat_place=heat.argmax(1).astype(np.int16),
        heat_peak=heat.max(1),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
