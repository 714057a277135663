"""Pair codes, texts and mined pairs per second of one core.

    python benchmarks/rules.py               codes and texts of 8,000 pairs
    python benchmarks/rules.py --mine 20000  also pair mining in a pool of so many poses

CPU seconds of this process (user + system), so other processes on the machine hardly count; one BLAS thread.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import platform
import resource
import time
from collections.abc import Callable

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.points import normal_points
from autocompose.bodies.sampling.limits import to_rotations
from autocompose.bodies.sampling.sampler import FAMILIES, sample
from autocompose.describe.rules import RuleOptions, describe_pairs
from autocompose.describe.rules.codes.pair_codes import pair_codes
from autocompose.describe.rules.codes.single_codes import all_codes
from autocompose.prepare.pairing.pairs import mine_pairs

PAIRS = 8000


def pool(count: int) -> np.ndarray:
    """``(count, 22, 3)`` joints: sampled poses of all families, varied by 2 cm."""
    rng = np.random.default_rng(0)
    base = forward(to_rotations(np.concatenate([sample(family, 40, rng) for family in FAMILIES])))[0]
    joints: np.ndarray = base[rng.integers(0, len(base), count)] + rng.normal(0, 0.02, (count, 22, 3))
    return joints


def rate(work: Callable[[], object], count: int, repeat: int = 3) -> int:
    """Items per CPU second, best of ``repeat``."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return round(count / best)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mine", type=int, default=0)
    mine = parser.parse_args().mine
    a, b = pool(PAIRS), pool(PAIRS)[::-1]
    points = normal_points(a)
    describe_pairs(a[:10], b[:10])  # reads word bank and vocabulary
    result: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, python {platform.python_version()}",
        "pair codes (44), pairs/s": rate(lambda: pair_codes(a, b), PAIRS),
        "pose codes (423), poses/s": rate(lambda: all_codes(points), PAIRS),
    }
    for name, options in {
        "as published": RuleOptions(),
        "filtered states, trunk": RuleOptions(absolute="filtered", trunk=True),
        "changes only": RuleOptions(absolute="none"),
        "changes only, at most 3 statements": RuleOptions(absolute="none", max_parts=3),
        "unlimited length": RuleOptions(max_tokens=None),
        "bank human, changes only": RuleOptions(absolute="none", bank="human"),
        "bank independent, changes only": RuleOptions(absolute="none", bank="independent"),
    }.items():
        result[f"texts, {name}: pairs/s"] = rate(lambda o=options: describe_pairs(a, b, 0, 1, o), PAIRS, 1)
    if mine:
        poses = pool(mine)
        start = time.process_time()
        found = mine_pairs(poses)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        result["mining"] = {"poses": mine, "pairs": len(found), "cpu s": round(seconds, 1), "peak GB": round(peak, 2)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
