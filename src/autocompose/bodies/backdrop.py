"""Floor and background of a picture, computed where a ray from the camera meets them.

All colours are linear light. Patterns live on the floor in metres and fade out where one pixel would cover more than
their period, which keeps them free of moire.
"""

from __future__ import annotations

import numpy as np

from autocompose.bodies.appearance import Backdrop, Scenery
from autocompose.bodies.clothing import linear

_OPEN_AIR = (Scenery.MEADOW, Scenery.BEACH)
_PALE = np.array([0.80, 0.86, 0.92], np.float32)  # the sky at the horizon


def paint_backdrop(
    backdrop: Backdrop, origin: np.ndarray, rays: np.ndarray, place: tuple[float, float], pixel: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours behind the body.

    :param origin: ``(3,)`` camera, metres, scene frame. :param rays: ``(N, 3)`` directions, not normalised.
    :param place: metres by which the pattern is moved under the person. :param pixel: radians that a ray covers.
    :return: linear colours ``(N, 3)``, points on the floor ``(M, 3)``, and the rays ``(M,)`` that meet it.
    """
    origin = origin.astype(np.float32)
    down = np.minimum(rays[:, 1], -1e-4)
    length = origin[1] / -down
    if backdrop.scenery not in _OPEN_AIR:
        on_floor = (rays[:, 1] < 0) & (origin[2] + rays[:, 2] * length > -backdrop.wall)
    else:
        on_floor = rays[:, 1] < -0.002
    hit = np.flatnonzero(on_floor)
    points = origin + rays[hit] * length[hit, None]
    footprint = pixel * length[hit] * np.linalg.norm(rays[hit], axis=1) / -down[hit]
    colours = np.empty((len(rays), 3), np.float32)
    colours[hit] = _floor(backdrop, points, place, footprint)
    rest = np.flatnonzero(~on_floor)
    colours[rest] = _behind(backdrop, origin, rays[rest], place)
    if backdrop.scenery in _OPEN_AIR:  # haze hides the horizon
        haze = np.clip(length[hit] / 150, 0, 0.6)[:, None]
        colours[hit] = colours[hit] * (1 - haze) + 0.6 * _PALE * haze
    return colours, points, hit


def _floor(backdrop: Backdrop, points: np.ndarray, place: tuple[float, float], footprint: np.ndarray) -> np.ndarray:
    sin, cos = float(np.sin(np.radians(backdrop.turn))), float(np.cos(np.radians(backdrop.turn)))
    x = points[:, 0] * cos - points[:, 2] * sin + place[0]
    z = points[:, 0] * sin + points[:, 2] * cos + place[1]
    base = linear(backdrop.floor)
    match backdrop.scenery:
        case Scenery.STUDIO:
            shade = np.ones_like(x)
        case Scenery.ROOM:
            shade = _planks(x, z, footprint)
        case Scenery.TILES:
            shade = _tiles(x, z, footprint)
        case Scenery.GYM:
            shade = 1 + 0.10 * _noise(x * 40, z * 40) * _fade(footprint, 0.05)
            shade = shade + 2.0 * _line(np.minimum(np.abs(x % 4 - 2), np.abs(z % 5 - 2.5)), 0.03, footprint)
        case Scenery.MEADOW:
            blades = _noise(x * 45, z * 20) * _fade(footprint, 0.04)
            shade = (
                1 + 0.25 * _noise(x * 1.3, z * 1.3) + 0.35 * blades + 0.2 * _noise(x * 9, z * 9) * _fade(footprint, 0.2)
            )
        case Scenery.BEACH:
            ripples = np.sin(z * 22 + 3 * _noise(x * 2, z * 2)) * _fade(footprint, 0.25)
            shade = (
                1
                + 0.10 * _noise(x * 2, z * 2)
                + 0.05 * ripples
                + 0.12 * _noise(x * 60, z * 60) * _fade(footprint, 0.03)
            )
    return base * np.maximum(shade, 0.05)[:, None].astype(np.float32)


def _planks(x: np.ndarray, z: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Boards 14 cm wide and 1.8 m long, running away from the wall's left."""
    row = np.floor(z / 0.14)
    along = x + 1.8 * _hash(row, row * 0 + 3)
    board = np.floor(along / 1.8)
    tone = 0.30 * (_hash(row, board) - 0.5) * _fade(footprint, 0.3)
    grain = 0.12 * _noise(along * 3, z * 60) * _fade(footprint, 0.05)
    ends = np.minimum(along - 1.8 * board, 1.8 * (board + 1) - along)
    sides = np.minimum(z - 0.14 * row, 0.14 * (row + 1) - z)
    return (1 + tone + grain) * (1 - 0.55 * _line(np.minimum(ends, sides), 0.003, footprint))


def _tiles(x: np.ndarray, z: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Square tiles of 45 cm with a grey joint."""
    i, j = np.floor(x / 0.45), np.floor(z / 0.45)
    tone = 0.10 * (_hash(i, j) - 0.5) * _fade(footprint, 0.5)
    edge = 0.45 * (0.5 - np.maximum(np.abs(x / 0.45 - i - 0.5), np.abs(z / 0.45 - j - 0.5)))
    return (1 + tone + 0.05 * _noise(x * 6, z * 6)) * (1 - 0.35 * _line(edge, 0.006, footprint))


def _behind(backdrop: Backdrop, origin: np.ndarray, rays: np.ndarray, place: tuple[float, float]) -> np.ndarray:
    """The wall, the studio's curtain, or the sky."""
    base = linear(backdrop.back)
    rise = rays[:, 1] / np.linalg.norm(rays, axis=1)
    if backdrop.scenery in _OPEN_AIR:
        pale = np.exp(-np.clip(rise, 0, None) * 6)[:, None]
        sky = base * (1 - pale) + _PALE * pale
        around = np.arctan2(rays[:, 0], -rays[:, 2]) + 0.2 * place[0]
        if backdrop.scenery is Scenery.MEADOW:
            top = 0.035 + 0.02 * _noise(around * 9, around * 0) + 0.008 * _noise(around * 70, around * 0)
            trees = np.array([0.10, 0.16, 0.09], np.float32) * (1 + 0.4 * _noise(around * 60, rise * 90))[:, None]
            return np.where((rise < top)[:, None], 0.6 * trees + 0.08, sky)
        sea = np.array([0.10, 0.25, 0.33], np.float32) * (1 + 0.15 * _noise(around * 20, rise * 900))[:, None]
        return np.where((rise < 0.012)[:, None], sea, sky)
    height = origin[1] + rays[:, 1] * (-backdrop.wall - origin[2]) / np.minimum(rays[:, 2], -1e-4)
    if backdrop.scenery is Scenery.STUDIO:
        return base * (1 - 0.22 * np.clip(height / 3, 0, 1))[:, None]
    shade = 0.86 + 0.14 * np.clip(height / 2.5, 0, 1)
    wall = base * shade[:, None]
    if backdrop.scenery is Scenery.GYM:
        band = np.abs(height - 1.45) < 0.06
        wall = np.where(band[:, None], linear(backdrop.floor) * 1.2, wall)
    elif backdrop.scenery is Scenery.ROOM:
        wall = np.where((height < 0.10)[:, None], np.float32(0.78), wall)
    return wall


def _line(distance: np.ndarray, half_width: float, footprint: np.ndarray) -> np.ndarray:
    """Share of a pixel covered by a line, given its distance from the line's middle in metres."""
    thin = np.minimum(1, 2 * half_width / footprint)
    return thin * np.clip((half_width - distance) / footprint + 0.5 + 0.5 * (1 - thin), 0, 1)


def _fade(footprint: np.ndarray, period: float) -> np.ndarray:
    """1 where a pixel is much smaller than the period of a pattern, 0 where it covers half a period."""
    return np.clip(1.4 - 2.8 * footprint / period, 0, 1)


def _hash(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Pseudo-random number from 0 to 1 for whole numbers ``i, j`` (integer mixing, the same everywhere)."""
    with np.errstate(over="ignore"):
        h = i.astype(np.int32).view(np.uint32) * np.uint32(374761393)
        h = h + j.astype(np.int32).view(np.uint32) * np.uint32(668265263)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    return ((h ^ (h >> np.uint32(16))) & np.uint32(0xFFFFFF)).astype(np.float32) / np.float32(0xFFFFFF)


def _noise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Smooth value noise from -1 to 1 with period about 1."""
    i, j = np.floor(x), np.floor(y)
    u, v = x - i, y - j
    i, j = i.astype(np.int32), j.astype(np.int32)
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    top = _hash(i, j) * (1 - u) + _hash(i + 1, j) * u
    bottom = _hash(i, j + 1) * (1 - u) + _hash(i + 1, j + 1) * u
    return 2 * (top * (1 - v) + bottom * v) - 1
