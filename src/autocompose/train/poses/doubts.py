"""Examples of the estimator's errors: those of a whole group of renders are added to a cube's poses.

Errors depend on the pose and the view, and the pictures of a cube share much of both; so a cube gets the errors of one
group of eight renders of one body in like poses, each pose those of the most similar render. They come from lifting
networks that were not trained on these renders (two, each on one half).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autocompose.model.small2.pose_net import trunk_of

CHOICES = 16  # groups that a cube's errors are drawn from
CANDIDATES = 192  # groups among which these are the most alike


@dataclass(frozen=True)
class Doubts:
    """G groups of 8 renders.

    :param true, error: ``(G, 8, 22, 3)`` metres, own frame; ``error`` = estimated - true.
    :param uncertainty: ``(G, 8, 22)`` metres. :param turn: ``(G, 8)`` radians, error of the heading.
    """

    true: np.ndarray
    error: np.ndarray
    uncertainty: np.ndarray
    turn: np.ndarray

    def alike(self, joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """``(C, CHOICES, 8)``: rows of the renders whose errors the poses of cubes ``(C, 8, 22, 3)`` may get."""
        flat = self.true.reshape(len(self.true), 8, -1)
        square = (flat**2).sum(-1)
        result = np.empty((len(joints), CHOICES, 8), np.int64)
        for cube, poses in enumerate(joints.reshape(len(joints), 8, -1)):
            few = rng.choice(len(flat), min(CANDIDATES, len(flat)), replace=False)
            products = poses @ flat[few].reshape(-1, flat.shape[2]).T
            apart = square[few] - 2 * products.reshape(8, -1, 8)  # (8, groups, 8), but for a constant of each pose
            near = apart.min(2).mean(0).argsort()[:CHOICES]
            near = np.resize(near, CHOICES)
            result[cube] = (few[near, None] * 8) + apart[:, near].argmin(2).T
        return result

    def trunks(self, joints: np.ndarray, yaw: np.ndarray, rows: np.ndarray, size: np.ndarray) -> Tensor:
        """Trunks ``(N, TRUNK)`` of poses ``(N, 22, 3)`` with headings in degrees and the errors of ``rows`` ``(N,)``.

        :param size: ``(N,)`` factor on the errors.
        """
        error = self.error.reshape(-1, 22, 3)[rows] * size[:, None, None]
        heading = np.radians(yaw) + self.turn.reshape(-1)[rows] * size
        parts = (joints + error, heading, self.uncertainty.reshape(-1, 22)[rows])
        return trunk_of(*(torch.from_numpy(np.asarray(part, np.float32)) for part in parts))
