"""Rendering given poses: several processes or Ray, one atomic file per picture, existing pictures are skipped."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from autocompose.bodies.rendering.appearance import Look, Shot, draw_look, draw_shot
from autocompose.bodies.rendering.body import Body, shared_body
from autocompose.bodies.rendering.render import render
from autocompose.core.files import write_bytes
from autocompose.core.log import track
from autocompose.core.workers import each
from autocompose.corpus.poses import PoseTable
from autocompose.prepare.rendering.smplh import LOOK as SMPLH_LOOK
from autocompose.prepare.rendering.smplh import SmplhBody

BATCH = 16  # pictures handed to a process at a time


class Style(str, Enum):
    """``plain``: one body, outfit, light and camera for all pictures. ``varied``: each picture draws its own."""

    PLAIN = "plain"
    VARIED = "varied"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class PoseSet:
    """Poses that are to become pictures, N rows.

    :param names: picture names.
    :param rotations: ``(N, 22, 3)`` local axis-angle (``Body.pose``), the heading of the pelvis removed.
    :param yaw: ``(N,)`` degrees relative to the camera.
    :param columns: further columns of ``poses.npz``.
    """

    names: tuple[str, ...]
    rotations: np.ndarray
    yaw: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def take(self, rows: Sequence[int] | np.ndarray) -> PoseSet:
        """The given rows."""
        index = np.asarray(rows, int)
        columns = {key: column[index] for key, column in self.columns.items()}
        return PoseSet(tuple(self.names[i] for i in index), self.rotations[index], self.yaw[index], columns)

    def turned(self) -> np.ndarray:
        """Rotations ``(N, 22, 3)`` with the yaw in the pelvis, as ``poses.npz`` keeps them."""
        rotations = self.rotations.copy()
        if len(rotations):
            yaw = Rotation.from_euler("y", self.yaw[:, None], degrees=True)
            rotations[:, 0] = (yaw * Rotation.from_rotvec(rotations[:, 0])).as_rotvec()
        return rotations

    def table(self, body: Body) -> PoseTable:
        """The rows of ``poses.npz``; joints are those of the default body, whatever body a picture shows."""
        joints, coco = body.joints(self.rotations, yaw=self.yaw)
        columns = {"rotations": self.turned().astype(np.float32), "coco": coco, **self.columns}
        return PoseTable(self.names, joints.astype(np.float32), self.yaw.astype(np.float32), columns)


def render_poses(
    poses: PoseSet,
    images: Path,
    *,
    size: int = 224,
    style: Style = Style.PLAIN,
    seed: int = 0,
    processes: int = 1,
    smplh: Path | None = None,
) -> None:
    """Render every pose that has no picture in ``images`` yet.

    The appearance of a picture depends on its name and the seed only, so any number of processes, and any
    interruption, gives the same files.

    :param size: side in pixels.
    :param smplh: model file of SMPL-H, to be drawn in plain grey instead of our own body.
    :raises StorageError: the disk refuses. DependencyError: the body model is not installed.
    """
    todo = [i for i, name in enumerate(poses.names) if not (images / name).exists()]
    batches = [poses.take(todo[i : i + BATCH]) for i in range(0, len(todo), BATCH)]
    work = partial(_render_batch, size=size, style=style, seed=seed, smplh=smplh)
    rendered = track(each(work, batches, processes), "rendering", len(todo), len)
    for batch, pictures in zip(batches, rendered, strict=True):
        for name, data in zip(batch.names, pictures, strict=True):
            write_bytes(images / name, data)


@lru_cache(maxsize=1)
def _body(smplh: Path | None) -> Body | SmplhBody:
    return shared_body() if smplh is None else SmplhBody(smplh)


def _render_batch(poses: PoseSet, size: int, style: Style, seed: int, smplh: Path | None) -> list[bytes]:
    """PNG bytes of each pose's picture."""
    body, pictures = _body(smplh), []
    for i, name in enumerate(poses.names):
        look, shot = appearance(name, style, seed) if smplh is None else (SMPLH_LOOK, Shot())
        posed = body.pose(poses.rotations[i : i + 1], look.phenotype, poses.yaw[i : i + 1]).on_floor()
        pixels = render(body, posed.vertices[0], look, shot, size)  # type: ignore[arg-type]  # has what render reads
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    return pictures


def appearance(name: str, style: Style, seed: int) -> tuple[Look, Shot]:
    """What the picture ``name`` looks like."""
    if style is Style.PLAIN:
        return Look(), Shot()
    rng = np.random.default_rng([seed, int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")])
    # headings in poses.npz are relative to the camera, so it stays in front
    return draw_look(rng), replace(draw_shot(rng), camera_yaw=0.0)
