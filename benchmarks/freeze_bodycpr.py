"""How src/autocompose/prepare/data/bodycpr_v1.npz was made. Running it again replaces the frozen benchmark.

``python benchmarks/freeze_bodycpr.py FILE`` draws the test part of the preset demo with seed 0, writes it, and
prints the hash that belongs into ``prepare/frozen.py``.
"""

import sys
from functools import partial
from pathlib import Path

from autocompose.core.records import Split
from autocompose.prepare import bodycpr, frozen

SEED = 0


def main(path: Path) -> None:
    size = bodycpr.PRESETS["demo"]
    tasks = [task for task in bodycpr.tasks(size) if task.split is Split.TEST]
    made = list(map(partial(bodycpr.make_cluster, seed=SEED, count=size.per_cluster), tasks))
    table = bodycpr.pose_table(made)
    looks = {task.number: bodycpr.look_of(SEED, task.number) for task in tasks}
    shots = [bodycpr.shot_of(SEED, row) for row in range(len(table.names))]
    print(frozen.write(path, table, looks, shots))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
