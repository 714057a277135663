"""Floor and background of a picture, computed where a ray from the camera meets them.

All colours are linear light. Patterns live on the floor in metres and fade out where one pixel would cover more than
their period, which keeps them free of moire.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autocompose.bodies.rendering.appearance import Backdrop, Scenery
from autocompose.bodies.rendering.clothing import linear

_OPEN_AIR = (Scenery.MEADOW, Scenery.BEACH)
_TREETOPS = 0.063  # sine of the highest that trees and sea reach
# patterns blur over this share of a pixel's footprint: the pixel's mean, of whose detail the eye expects a little more
_SHARP = 0.6
FloorLight = Callable[[np.ndarray, np.ndarray], np.ndarray]
_PALE = np.array([0.80, 0.86, 0.92], np.float32)  # the sky at the horizon


def paint_backdrop(
    backdrop: Backdrop,
    origin: np.ndarray,
    rays: np.ndarray,
    place: tuple[float, float],
    pixel: float,
    light: FloorLight,
) -> np.ndarray:
    """Colours behind the body.

    :param origin: ``(3,)`` camera, metres, scene frame.
    :param rays: ``(3, N)`` float32 directions with length 1 along the view axis.
    :param place: metres by which the pattern is moved under the person. :param pixel: radians that a ray covers.
    :param light: of the floor at x, z ``(M,)``.
    :return: linear colours ``(3, N)`` float32.
    """
    origin = origin.astype(np.float32)
    open_air = backdrop.scenery in _OPEN_AIR
    if open_air:
        share = _covered(-0.002 - rays[1], pixel)
    else:  # the floor ends where the wall's height is 0
        away = (-np.float32(backdrop.wall) - origin[2]) / np.minimum(rays[2], np.float32(-1e-4))
        share = _covered(-(origin[1] + rays[1] * away), pixel * away)
    hit, rest = np.flatnonzero(share > 0), np.flatnonzero(share < 1)
    colours = np.zeros(rays.shape, np.float32)
    colours[:, rest] = _behind(backdrop, origin, rays[:, rest], place, pixel) * (1 - share[rest])
    rx, ry, rz = rays[:, hit]
    down = np.minimum(ry, np.float32(-1e-4))
    length = origin[1] / -down
    x, z = origin[0] + rx * length, origin[2] + rz * length
    footprint = np.float32(_SHARP * pixel) * length * np.sqrt(rx * rx + ry * ry + rz * rz) / -down
    floor = _floor(backdrop, x, z, place, footprint)
    if open_air:  # haze hides the horizon
        haze = np.clip(length * np.float32(1 / 150), 0, np.float32(0.6))
        floor = floor * (1 - haze) + np.float32(0.6) * _PALE[:, None] * haze
    colours[:, hit] += floor * (light(x, z) * share[hit])
    return colours


def _covered(inside: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """Share of a pixel within a border, given the distance of its centre from the border and its own width."""
    return np.clip(inside / width + np.float32(0.5), 0, 1).astype(np.float32)


def _floor(
    backdrop: Backdrop, x: np.ndarray, z: np.ndarray, place: tuple[float, float], footprint: np.ndarray
) -> np.ndarray:
    sin, cos = float(np.sin(np.radians(backdrop.turn))), float(np.cos(np.radians(backdrop.turn)))
    x, z = x * cos - z * sin + place[0], x * sin + z * cos + place[1]
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
    return base[:, None] * np.maximum(shade, np.float32(0.05))


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


def _behind(
    backdrop: Backdrop, origin: np.ndarray, rays: np.ndarray, place: tuple[float, float], pixel: float
) -> np.ndarray:
    """The wall, the studio's curtain, or the sky, ``(3, N)``."""
    base = linear(backdrop.back)[:, None]
    if backdrop.scenery in _OPEN_AIR:
        return _sky(backdrop, base, rays, place, pixel)
    away = (-np.float32(backdrop.wall) - origin[2]) / np.minimum(rays[2], np.float32(-1e-4))
    height = origin[1] + rays[1] * away
    if backdrop.scenery is Scenery.STUDIO:
        return base * (1 - np.float32(0.22) * np.clip(height * np.float32(1 / 3), 0, 1))
    wall = base * (np.float32(0.86) + np.float32(0.14) * np.clip(height * np.float32(1 / 2.5), 0, 1))
    if backdrop.scenery is Scenery.GYM:
        band = _covered(np.float32(0.06) - np.abs(height - np.float32(1.45)), pixel * away)
        return wall + (linear(backdrop.floor)[:, None] * np.float32(1.2) - wall) * band
    if backdrop.scenery is Scenery.ROOM:
        return wall + (np.float32(0.78) - wall) * _covered(np.float32(0.10) - height, pixel * away)
    return wall


def _sky(
    backdrop: Backdrop, base: np.ndarray, rays: np.ndarray, place: tuple[float, float], pixel: float
) -> np.ndarray:
    """The sky, in front of it trees or the sea, ``(3, N)``."""
    rx, ry, rz = rays
    rise = ry / np.sqrt(rx * rx + ry * ry + rz * rz)
    pale = np.exp(np.maximum(rise, 0) * np.float32(-6))
    sky = base + (_PALE[:, None] - base) * pale
    low = np.flatnonzero(rise < _TREETOPS + pixel)
    around, rise = np.arctan2(rx[low], -rz[low]) + np.float32(0.2 * place[0]), rise[low]
    if backdrop.scenery is Scenery.MEADOW:
        top = 0.035 + 0.02 * _noise(around * 9, around * 0) + 0.008 * _noise(around * 70, around * 0)
        front = np.array([[0.10], [0.16], [0.09]], np.float32) * (1 + 0.4 * _noise(around * 60, rise * 90))
        front = 0.6 * front + 0.08
    else:
        top = np.full_like(rise, 0.012)
        # waves lie far below a pixel; two of them give the pixel's mean about the right spread
        waves = _noise(around * 20, (rise - pixel / 4) * 900) + _noise(around * 20, (rise + pixel / 4) * 900)
        front = np.array([[0.10], [0.25], [0.33]], np.float32) * (1 + 0.075 * waves)
    sky[:, low] += (front - sky[:, low]) * _covered(top - rise, pixel)
    return sky


def _line(distance: np.ndarray, half_width: float, footprint: np.ndarray) -> np.ndarray:
    """Share of a pixel covered by a line, given its distance from the line's middle in metres."""
    thin = np.minimum(1, 2 * half_width / footprint)
    return thin * np.clip((half_width - distance) / footprint + 0.5 + 0.5 * (1 - thin), 0, 1)


def _fade(footprint: np.ndarray, period: float) -> np.ndarray:
    """1 where a pixel is much smaller than the period of a pattern, 0 where it covers half a period."""
    return np.clip(1.4 - 2.8 * footprint / period, 0, 1)


def _hash(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Pseudo-random number from 0 to 1 for whole numbers ``i, j`` (integer mixing, the same everywhere)."""
    return _mixed(i.astype(np.int32).view(np.uint32) * _I + j.astype(np.int32).view(np.uint32) * _J)


def _mixed(h: np.ndarray) -> np.ndarray:
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    return ((h ^ (h >> np.uint32(16))) & np.uint32(0xFFFFFF)).astype(np.float32) * np.float32(1 / 0xFFFFFF)


_I, _J = np.uint32(374761393), np.uint32(668265263)


def _noise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Smooth value noise from -1 to 1 with period about 1."""
    i, j = np.floor(x), np.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    # the four corners' hashes differ by one multiple of I or J before they are mixed
    corner = i.astype(np.int32).view(np.uint32) * _I + j.astype(np.int32).view(np.uint32) * _J
    near, far = _mixed(corner), _mixed(corner + _J)
    near += (_mixed(corner + _I) - near) * u
    far += (_mixed(corner + _I + _J) - far) * u
    return 2 * (near + (far - near) * v) - 1
