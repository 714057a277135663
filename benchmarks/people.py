"""How many people the estimator finds: composites of rendered bodies, and photographs of installed packages.

    python benchmarks/people.py [--each 25] [--windows] [--bus bus.jpg]

Composites hold one to four bodies of different sizes before a plain scene; found = intersection over union of the boxes
at least 0.5. Their poses are those of the training of the lifting, from all that joints allow, handstands and people
who lie included, and some are cut by the edge; so the recall of those who are upright (trunk within 45 degrees of the
vertical) and whole is given apart. Photographs are read where Debian's opencv-doc and labelme-examples put them, and
never copied; ``--bus`` is assets/bus.jpg of the Python package ultralytics.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from autocompose.bodies.rendering.appearance import draw_look, draw_shot
from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import project, render
from autocompose.bodies.skeleton import SMPL22
from autocompose.estimate import Estimator
from autocompose.estimate.finding import overlaps
from autocompose.estimate.weights import load_networks
from autocompose.prepare.bodycpr.bases import turned
from autocompose.train.lifting.scenes import draw_poses

SIZE = (640, 480)
NECK = SMPL22.index("neck")
LABELME = Path("/usr/share/doc/labelme-examples/examples/bbox_detection/data_annotated")


def person(rng, height):
    """A cut-out body: picture, mask, box in the picture, and whether it is upright."""
    _, rotations = draw_poses(rng)
    rotations = turned(rotations[:1], rng.uniform(-180, 180, 1))
    look, shot, side = draw_look(rng), draw_shot(rng), int(height * 1.25)
    bodies = shared_body().pose(rotations, look.phenotype).on_floor()
    vertices, trunk = bodies.vertices[0], bodies.smpl22[0, NECK] - bodies.smpl22[0, 0]
    picture = Image.fromarray(render(shared_body(), vertices, look, shot, side))
    points = project(vertices, vertices, shot, side)
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for triangle in points[shared_body().faces].reshape(-1, 6).tolist():
        draw.polygon(triangle, fill=255)
    upright = trunk[1] > np.hypot(trunk[0], trunk[2])
    return picture, mask, np.concatenate([points.min(0), points.max(0)]), bool(upright)


def composite(rng, count):
    """A picture, the boxes ``(count, 4)``, and who is upright and whole; people overlap a little."""
    top, bottom = rng.uniform(90, 220, (2, 3))
    ramp = np.linspace(0, 1, SIZE[1])[:, None, None] > rng.uniform(0.3, 0.6)
    ground = np.where(ramp, bottom, top) + rng.normal(0, 6, (SIZE[1], SIZE[0], 3))
    canvas = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    boxes, easy = [], []
    wide = SIZE[0] / count
    for place in rng.permutation(count):
        picture, mask, box, upright = person(rng, min(rng.uniform(140, 380), 1.3 * wide))
        x = int(wide * (place + 0.5) - (box[0] + box[2]) / 2 + rng.uniform(-0.08, 0.08) * wide)
        y = int(rng.uniform(0, max(1, SIZE[1] - box[3] + box[1])) - box[1])
        canvas.paste(picture, (x, y), mask)
        placed = box + np.array([x, y, x, y])
        boxes.append(np.clip(placed, 0, [*SIZE, *SIZE]))
        easy.append(upright and bool(np.abs(placed - boxes[-1]).max() <= 0.05 * (box[3] - box[1])))
    return canvas, np.stack(boxes), np.array(easy)


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
        said, hits, plain = 0, [], []
        for number in range(arguments.each):
            picture, boxes, easy = composite(np.random.default_rng([99, count, number]), count)
            found = np.array([one.box for one in estimator.people([picture], windows)[0]]).reshape(-1, 4)
            said += len(found)
            hits += [bool((overlaps(box, found) >= 0.5).any()) for box in boxes]
            plain += easy.tolist()
        upright = [hit for hit, easy in zip(hits, plain, strict=True) if easy]
        print(
            f"{count} people: recall {np.mean(hits):.3f}, precision {sum(hits) / max(said, 1):.3f} ({len(hits)}); "
            f"upright and whole: recall {np.mean(upright):.3f} ({len(upright)})",
            flush=True,
        )
    for path in (LABELME / "2011_000006.jpg", arguments.bus):
        if path and path.exists():
            people = estimator.people([Image.open(path)], windows=True)[0]
            print(path.name, [[round(v) for v in one.box] for one in people])


if __name__ == "__main__":
    main()
