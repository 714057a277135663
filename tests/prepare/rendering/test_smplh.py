from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import InputError
from autocompose.prepare.rendering import smplh
from autocompose.prepare.rendering.smplh import SmplhBody

V = 80
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]
PARENTS += [
    20,
    22,
    23,
    20,
    25,
    26,
    20,
    28,
    29,
    20,
    31,
    32,
    20,
    34,
    35,
    21,
    37,
    38,
    21,
    40,
    41,
    21,
    43,
    44,
    21,
    46,
    47,
    21,
    49,
    50,
]


def make_model(path: Path) -> Path:
    """A random model file in the layout of SMPL-H: what is not needed here is there too."""
    rng = np.random.default_rng(0)
    weights = rng.random((V, 52)) ** 8
    regressor = rng.random((52, V)) ** 8
    np.savez(
        path, v_template=rng.normal(size=(V, 3)), shapedirs=rng.normal(size=(V, 3, 16)), f=rng.integers(0, V, (120, 3)),
        weights=weights / weights.sum(1, keepdims=True), J_regressor=regressor / regressor.sum(1, keepdims=True),
        posedirs=0.01 * rng.normal(size=(V, 3, 459)), kintree_table=np.array([[p % 2**32 for p in PARENTS], range(52)]),
        hands_meanl=np.zeros(45), hands_meanr=np.zeros(45), hands_componentsl=np.eye(45), hands_componentsr=np.eye(45),
    )  # fmt: skip
    return path


def test_skinning_equals_smplx(tmp_path: Path) -> None:
    smplx = pytest.importorskip("smplx")
    torch = pytest.importorskip("torch")
    path = make_model(tmp_path / "SMPLH_NEUTRAL.npz")
    reference = smplx.SMPLH(
        str(path),
        ext="npz",
        use_pca=False,
        flat_hand_mean=True,
        num_betas=10,
        batch_size=3,
        vertex_ids=defaultdict(int),
    )
    rotations = np.random.default_rng(1).normal(0, 0.5, (3, 22, 3))
    flat = torch.tensor(rotations.reshape(3, 66), dtype=torch.float32)
    with torch.no_grad():
        expected = reference(global_orient=flat[:, :3], body_pose=flat[:, 3:])
    pelvis = expected.joints[:, :1].numpy()
    found = SmplhBody(path).pose(rotations)
    np.testing.assert_allclose(found.vertices, expected.vertices.numpy() - pelvis, atol=1e-4)
    np.testing.assert_allclose(found.smpl22, expected.joints[:, :22].numpy() - pelvis, atol=1e-4)


def test_yaw_turns_the_whole_body(tmp_path: Path) -> None:
    body = SmplhBody(make_model(tmp_path / "model.npz"))
    rotations = np.random.default_rng(2).normal(0, 0.3, (1, 22, 3))
    plain, turned = body.pose(rotations).vertices[0], body.pose(rotations, yaw=90.0).vertices[0]
    np.testing.assert_allclose(turned, plain @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]]), atol=1e-5)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "SMPLH_NEUTRAL.pkl").write_bytes(b"x")
    with pytest.raises(InputError, match="would run code when loaded"):
        SmplhBody(tmp_path / "SMPLH_NEUTRAL.pkl")
    np.savez(tmp_path / "x.npz", v_template=np.zeros((3, 3)))
    with pytest.raises(InputError, match="no array 'J_regressor'"):
        SmplhBody(tmp_path / "x.npz")
    assert smplh.LOOK.outfit.skin == smplh.LOOK.outfit.shirt
