"""Every public dialect: each joint is found where it is, whatever its name, axes and unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autocompose.bodies.motion.bvh import read_bvh, to_smpl22
from autocompose.bodies.pose_frame import y_up
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import PoseError
from tests.fixtures.bvh import write_dialect
from tests.fixtures.bvh_dialects import DIALECTS

ALWAYS = {f"{s}_{p}" for s in ("left", "right") for p in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")}


@pytest.mark.parametrize("name", DIALECTS)
def test_each_joint_is_the_one_that_bears_its_role(tmp_path: Path, name: str) -> None:
    dialect = DIALECTS[name]
    written = write_dialect(tmp_path / "a.bvh", dialect)
    motion = read_bvh(tmp_path / "a.bvh")
    found = to_smpl22(motion, dialect.up)
    rows = {role: motion.names.index(written.names[j]) for j, role in written.roles.items()}
    assert rows.keys() >= ALWAYS
    for role, row in rows.items():
        if role in dialect.lacks:
            continue
        far = np.linalg.norm(found.joints[:, SMPL22.index(role)] - y_up(motion.joints[:, row], dialect.up), axis=1)
        assert far.max() < 1e-6 * dialect.unit, (role, motion.names[row])
    feet = {f"{s}_foot" for s in ("left", "right")}
    unknown = {SMPL22[i] for i in np.flatnonzero(~found.known)}
    assert unknown == feet & {*dialect.lacks}


@pytest.mark.parametrize("name", DIALECTS)
def test_exchanged_names_are_refused(tmp_path: Path, name: str) -> None:
    write_dialect(tmp_path / "a.bvh", DIALECTS[name], swapped=True)
    with pytest.raises(PoseError, match=r"backwards in \d+% of 40 frames; left and right are swapped"):
        to_smpl22(read_bvh(tmp_path / "a.bvh"), DIALECTS[name].up)
