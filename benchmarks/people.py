"""How many people the estimator finds: composites of rendered bodies, and photographs of installed packages.

    python benchmarks/people.py [--each 25] [--windows] [--bus bus.jpg]

Composites hold one to four bodies of different sizes before a plain scene; found = intersection over union of the boxes
at least 0.5. Photographs are read where Debian's opencv-doc and labelme-examples put them, and never copied; ``--bus``
is assets/bus.jpg of the Python package ultralytics.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from autocompose.bodies.rendering.appearance import draw_look, draw_shot
from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import project, render
from autocompose.estimate import Estimator
from autocompose.estimate.finding import overlaps
from autocompose.estimate.weights import load_networks
from autocompose.prepare.bodycpr.bases import turned
from autocompose.train.lifting.scenes import draw_poses

SIZE = (640, 480)
LABELME = Path("/usr/share/doc/labelme-examples/examples/bbox_detection/data_annotated")


def person(rng, height):
    """A cut-out body: picture, mask, and box in the picture."""
    _, rotations = draw_poses(rng)
    rotations = turned(rotations[:1], rng.uniform(-180, 180, 1))
    look, shot, side = draw_look(rng), draw_shot(rng), int(height * 1.25)
    vertices = shared_body().pose(rotations, look.phenotype).on_floor().vertices[0]
    picture = Image.fromarray(render(shared_body(), vertices, look, shot, side))
    points = project(vertices, vertices, shot, side)
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for triangle in points[shared_body().faces].reshape(-1, 6).tolist():
        draw.polygon(triangle, fill=255)
    return picture, mask, np.concatenate([points.min(0), points.max(0)])


def composite(rng, count):
    """A picture and the boxes ``(count, 4)``; people stand beside each other and overlap a little."""
    top, bottom = rng.uniform(90, 220, (2, 3))
    ramp = np.linspace(0, 1, SIZE[1])[:, None, None] > rng.uniform(0.3, 0.6)
    ground = np.where(ramp, bottom, top) + rng.normal(0, 6, (SIZE[1], SIZE[0], 3))
    canvas = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    boxes = []
    wide = SIZE[0] / count
    for place in rng.permutation(count):
        picture, mask, box = person(rng, min(rng.uniform(140, 380), 1.3 * wide))
        x = int(wide * (place + 0.5) - (box[0] + box[2]) / 2 + rng.uniform(-0.08, 0.08) * wide)
        y = int(rng.uniform(0, max(1, SIZE[1] - box[3] + box[1])) - box[1])
        canvas.paste(picture, (x, y), mask)
        boxes.append(np.clip(box + np.array([x, y, x, y]), 0, [*SIZE, *SIZE]))
    return canvas, np.stack(boxes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=25)
    parser.add_argument("--windows", action="store_true", help="search windows in every picture")
    parser.add_argument("--bus", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    estimator, windows = Estimator.load(), arguments.windows or "auto"
    print(f"networks: {sum(p.numel() for net in load_networks() for p in net.parameters()):,} weights")
    for count in (1, 2, 3, 4):
        hits = said = 0
        for number in range(arguments.each):
            picture, boxes = composite(np.random.default_rng([99, count, number]), count)
            found = [np.array(one.box) for one in estimator.people([picture], windows)[0]]
            said += len(found)
            hits += sum(any(overlaps(box, np.stack(found)) >= 0.5) for box in boxes) if found else 0
        total = count * arguments.each
        print(
            f"{count} people: recall {hits / total:.3f}, precision {hits / max(said, 1):.3f} ({total} people)",
            flush=True,
        )
    for path in (LABELME / "2011_000006.jpg", arguments.bus):
        if path and path.exists():
            people = estimator.people([Image.open(path)], windows=True)[0]
            print(path.name, [[round(v) for v in one.box] for one in people])


if __name__ == "__main__":
    main()
