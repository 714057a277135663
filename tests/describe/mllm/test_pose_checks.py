"""What the poses say about a pair, and what they cannot say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autocompose.bodies.skeleton import COCO17, turn
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable
from autocompose.describe.mllm.asks import Item
from autocompose.describe.mllm.judging.pose_checks import Audit, audit, joints_of


def table_of(corpus: Corpus) -> PoseTable:
    assert corpus.poses is not None
    return corpus.poses


def turned(table: PoseTable, row: int, degrees: float) -> PoseTable:
    """The same pose, taken by a camera that stands elsewhere."""
    joints, yaw = table.joints.copy(), table.yaw.copy()
    joints[row], yaw[row] = turn(joints[row], degrees), yaw[row] + degrees
    return replace(table, joints=joints, yaw=yaw)


def audited(table: PoseTable, text: str, edit: Edit = Edit.PLAIN) -> Audit:
    rows = table.index()
    poses = joints_of(table, Item(table.names[0], table.names[1], edit), rows)
    assert poses is not None
    return audit(text, poses)


@pytest.mark.parametrize("edit", list(Edit))
def test_where_the_camera_stood_decides_nothing(corpus: Corpus, edit: Edit) -> None:
    table = table_of(corpus)
    texts = ("Turn your whole body around to the left.", "Raise your left hand and bend your right elbow.")
    for text in texts:
        assert audited(turned(table, 1, 120.0), text, edit) == audited(table, text, edit)
    assert audited(turned(table, 1, 120.0), texts[0]).checked == 0


def test_head_turns_are_judged_where_the_face_is_known(corpus: Corpus) -> None:
    table = table_of(corpus)
    coco = np.zeros((len(table.names), 17, 3), np.float32)
    coco[:, COCO17.index("nose")] = [0, 0, 0.1]
    coco[1, COCO17.index("nose")] = [0.1, 0, 0.05]  # looks to the person's left
    joints, yaw = table.joints.copy(), table.yaw.copy()
    joints[:2], yaw[:2] = turn(joints[0], -float(yaw[0])), 0.0
    known = replace(table, joints=joints, yaw=yaw, columns={**table.columns, "coco": coco})
    text = "Turn your head to the left."
    assert audited(known, text).supported == 1
    assert audited(known, text, Edit.MIRROR).swapped == 1
    assert audited(table, text).checked == 0
