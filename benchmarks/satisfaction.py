"""Of the first results of the symbolic search, how many do what the text asks (docs/symbolic.md).

    python benchmarks/satisfaction.py                        true joints
    python benchmarks/satisfaction.py --lifting FOLDER       and estimated ones: what runs/lifting.sh collected there
    python benchmarks/satisfaction.py --texts FILE           and texts that no rules have written: JSON lines with
                                                             `reference` and `texts` of the test part
    --weights 0.1,0.5,1   the balance between text and likeness; --questions N of each kind

Galleries: frames of the motion clips, BodyCPR-v1's test part as one gallery, 2,000 independent sampled poses. The
planner's statements on the true joints decide for rule texts, the audit's claims on them for other texts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from autocompose.bodies.kinematics import forward
from autocompose.bodies.motion.mocap import clip_files, distinct_frames, read_clip
from autocompose.bodies.sampling import limits
from autocompose.bodies.sampling.sampler import FAMILIES, sample
from autocompose.bodies.skeleton import turn
from autocompose.core.records import Split
from autocompose.describe.audit.measure import Poses
from autocompose.estimate.lifting import Lifter
from autocompose.evaluate.measured import Measured
from autocompose.evaluate.satisfaction import DecidedQuestion, claim_questions, rule_questions, satisfaction
from autocompose.evaluate.symbolic import PoseQuery
from autocompose.train.lifting.benchmark import split_paths, table_of
from autocompose.train.lifting.fit import Data

CLIP_FRAMES = 40  # of one clip at most
SAMPLED = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lifting", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--weights", default="0.5")
    parser.add_argument("--questions", type=int, default=150)
    options = parser.parse_args()
    weights = [float(w) for w in options.weights.split(",")]
    table = table_of(Split.TEST)
    galleries = {"clips": clips(), "test": table.joints.astype(float), "sampled": sampled()}
    test_estimate = estimated(options.lifting) if options.lifting else None
    print(
        "| gallery | joints | texts | weight | questions | chance | at 5 | at 10 |\n|---|---|---|---|---|---|---|---|"
    )
    for name, joints in galleries.items():
        kinds = {f"rules, {n}": rule_questions(joints, options.questions, n, seed=n) for n in (1, 2)}
        if name == "test" and options.texts:
            kinds["claims"] = free_questions(options.texts, list(table.names), joints)
        seen = {"true": Measured(Poses(joints))}
        if name == "test" and test_estimate:
            seen["estimated"] = test_estimate
        for kind, questions in kinds.items():
            for how, poses in seen.items():
                for weight in weights:
                    report(f"{name} ({len(joints):,}) | {how} | {kind} | {weight:g}", questions, poses, weight)


def report(row: str, questions: list[DecidedQuestion], poses: Measured, weight: float) -> None:
    found = satisfaction(questions, lambda q: PoseQuery.of(q.text, poses.row(q.reference), weight).scores(poses))
    values = " | ".join(f"{found[key]:.1f}" for key in ("chance", "satisfaction_at5", "satisfaction_at10"))
    print(f"| {row} | {found['n_questions']} | {values} |", flush=True)


def clips() -> np.ndarray:
    """Distinct frames of the motion clips of the package pybullet."""
    found = [read_clip(path) for path in clip_files()]
    rotations = [clip.rotations[distinct_frames(clip, limit=CLIP_FRAMES)] for clip in found]
    return forward(np.concatenate(rotations))[0]


def sampled() -> np.ndarray:
    rng, each = np.random.default_rng(5), SAMPLED // len(FAMILIES) + 1
    rotations = [limits.to_rotations(sample(family, each, rng)) for family in FAMILIES]
    return forward(np.concatenate(rotations))[0][:SAMPLED]


@torch.inference_mode()
def estimated(folder: Path) -> Measured:
    """The test part as the shipped estimator sees its pictures."""
    joints, heading, doubts = Lifter.load()(Data.read(split_paths(folder, Split.TEST)).seen)
    return Measured(Poses(turn(joints.numpy(), np.degrees(heading.numpy()))), doubts.numpy())


def free_questions(path: Path, names: list[str], joints: np.ndarray) -> list[DecidedQuestion]:
    entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    asked = [(text, names.index(entry["reference"])) for entry in entries for text in entry["texts"]]
    return claim_questions([text for text, _ in asked], [row for _, row in asked], joints)


if __name__ == "__main__":
    main()
