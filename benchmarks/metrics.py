"""Metrics over a whole gallery: ours against arrays of names, the way that the paper's scripts work.

    python benchmarks/metrics.py            4,000 queries x 4,000 pictures, both ways (needs 4 GB)
    python benchmarks/metrics.py --large    50,000 queries x 200,000 pictures, ours only

Seconds by the clock and of CPU (user + system of all threads), best of five (of one for the slow way), and peak memory
of the call (what it allocates itself, without its inputs). Both ways share one matrix product, most of what ours costs.
"""

import json
import resource
import sys
import time
import tracemalloc

import numpy as np

from autocompose.core.records import Question
from autocompose.evaluate.metrics import rank_queries

DIM, GROUP = 1024, 8


def make(n_queries: int, n_gallery: int):
    """Random features in which the target tends to be near, and the questions."""
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((n_gallery, DIM), np.float32)
    names = [f"images/{i:07d}.png" for i in range(n_gallery)]
    rows = rng.integers(0, n_gallery - GROUP, n_queries)
    predictions = rng.standard_normal((n_queries, DIM), np.float32)
    predictions *= 5
    predictions += gallery[rows + 1]
    queries = [
        Question(names[r], "", names[r + 1], tuple(names[r : r + GROUP]), i) for i, r in enumerate(rows.tolist())
    ]
    return predictions, gallery, names, queries


def name_arrays(predictions, gallery, names, queries):
    """The plain way: sort every row, look the names up, compare names."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (predictions, gallery)]
    order = np.argsort(1 - unit[0] @ unit[1].T, axis=1)
    ranked = np.array(names)[order]
    references = np.array([q.reference for q in queries])
    keep = ranked != np.repeat(references, len(names)).reshape(len(queries), -1)
    ranked = ranked[keep].reshape(len(queries), len(names) - 1)
    targets = np.array([q.target for q in queries])
    found = ranked == np.repeat(targets, len(names) - 1).reshape(len(queries), -1)
    result = {f"recall_at{k}": 100 * float(found[:, :k].any(1).mean()) for k in (1, 5, 10, 50)}
    groups = np.array([[n for n in q.group if n != q.reference] for q in queries])
    member = (ranked[..., None] == groups[:, None, :]).any(-1)
    found_in_group = found[member].reshape(groups.shape)
    return result | {f"group_recall_at{k}": 100 * float(found_in_group[:, :k].any(1).mean()) for k in (1, 3, 5)}


def ours(predictions, gallery, names, queries):
    metrics = rank_queries(predictions, gallery, names, queries).metrics()
    del metrics["median_rank"]
    return metrics


def measure(work, repeats, *inputs):
    """The result, [clock seconds, CPU seconds, peak MiB]."""
    timings = []
    for _ in range(repeats):
        clock, cpu = time.perf_counter(), time.process_time()
        result = work(*inputs)
        timings.append((time.perf_counter() - clock, time.process_time() - cpu))
    tracemalloc.start()
    work(*inputs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, [*np.min(timings, axis=0), peak / 2**20]


def main() -> None:
    if "--large" in sys.argv:
        inputs = make(50_000, 200_000)
        start = time.process_time()
        metrics = ours(*inputs)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"50,000 x 200,000: {seconds:.0f} CPU s, {peak:.1f} GiB for the whole process, {json.dumps(metrics)}")
        return
    inputs = make(4_000, 4_000)
    fast, cost = measure(ours, 5, *inputs)
    slow, slow_cost = measure(name_arrays, 1, *inputs)
    assert fast == slow, (fast, slow)
    print("| 4,000 x 4,000, 1024-d | seconds | CPU seconds | peak MiB |\n|---|---|---|---|")
    for name, values in (("name arrays", slow_cost), ("ours", cost), ("ratio", np.divide(slow_cost, cost))):
        print(f"| {name} | {values[0]:.2f} | {values[1]:.2f} | {values[2]:.0f} |")


if __name__ == "__main__":
    main()
