"""Light on a posed body and on the floor around it: a sky of directions plus a small cone of them around the lamp.

Each direction keeps a coarse map of the nearest surface, which gives soft shadows and ambient occlusion on the body
and on the floor at the cost of a table look-up. All colours are linear light.
"""

from __future__ import annotations

import numpy as np

from autocompose.bodies.compiled import compiled
from autocompose.bodies.rendering.appearance import Shot

_SKY, _LAMP = 20, 8  # directions
CELL = 0.04  # metres, of the shadow maps
FLOOR_CELLS, FLOOR_REACH = 64, 2.0  # grid of floor light, half its side in metres


def illuminate(
    vertices: np.ndarray, normals: np.ndarray, spots: np.ndarray, shot: Shot, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Light at some vertices of a body that stands on the floor, all of which throw shadows.

    :param vertices: ``(V, 3)`` metres, scene frame. :param normals: ``(V, 3)``, unit length.
    :param spots: ``(P,)`` the vertices whose light is asked for.
    :param floor: ``(3,)`` linear colour.
    :return: ``(P, 3)`` linear light and, relative to an empty scene, the light on a square of floor ``(N, N)`` around
        (0, 0), x along the first axis.
    """
    directions, colours = _directions(shot)
    middle = middle_of(vertices)
    steps = (np.arange(FLOOR_CELLS) + 0.5) * (2 * FLOOR_REACH / FLOOR_CELLS) - FLOOR_REACH
    ground = np.stack(np.broadcast_arrays(steps[:, None], 0.0, steps[None, :]), -1).reshape(-1, 3)
    raised = vertices - middle + np.float32(0.5 * CELL) * normals
    seen = visibility(raised, spots, ground - middle, directions)
    count, normals, height = len(spots), normals[spots], vertices[spots, 1]
    facing = np.maximum(directions.astype(np.float32) @ normals.T, 0)
    light = (colours.T.astype(np.float32) @ (facing * seen[:, :count])).T
    # what the floor throws back, less of it close to the floor
    bounce = np.clip(0.5 - 0.5 * normals[:, 1], 0, 1) * np.clip(0.35 + height, 0, 1)
    light += bounce[:, None] * (0.30 * floor + 0.05)
    level = directions[:, 1] * colours.mean(1)
    floor_light = (level @ seen[:, count:] / level.sum()).reshape(FLOOR_CELLS, FLOOR_CELLS)
    edge = np.clip((FLOOR_REACH - np.abs(steps)) * 2, 0, 1)  # shadows end before the square does
    return light, (1 - (1 - _blur(floor_light)) * edge[:, None] * edge).astype(np.float32)


def middle_of(points: np.ndarray) -> np.ndarray:
    """The middle ``(3,)`` of the box around points ``(N, 3)``."""
    columns = np.ascontiguousarray(points.T)  # numpy is slow along the first of so unequal axes
    return (columns.min(1) + columns.max(1)) / 2


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


def visibility(body: np.ndarray, spots: np.ndarray, points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Share of each direction's light that reaches points past a body.

    :param body: ``(V, 3)`` metres around the origin, what light is kept by. :param directions: ``(D, 3)`` unit vectors.
    :param spots: ``(S,)`` its points that are asked for. :param points: ``(P, 3)`` further ones.
    :return: ``(D, S + P)`` float32, 0 to 1.
    """
    reach = float(np.abs(body).max()) * 1.8 + CELL
    cells = int(2 * reach / CELL) + 1
    sides = np.cross(directions, [0.31, 0.17, 0.93])
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    bases = np.zeros((len(directions), 3, 4))  # to the map's axes, in cells from its corner, and the height in cells
    bases[:, :, :3] = np.stack([sides, np.cross(directions, sides), directions], 1) / CELL
    bases[:, :2, 3] = reach / CELL
    result = np.empty((len(directions), len(spots) + len(points)), np.float32)
    _look_up(bases.astype(np.float32), body.astype(np.float32), spots, points.astype(np.float32), cells, result)
    return result


@compiled
def _look_up(
    bases: np.ndarray, body: np.ndarray, spots: np.ndarray, points: np.ndarray, cells: int, result: np.ndarray
) -> None:
    """Fill ``result`` of ``visibility``, one direction's map after the other."""
    cell, height = np.empty(len(body), np.int32), np.empty(len(body), np.float32)
    nearest = np.empty(cells * cells, np.float32)
    for direction in range(len(bases)):
        basis, share = bases[direction], result[direction]
        nearest[:] = -np.inf
        for n in range(len(body)):
            cell[n], height[n] = _in_map(basis, body[n], cells)
            nearest[cell[n]] = max(nearest[cell[n]], height[n])
        for n, spot in enumerate(spots):
            share[n] = _lit(height[spot] - nearest[cell[spot]])
        for n in range(len(points)):
            place, high = _in_map(basis, points[n], cells)
            share[len(spots) + n] = _lit(high - nearest[place])


@compiled
def _in_map(basis: np.ndarray, point: np.ndarray, cells: int) -> tuple[int, np.float32]:
    """Flat cell and height of a point; one outside the map belongs to its border."""
    x, y, z = point
    across = basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z + basis[0, 3]
    along = basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z + basis[1, 3]
    row, column = min(max(int(across), 0), cells - 1), min(max(int(along), 0), cells - 1)
    return row * cells + column, basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z


@compiled
def _lit(above: np.float32) -> np.float32:
    """The share of light, from how many cells a point lies above the nearest surface, minus if below."""
    return min(max(above + np.float32(1.8), np.float32(0)), np.float32(1))


def _blur(grid: np.ndarray) -> np.ndarray:
    for axis in (0, 1):
        grid = (np.roll(grid, 1, axis) + 2 * grid + np.roll(grid, -1, axis)) / 4
    return grid
