"""Edit cubes with texts and claims, without pictures: the training data of small-v2, in files of ``CLUSTERS`` clusters.

The cubes are of the training part of BodyCPR's preset ``full``: no body, family or clip of the test part is among
them, and the texts are of the banks ``coach`` and ``human`` (a test asserts both).

    python -m autocompose.train.poses.cubes FOLDER FILES [CLUSTERS]
"""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autocompose.bodies.pose_frame import centre, remove_yaw
from autocompose.core.files import atomic_file, write_bytes
from autocompose.core.log import track
from autocompose.core.records import Split
from autocompose.corpus.poses import PoseTable
from autocompose.describe.audit.measure import Poses
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.texts import describe_pairs
from autocompose.model.small2.claim_text import claim_text, written
from autocompose.prepare.bodycpr import clusters as bodycpr
from autocompose.prepare.bodycpr import cube_codes
from autocompose.train.poses.drawn_claims import draw_claims

PRESET = bodycpr.PRESETS["full"]
CLUSTERS = 20  # of a file
PAIRS = 7  # unordered pairs of a cube that get texts
SOURCES = {  # name -> (word bank, which states of the goal are mentioned)
    "coach": ("coach", "none"),
    "human": ("human", "none"),
    "coach states": ("coach", "filtered"),
}
DRAWN = "claims"  # the source without words


@dataclass(frozen=True)
class Cubes:
    """C cubes.

    :param joints: ``(C, 8, 22, 3)`` metres, each pose in its own frame. :param yaw: ``(C, 8)`` degrees.
    :param pairs: of each cube: poses a and b, then for each source the words and claims from a to b and back again.
    """

    joints: np.ndarray
    yaw: np.ndarray
    pairs: list[list[dict[str, list]]]

    @classmethod
    def read(cls, folder: Path, limit: int | None = None) -> Cubes:
        """All cubes whose texts exist."""
        joints, yaw, pairs = [], [], []
        for path in sorted(Path(folder).glob("texts-*.json.gz"))[:limit]:
            with np.load(cubes_path(folder, int(path.name[6:9]))) as file:
                joints.append(file["joints"].reshape(-1, 8, 22, 3))
                yaw.append(file["yaw"].reshape(-1, 8))
            pairs += json.loads(gzip.decompress(path.read_bytes()))
        every, turns = np.concatenate(joints), np.concatenate(yaw)
        own = remove_yaw(centre(every.reshape(-1, 22, 3)), turns.reshape(-1)).reshape(every.shape)
        return cls(own.astype(np.float32), turns, pairs)


def cubes_path(folder: Path, number: int) -> Path:
    """The poses of a file's clusters."""
    return Path(folder) / f"cubes-{number:03d}.npz"


def main(folder: Path, files: int, clusters: int = CLUSTERS) -> None:
    """Make the missing ones of the first ``files``."""
    for number in track(range(files), "cubes", files):
        collect(folder, number, clusters)


def collect(folder: Path, number: int, clusters: int = CLUSTERS) -> None:
    """Make one file, unless it is there: first its poses, then its texts."""
    poses, texts = cubes_path(folder, number), Path(folder) / f"texts-{number:03d}.json.gz"
    if not poses.exists():
        table = pose_table(number, clusters)
        columns = {key: table.columns[key] for key in ("family", "sequence", "body")}
        with atomic_file(poses) as file:
            np.savez(file, joints=table.joints, yaw=table.yaw, **columns)  # type: ignore[arg-type]
    if not texts.exists():
        with np.load(poses) as file:
            described = described_pairs(file["joints"].reshape(-1, 8, 22, 3), file["yaw"].reshape(-1, 8), number)
        write_bytes(texts, gzip.compress(json.dumps(described).encode(), mtime=0))


def pose_table(number: int, clusters: int = CLUSTERS) -> PoseTable:
    """The clusters of a file, made anew: with the rotations that rendering needs."""
    tasks = [task for task in bodycpr.tasks(PRESET) if task.split is Split.TRAIN]
    mine = tasks[number * clusters : (number + 1) * clusters]
    return bodycpr.pose_table([bodycpr.make_cluster(task, 0, PRESET.per_cluster) for task in mine])


def described_pairs(joints: np.ndarray, yaw: np.ndarray, number: int) -> list[list[dict[str, list]]]:
    """Texts and claims for some pairs of each cube; see ``Cubes.pairs``."""
    rng = np.random.default_rng([number, 17])
    chosen = [_pairs(eight, rng) for eight in joints]
    both = [pair for ends in chosen for a, b in ends for pair in ((a, b), (b, a))]
    cube = np.repeat(np.arange(len(joints)), [2 * len(ends) for ends in chosen])
    start, goal = (joints[cube, [pair[end] for pair in both]] for end in (0, 1))
    sources: dict[str, list[list[str]]] = {}
    for name, (bank, absolute) in SOURCES.items():
        options = RuleOptions(noise=0.0, rotation=False, absolute=absolute, trunk=True, max_parts=4, bank=bank)  # type: ignore[arg-type]
        texts = describe_pairs(start, goal, number, 1, options, [f"{name} {i}" for i in range(len(both))])
        sources[name] = [[t[0], claim_text(t[0])] if t else ["", ""] for t in texts]
    turn = [yaw[cube, [pair[end] for pair in both]] for end in (0, 1)]
    drawn = [["", written(c)] for c in draw_claims(Poses(start, turn[0]), Poses(goal, turn[1]), rng)]
    sources[DRAWN] = drawn
    result: list[list[dict[str, list]]] = [[] for _ in joints]
    for row in range(0, len(both), 2):
        entry: dict[str, list] = {"poses": list(both[row])}
        for name, values in sources.items():
            if values[row][1] and values[row + 1][1]:
                entry[name] = [*values[row], *values[row + 1]]
        result[cube[row]].append(entry)
    return result


def _pairs(joints: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Unordered pairs one or two edits apart, distinct from the other candidates by codes in both directions."""
    good = cube_codes.told_apart(cube_codes.cube_levels(joints)) & cube_codes.USABLE
    pairs = [(int(a), int(b)) for a, b in np.argwhere(good & good.T) if a < b]
    return [pairs[i] for i in rng.permutation(len(pairs))[:PAIRS]]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
