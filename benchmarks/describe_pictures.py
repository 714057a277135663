"""How true ``describe pictures`` is: renders of known poses, from one camera and from two.

    python benchmarks/describe_pictures.py [--bodies 40]

Each body takes two poses A and B, photographed by a camera and by another one that is higher or lower and up to 30
degrees aside. What is stated is compared with the changes that the rules measure on the true joints: "correct" = the true
value moves in that direction, "covered" = share of the true changes that is stated. Between two pictures of one
pose nothing should be stated.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from autocompose.bodies.pose_frame import centre, remove_yaw, rescale
from autocompose.bodies.rendering.appearance import draw_look, draw_shot
from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import render
from autocompose.bodies.skeleton import turn
from autocompose.describe.pictures import camera
from autocompose.describe.pictures.change import OPTIONS, pose_change
from autocompose.describe.rules import changes
from autocompose.describe.rules.changes import ROW_NAMES, Figures, find_changes, measure_poses
from autocompose.estimate import Estimator
from autocompose.prepare.bodycpr.bases import turned
from autocompose.train.lifting.scenes import draw_poses

SEED = 5150  # other bodies and poses than any training has seen
SIDE = 256
PAIRS = {"one pose, two cameras": ("A1", "A2"), "two poses, one camera": ("A1", "B1"), "both": ("A1", "B2")}


def photographs(number, estimator):
    """Name -> true joints and estimated figures; None where nobody is found."""
    rng = np.random.default_rng([SEED, number])
    _, rotations = draw_poses(rng)
    chosen = rng.permutation(len(rotations))[:2]
    look, first = draw_look(rng), replace(draw_shot(rng), camera_yaw=0.0)
    second = replace(first, camera_height=float(rng.uniform(0.3, 2.8)), distance=float(rng.uniform(3, 6)))
    result = {}
    yaw = rng.uniform(-30, 30)
    for letter, pose in zip("AB", rotations[chosen], strict=True):
        for shot, aside, digit in ((first, 0.0, 1), (second, rng.uniform(-30, 30), 2)):
            bodies = shared_body().pose(turned(pose[None], np.array([yaw + aside])), look.phenotype).on_floor()
            picture = Image.fromarray(render(shared_body(), bodies.vertices[0], look, shot, SIDE))
            people = estimator.people([picture], windows=False)[0]
            seen = None
            if people:
                one = people[0]
                seen = Figures(turn(one.joints[None], np.array([one.heading])), uncertainty=one.uncertainty[None])
            result[f"{letter}{digit}"] = (bodies.smpl22[:1].astype(float), seen)
    return result


def measured(joints):
    return measure_poses(Figures(remove_yaw(rescale(centre(joints)))), OPTIONS)


def signs(a, b):
    """Of the change of each row of ``ROW_NAMES`` between true poses, and of those large enough to tell: ``(54,)``."""
    start, goal = measured(a), measured(b)
    rows = find_changes(start, goal, np.zeros(1, np.uint64), 0, OPTIONS)
    pair = (start.pair - goal.pair)[:, 0]
    upper = (start.upper - goal.upper)[:, 0]
    bends = pair[changes.ROWS["bend"]]
    return -np.sign(np.concatenate([pair, bends, [0], upper])), rows.levels[:, 0] != 0


def report(bodies):
    for name, (one, other) in PAIRS.items():
        stated = correct = true = covered = silent = tilts = pairs = 0
        for body in bodies:
            (true_a, a), (true_b, b) = body[one], body[other]
            if a is None or b is None:
                continue
            pairs += 1
            change = pose_change(a, b)
            direction, large = signs(true_a, true_b)
            rows = [ROW_NAMES.index(m.code) for m in change.measurements]
            moves = np.array([np.sign(m.after - m.before) for m in change.measurements])
            stated += len(rows)
            correct += int((direction[rows] == moves).sum()) if rows else 0
            true += int(large.sum())
            covered += int(large[rows].sum()) if rows else 0
            silent += not rows
            tilts += change.tilt > 0
        print(
            f"  {name:22} {pairs} pairs: stated {stated / pairs:5.2f}, true {true / pairs:5.2f}, correct "
            f"{correct / max(stated, 1):.3f}, covered {covered / max(true, 1):.3f}, silent {silent / pairs:.2f}, "
            f"tilts {tilts}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    estimator = Estimator.load()
    bodies = [photographs(number, estimator) for number in range(arguments.bodies)]
    for sure in (0.0, 1.0, 1.5, 2.0):
        for tilt in (camera.MAX_TILT, 0.0):
            changes.SURE, kept, camera.MAX_TILT = sure, camera.MAX_TILT, tilt
            print(f"from {sure:g} standard deviations on, {'a common tilt undone' if tilt else 'tilts kept'}")
            report(bodies)
            camera.MAX_TILT = kept


if __name__ == "__main__":
    main()
