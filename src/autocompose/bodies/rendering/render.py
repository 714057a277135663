"""Pictures of posed bodies on the CPU, in numpy.

The body is rasterised at twice the picture's size; light (see ``light``) is computed at the vertices that are seen and
interpolated, clothes are painted per sample. The backdrop is painted once per pixel, where the body does not cover it
all, and the two are mixed by the share of samples that the body covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from autocompose.bodies.rendering.appearance import Look, Shot
from autocompose.bodies.rendering.backdrop import paint_backdrop
from autocompose.bodies.rendering.body import Body
from autocompose.bodies.rendering.clothing import linear, paint, vertex_normals
from autocompose.bodies.rendering.light import FLOOR_CELLS, FLOOR_REACH, illuminate, middle_of
from autocompose.bodies.rendering.raster import rasterise

_SAMPLES = 2  # per pixel and axis
_LIGHT_SMOOTHING = 2  # rounds over the mesh, against the grain of the shadow maps


def render(body: Body, vertices: np.ndarray, look: Look, shot: Shot, size: int) -> np.ndarray:
    """One picture.

    :param vertices: ``(V, 3)`` metres in the scene frame, standing on the floor (``PosedBodies.on_floor``).
    :param size: side in pixels.
    :return: ``(size, size, 3)`` uint8; the same bytes for the same arguments.
    """
    side = size * _SAMPLES
    view = _frame(vertices, shot, side)
    samples, triangles, weights = rasterise(view.corners, view.depth, body.faces, side)
    corners = body.faces.T[:, triangles]
    light, floor_light = _smooth_light(body, vertices, corners, look, shot)
    places, shades = (_interpolated(values, corners, weights) for values in (body.canonical, light))
    colours = paint(places.T, look.outfit).T * shades
    pixels = samples // (side * _SAMPLES) * size + samples % side // _SAMPLES
    total = np.stack([np.bincount(pixels, colour, size * size) for colour in colours])
    uncovered = _SAMPLES**2 - np.bincount(pixels, minlength=size * size)
    behind = np.flatnonzero(uncovered)
    rays = view.rays(behind, size)
    lit = partial(_bilinear, floor_light)
    backdrop = paint_backdrop(look.backdrop, view.position, rays, shot.place, _SAMPLES / view.focal, lit)
    total[:, behind] += backdrop * uncovered[behind]
    mean = np.clip(total.astype(np.float32) * np.float32(shot.exposure / _SAMPLES**2), 0, 1)
    picture = (255 * mean ** np.float32(1 / 2.2) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(picture.T).reshape(size, size, 3)


def _smooth_light(
    body: Body, vertices: np.ndarray, corners: np.ndarray, look: Look, shot: Shot
) -> tuple[np.ndarray, np.ndarray]:
    """Light ``(V, 3)``, true at the vertices ``corners`` (any shape) only, and that on the floor (see ``light``)."""
    wanted = np.zeros(len(vertices), np.float32)
    wanted[corners] = 1
    for _ in range(_LIGHT_SMOOTHING):
        wanted += body.neighbour_mean @ wanted
    spots = np.flatnonzero(wanted)
    normals = vertex_normals(vertices, body.faces)
    light = np.zeros((len(vertices), 3), np.float32)
    light[spots], floor_light = illuminate(vertices, normals, spots, shot, linear(look.backdrop.floor))
    for _ in range(_LIGHT_SMOOTHING):
        light = body.neighbour_mean @ light
    return light, floor_light


def _interpolated(values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values ``(V, 3)`` of vertices at places in triangles ``(3, N)`` with weights ``(N, 3)`` -> ``(3, N)``."""
    columns = np.ascontiguousarray(values.T)
    result: np.ndarray = sum(columns[:, corner] * weight for corner, weight in zip(corners, weights.T, strict=True))
    return result


def project(points: np.ndarray, vertices: np.ndarray, shot: Shot, size: int) -> np.ndarray:
    """Where points lie in the picture that ``render`` draws of a body.

    :param points: ``(P, 3)`` metres in the scene frame.
    :param vertices: the body's, as for ``render``; they decide the framing.
    :return: ``(P, 2)`` pixels, x right, y down.
    """
    view = _frame(vertices, shot, size)
    local = (points - view.position) @ view.axes.T
    return view.centre + view.focal * local[:, :2] / -local[:, 2:] * np.array([1.0, -1.0])


@dataclass(frozen=True)
class _View:
    """A camera that has framed a body."""

    position: np.ndarray  # (3,)
    axes: np.ndarray  # (3, 3) rows: right, up, towards the viewer
    focal: float  # samples
    centre: np.ndarray  # (2,) samples
    corners: np.ndarray  # (V, 2) samples
    depth: np.ndarray  # (V,) metres

    def rays(self, pixels: np.ndarray, size: int) -> np.ndarray:
        """Directions ``(3, N)`` through the centres of flat pixels, with length 1 along the view axis."""
        steps = (np.arange(size) + 0.5) * _SAMPLES
        across = np.outer(self.axes[0], (steps - self.centre[0]) / self.focal) - self.axes[2][:, None]
        up = np.outer(self.axes[1], (self.centre[1] - steps) / self.focal)
        row, column = np.divmod(pixels, size)
        return across.astype(np.float32)[:, column] + up.astype(np.float32)[:, row]


def _frame(vertices: np.ndarray, shot: Shot, side: int) -> _View:
    """Stand the camera, look at the body's middle, zoom and shift until the body fills the frame but its margin."""
    target = middle_of(vertices)
    yaw = np.radians(shot.camera_yaw)
    away = np.array([np.sin(yaw), 0.0, np.cos(yaw)])
    position = target + shot.distance * away
    position[1] = shot.camera_height
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(back, right), back])
    local = (vertices - position) @ axes.T.astype(np.float32)
    depth = -local[:, 2]
    plane = np.ascontiguousarray(local[:, :2].T) / depth  # columns: numpy is slow along axes of length 2
    first, last = plane.min(1), plane.max(1)
    focal = side * (1 - 2 * shot.margin) / (last - first).max()
    free = side * (1 - 2 * shot.margin) - focal * (last - first)
    centre = side / 2 + np.array([-1.0, 1.0]) * focal * (first + last) / 2 + np.array(shot.shift) * free / 2
    corners = centre[:, None] + np.array([[focal], [-focal]]) * plane
    return _View(position, axes, focal, centre, corners.T, depth)


def _bilinear(grid: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Floor light at places ``(M,)``, the border's value beyond the grid's cells."""
    scale, last = np.float32(FLOOR_CELLS / (2 * FLOOR_REACH)), np.float32(FLOOR_CELLS - 1.001)
    x, z = (np.clip((at + np.float32(FLOOR_REACH)) * scale - np.float32(0.5), 0, last) for at in (x, z))
    i, j = x.astype(np.int32), z.astype(np.int32)
    u, v = x - i.astype(np.float32), z - j.astype(np.float32)
    cell = i.astype(np.intp) * FLOOR_CELLS + j
    flat = grid.ravel()
    near, far = flat[cell], flat[cell + 1]
    near += (flat[cell + FLOOR_CELLS] - near) * u
    far += (flat[cell + FLOOR_CELLS + 1] - far) * u
    return near + (far - near) * v
