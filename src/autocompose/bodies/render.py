"""Pictures of posed bodies on the CPU, in numpy.

A picture is rasterised at twice its size and averaged. Light is a sky of directions plus a small cone of directions
around the lamp; each direction keeps a coarse map of the nearest surface, which gives soft shadows and ambient
occlusion on the body and on the floor at the cost of a table look-up. Light is computed at vertices and interpolated,
clothes are painted per sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autocompose.bodies.appearance import Look, Shot
from autocompose.bodies.backdrop import paint_backdrop
from autocompose.bodies.body import Body
from autocompose.bodies.clothing import linear, paint, vertex_normals
from autocompose.bodies.raster import rasterise

_SAMPLES = 2  # per pixel and axis
_SKY, _LAMP = 20, 8  # directions
_LIGHT_SMOOTHING = 2  # rounds over the mesh, against the grain of the shadow maps
_CELL = 0.04  # metres, of the shadow maps
_FLOOR_CELLS, _FLOOR_REACH = 64, 2.0  # grid of floor light, half its side in metres


def render(body: Body, vertices: np.ndarray, look: Look, shot: Shot, size: int) -> np.ndarray:
    """One picture.

    :param vertices: ``(V, 3)`` metres in the scene frame, standing on the floor (``PosedBodies.on_floor``).
    :param size: side in pixels.
    :return: ``(size, size, 3)`` uint8; the same bytes for the same arguments.
    """
    side = size * _SAMPLES
    view = _frame(vertices, shot, side)
    samples, triangles, weights = rasterise(view.corners, view.depth, body.faces, side)
    normals = vertex_normals(vertices, body.faces)
    light, floor_light = _illuminate(vertices, normals, shot, look)
    for _ in range(_LIGHT_SMOOTHING):
        light = body.neighbour_mean @ light
    corners = body.faces[triangles]
    at_samples = np.einsum("nk,nkd->nd", weights, np.concatenate([body.canonical, light], 1)[corners])
    colours = np.empty((side * side, 3), np.float32)
    colours[samples] = paint(at_samples[:, :3], look.outfit) * at_samples[:, 3:]
    empty = np.ones(side * side, bool)
    empty[samples] = False
    colours[empty] = _background(view, look, shot, floor_light, np.flatnonzero(empty), side)
    square = colours.reshape(side, side, 3)
    steps = range(_SAMPLES)
    total: np.ndarray = np.add.reduce([square[i::_SAMPLES, j::_SAMPLES] for i in steps for j in steps])
    mean = np.clip(total * np.float32(shot.exposure / _SAMPLES**2), 0, 1)
    return (255 * mean ** np.float32(1 / 2.2) + 0.5).astype(np.uint8)


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

    def rays(self, samples: np.ndarray, side: int) -> np.ndarray:
        """Directions ``(N, 3)`` through the centres of samples, with length 1 along the view axis."""
        x = ((samples % side + 0.5 - self.centre[0]) / self.focal).astype(np.float32)
        y = ((self.centre[1] - samples // side - 0.5) / self.focal).astype(np.float32)
        right, up, back = self.axes.astype(np.float32)
        return x[:, None] * right + y[:, None] * up - back


def _frame(vertices: np.ndarray, shot: Shot, side: int) -> _View:
    """Stand the camera, look at the body's middle, zoom and shift until the body fills the frame but its margin."""
    target = _middle(vertices)
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
    plane = local[:, :2] / depth[:, None]
    first, last = _extent(plane)
    focal = side * (1 - 2 * shot.margin) / (last - first).max()
    free = side * (1 - 2 * shot.margin) - focal * (last - first)
    centre = side / 2 + np.array([-1.0, 1.0]) * focal * (first + last) / 2 + np.array(shot.shift) * free / 2
    corners = centre + focal * plane * np.array([1.0, -1.0])
    return _View(position, axes, focal, centre, corners, depth)


def _extent(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest of each column; numpy is slow along the first of so unequal axes."""
    columns = np.ascontiguousarray(points.T)
    return columns.min(1), columns.max(1)


def _middle(points: np.ndarray) -> np.ndarray:
    low, high = _extent(points)
    return (low + high) / 2


def _background(
    view: _View, look: Look, shot: Shot, floor_light: np.ndarray, samples: np.ndarray, side: int
) -> np.ndarray:
    rays = view.rays(samples, side)
    colours, points, hit = paint_backdrop(look.backdrop, view.position, rays, shot.place, 1 / view.focal)
    at = (points[:, [0, 2]] + _FLOOR_REACH) * (_FLOOR_CELLS / (2 * _FLOOR_REACH)) - 0.5
    colours[hit] *= _bilinear(floor_light, at)[:, None]
    return colours


def _bilinear(grid: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values of ``(N, N)`` at ``(M, 2)`` positions, the border's value beyond it."""
    at = np.clip(at, 0, len(grid) - 1.001)
    i = at.astype(np.int64)
    u, v = (at - i).T
    x, z = i.T
    top = grid[x, z] * (1 - u) + grid[x + 1, z] * u
    return (top * (1 - v) + (grid[x, z + 1] * (1 - u) + grid[x + 1, z + 1] * u) * v).astype(np.float32)


def _directions(shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors ``(D, 3)`` to the light and their colours ``(D, 3)``, sky first."""
    golden = np.pi * (3 - np.sqrt(5))
    k = np.arange(_SKY)
    rise = (k + 0.5) / _SKY
    flat = np.sqrt(1 - rise**2)
    sky = np.stack([flat * np.cos(k * golden), rise, flat * np.sin(k * golden)], 1)
    azimuth, elevation = np.radians(shot.azimuth + shot.camera_yaw), np.radians(shot.elevation)
    lamp = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    side = np.cross(lamp, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    k = np.arange(_LAMP)
    radius = 0.14 * np.sqrt((k + 0.5) / _LAMP)[:, None]
    cone = lamp + radius * (np.cos(k * golden)[:, None] * side + np.sin(k * golden)[:, None] * np.cross(side, lamp))
    cone /= np.linalg.norm(cone, axis=1, keepdims=True)
    tint = 1 + shot.warmth * np.array([0.06, 0.0, -0.10])
    # a level white surface gets 1 in all: the sky's directions have cosines rise, mean 1/2
    sky_share = np.tile((1 - shot.key) * 2 / _SKY * (2 - tint), (_SKY, 1))
    lamp_share = np.tile(shot.key / max(lamp[1], 0.4) / _LAMP * tint, (_LAMP, 1))
    return np.concatenate([sky, cone]), np.concatenate([sky_share, lamp_share])


def _illuminate(vertices: np.ndarray, normals: np.ndarray, shot: Shot, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Light at vertices ``(V, 3)`` and, relative to an empty scene, on a square of floor ``(N, N)`` around (0, 0)."""
    directions, colours = _directions(shot)
    middle = _middle(vertices)
    steps = (np.arange(_FLOOR_CELLS) + 0.5) * (2 * _FLOOR_REACH / _FLOOR_CELLS) - _FLOOR_REACH
    floor = np.stack(np.broadcast_arrays(steps[:, None], 0.0, steps[None, :]), -1).reshape(-1, 3)
    seen = _visibility(
        vertices - middle, np.concatenate([vertices + 0.5 * _CELL * normals, floor]) - middle, directions
    )
    count = len(vertices)
    facing = np.maximum(normals @ directions.T.astype(np.float32), 0)
    light = (facing * seen[:, :count].T) @ colours.astype(np.float32)
    # what the floor throws back, less of it close to the floor
    bounce = np.clip(0.5 - 0.5 * normals[:, 1], 0, 1) * np.clip(0.35 + vertices[:, 1], 0, 1)
    light += bounce[:, None] * (0.30 * linear(look.backdrop.floor) + 0.05)
    level = directions[:, 1] * colours.mean(1)
    floor_light = (level @ seen[:, count:] / level.sum()).reshape(_FLOOR_CELLS, _FLOOR_CELLS)
    edge = np.clip((_FLOOR_REACH - np.abs(steps)) * 2, 0, 1)  # shadows end before the square does
    return light, 1 - (1 - _blur(floor_light)) * edge[:, None] * edge


def _visibility(blockers: np.ndarray, points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Share ``(D, P)`` of each direction's light that reaches each point past the blockers ``(V, 3)``."""
    reach = float(np.abs(blockers).max()) * 1.8 + _CELL
    cells = int(2 * reach / _CELL) + 1
    result = np.empty((len(directions), len(points)), np.float32)
    sides = np.cross(directions, [0.31, 0.17, 0.93])
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    bases = np.stack([sides, np.cross(directions, sides), directions], 1).astype(np.float32)
    columns = np.ascontiguousarray(points.T, np.float32)
    for k, basis in enumerate(bases):
        across, along, height = basis @ columns
        flat = _cells(across, reach, cells) * cells + _cells(along, reach, cells)
        nearest = np.full(cells * cells, -np.inf, np.float32)
        np.maximum.at(nearest, flat[: len(blockers)], height[: len(blockers)])
        result[k] = np.clip(1.8 - (nearest[flat] - height) * (1 / _CELL), 0, 1)
    return result


def _cells(places: np.ndarray, reach: float, cells: int) -> np.ndarray:
    return np.clip((places + reach) * (1 / _CELL), 0, cells - 1).astype(np.int64)


def _blur(grid: np.ndarray) -> np.ndarray:
    for axis in (0, 1):
        grid = (np.roll(grid, 1, axis) + 2 * grid + np.roll(grid, -1, axis)) / 4
    return grid
