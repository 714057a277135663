"""The SMPL-H body, for users who have its model file: posed and skinned here, drawn by our renderer.

The file is read as plain arrays (``.npz``); a ``.pkl`` model would have to run code to load, so it is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autocompose.bodies.rendering.appearance import Look, Outfit, Phenotype
from autocompose.bodies.rendering.body import PosedBodies
from autocompose.bodies.rendering.clothing import neighbour_mean
from autocompose.bodies.rotations import rotation_matrices
from autocompose.bodies.skeleton import COCO17, SMPL22
from autocompose.core.errors import InputError
from autocompose.prepare.foreign_files import read_npz

JOINTS, VERTICES = 52, 6890
GREY = (0.7, 0.7, 0.7)  # as in the viewer of PoseFix
LOOK = Look(outfit=Outfit(skin=GREY, hair=GREY, shirt=GREY, bottoms=GREY, shoes=GREY))


class SmplhBody:
    """The neutral SMPL-H body of mean shape; it has the interface of ``bodies.body.Body`` that the renderer needs.

    :param path: ``model.npz`` or ``SMPLH_NEUTRAL.npz`` of the SMPL-H release.
    :raises InputError: missing, damaged, a pickle, or not an SMPL-H model.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".npz":
            raise InputError(
                f"{path}: expected the .npz file of the SMPL-H model; .pkl files would run code when loaded"
            )
        model = read_npz(path, ("v_template", "J_regressor", "weights", "kintree_table", "posedirs", "f"))
        shape = {key: value.shape for key, value in model.items()}
        if model["weights"].shape[1:] != (JOINTS,) or model["posedirs"].shape[1:] != (3, 9 * (JOINTS - 1)):
            raise InputError(f"{path}: not an SMPL-H model with {JOINTS} joints; its arrays are {shape}")
        self.template = model["v_template"].astype(float)
        self.rest = model["J_regressor"].astype(float) @ self.template  # (52, 3)
        self.weights = model["weights"].astype(float)
        self.posedirs = model["posedirs"].astype(float)
        self.parents = model["kintree_table"][0].astype(np.int64)
        self.faces = model["f"].astype(np.int32)
        self.neighbour_mean = neighbour_mean(self.faces, len(self.template))
        self.canonical = (self.template - [0, self.template[:, 1].min(), 0]).astype(np.float32)

    def pose(
        self, rotations: np.ndarray, phenotypes: Phenotype | None = None, yaw: np.ndarray | float = 0.0
    ) -> PosedBodies:
        """Like ``Body.pose``; the shape cannot be changed and the fingers stay straight.

        :param rotations: ``(B, 22, 3)`` local axis-angle. :param yaw: degrees, applied last.
        """
        full = np.zeros((len(rotations), JOINTS, 3))
        full[:, : len(SMPL22)] = rotations
        local = rotation_matrices(full)
        turns = rotation_matrices(np.broadcast_to(np.radians(yaw), (len(full),))[:, None] * np.array([0.0, 1, 0]))
        vertices = np.empty((len(full), len(self.template), 3), np.float32)
        joints = np.empty((len(full), JOINTS, 3))
        for i, turn in enumerate(turns):
            vertices[i], joints[i] = self._skinned(local[i], turn)
        smpl22 = joints[:, : len(SMPL22)].astype(np.float32)
        return PosedBodies(vertices, smpl22, np.zeros((len(full), len(COCO17), 3), np.float32))

    def _skinned(self, local: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Linear blend skinning with pose-dependent corrections; the pelvis ends in the origin."""
        shaped = self.template + self.posedirs @ (local[1:] - np.eye(3)).ravel()
        world, place = local.copy(), self.rest.copy()
        world[0] = turn @ local[0]
        for joint in range(1, JOINTS):
            parent = self.parents[joint]
            world[joint] = world[parent] @ local[joint]
            place[joint] = place[parent] + world[parent] @ (self.rest[joint] - self.rest[parent])
        shift = place - np.einsum("jab,jb->ja", world, self.rest)
        blended = np.einsum("vj,jab->vab", self.weights, world)
        vertices = np.einsum("vab,vb->va", blended, shaped) + self.weights @ shift
        return vertices - place[0], place - place[0]
