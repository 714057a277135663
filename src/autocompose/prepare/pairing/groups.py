"""Candidate groups of the group recall for corpora with 3D poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocompose.core.records import Pair
from autocompose.corpus.poses import PoseTable

GROUP = 10
APART = 0.03  # metres, mean joint distance; closer poses look the same, so they would make the answer ambiguous


def nearest_groups(pairs: Sequence[Pair], poses: PoseTable, size: int = GROUP) -> list[Pair]:
    """Give each pair a group: reference, target, and the poses of these pairs that are most like the target.

    :param size: members of a group; fewer when there are not enough pictures.
    :return: the pairs with ``img_set`` replaced, all of one length.
    """
    names = list(dict.fromkeys(name for p in pairs for name in (p.reference, p.target)))
    joints = poses.joints[poses.rows(names)] if names else np.zeros((0, 22, 3), np.float32)
    joints = joints - joints[:, :1]
    row = {name: i for i, name in enumerate(names)}
    groups: list[list[str]] = []
    for pair in pairs:
        far = np.linalg.norm(joints - joints[row[pair.target]], axis=-1).mean(-1)
        order = np.argsort(far, kind="stable")
        others = (names[i] for i in (*order[far[order] >= APART], *order[far[order] < APART]))  # lookalikes last
        groups.append(list(dict.fromkeys((pair.reference, pair.target, *others)))[:size])
    return [replace(pair, img_set=tuple(group)) for pair, group in zip(pairs, groups, strict=True)]
