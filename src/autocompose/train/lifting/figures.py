"""Error figures of lifted poses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from autocompose.bodies.skeleton import SMPL22, mirror_order
from autocompose.estimate.lifting import Lifter

if TYPE_CHECKING:
    from autocompose.train.lifting.fit import Data

GROUPS = 6  # rows of the table of uncertainty
EXCHANGED = np.array([name.split("_")[0] in ("left", "right") for name in SMPL22])


@torch.inference_mode()
def figures(lifter: Lifter, data: Data) -> dict[str, object]:
    """Errors in millimetres and degrees, over 22 joints, pelvis-centred, each pose in its own frame."""
    estimated, heading, expected = (part.numpy() for part in lifter(data.seen))
    true = data.joints.numpy()
    distance = np.linalg.norm(estimated - true, axis=-1)
    turn = np.degrees(np.abs((heading - data.heading.numpy() + np.pi) % (2 * np.pi) - np.pi))
    aligned = np.linalg.norm(_aligned(estimated, true) - true, axis=-1)
    result: dict[str, object] = {
        "pictures": len(true),
        "error": _mm(distance.mean()),
        "median": _mm(np.median(distance.mean(1))),
        "aligned": _mm(aligned.mean()),
        "exchanged": round(float(exchanged(estimated, true).mean()), 4),
        "heading_mean": round(float(turn.mean()), 1),
        "heading_median": round(float(np.median(turn)), 1),
        "uncertainty": _table(expected[:, 1:].ravel(), distance[:, 1:].ravel()),
    }
    if "found" in data.columns:
        result["nobody_found"] = int((~data.columns["found"]).sum())
    families = data.columns["family"]
    result["families"] = {str(f): _mm(distance[families == f].mean()) for f in np.unique(families)}
    result["joints"] = {name: _mm(v) for name, v in zip(SMPL22, distance.mean(0), strict=True)}
    return result


def exchanged(estimated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """``(N,)`` bool: swapping left and right would bring the pose closer to the truth by more than a tenth."""
    other = estimated[:, mirror_order(SMPL22)]
    plain, swapped = (np.linalg.norm(p - true, axis=-1)[:, EXCHANGED].mean(1) for p in (estimated, other))
    return np.asarray(swapped < 0.9 * plain)


def _aligned(estimated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Moved, turned and scaled onto the truth as well as possible (Procrustes), ``(N, 22, 3)``."""
    a, b = estimated - estimated.mean(1, keepdims=True), true - true.mean(1, keepdims=True)
    u, s, vt = np.linalg.svd(np.einsum("nji,njk->nik", a, b))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    turn = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / (a**2).sum((1, 2))
    return np.asarray(scale[:, None, None] * (a @ turn) + true.mean(1, keepdims=True))


def _table(expected: np.ndarray, distance: np.ndarray) -> list[list[float]]:
    """Joints in groups of equal size by expected distance: [mean expected, mean true] millimetres."""
    order = np.array_split(np.argsort(expected, kind="stable"), GROUPS)
    return [[_mm(expected[rows].mean()), _mm(distance[rows].mean())] for rows in order]


def _mm(metres: float) -> float:
    return round(1000 * float(metres), 1)
