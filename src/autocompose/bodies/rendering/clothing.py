"""Clothes, hair and face by place on the body: one smooth function of the T-pose, so that borders stay sharp.

``dress`` turns the naked mesh into a dressed one (loose shirt and trousers, shoes instead of toes, hair with some
thickness); ``paint`` gives the colour at points of its surface. Places are ``Body.canonical`` coordinates: metres on
the default dressed body in the T-pose, x to the body's left, y up from the bare foot's sole, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from autocompose.bodies.compiled import compiled

if TYPE_CHECKING:
    from autocompose.bodies.rendering.appearance import Outfit

_SMOOTHING_ROUNDS = 24


@dataclass(frozen=True)
class Cut:
    """Properties of the mesh that clothing needs, the same for every shape.

    :param soft: ``(S,)`` vertices that smoothing moves. :param softness: ``(S, 1)`` how far each round moves them.
    :param links: sparse ``(S, V)``, means of their neighbours. :param thickness: ``(V, 1)`` metres of cloth.
    """

    soft: np.ndarray
    softness: np.ndarray
    links: Any
    thickness: np.ndarray


def cut_out(faces: np.ndarray, canonical: np.ndarray) -> Cut:
    """Where clothes, shoes and hair lie.

    :param canonical: ``(V, 3)`` places on the naked default body.
    """
    softness = _softness(canonical)
    soft = np.flatnonzero(softness > 0)
    links = neighbour_mean(faces, len(canonical), _melted(canonical), vertex_areas(canonical, faces))
    return Cut(soft, softness[soft, None], links[soft].astype(float), _thickness(canonical)[:, None])


def dress(vertices: np.ndarray, faces: np.ndarray, cut: Cut) -> np.ndarray:
    """Smooth and inflate ``(V, 3)`` rest vertices where clothes, shoes and hair lie; hands and face stay."""
    dressed = np.array(vertices, float)
    for _ in range(_SMOOTHING_ROUNDS):
        dressed[cut.soft] += cut.softness * (cut.links @ dressed - dressed[cut.soft])
    return dressed + cut.thickness * vertex_normals(dressed, faces)


def neighbour_mean(
    faces: np.ndarray, count: int, extra: np.ndarray | None = None, weights: np.ndarray | None = None
) -> Any:
    """Sparse ``(V, V)`` matrix that takes each vertex to the mean of its neighbours.

    :param extra: ``(E, 2)`` further pairs to be treated as neighbours.
    :param weights: ``(V,)`` what each vertex counts in a mean; areas keep dense spots from dominating.
    """
    from scipy.sparse import coo_matrix, diags

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    if extra is not None:
        edges = np.concatenate([edges, extra])
    edges = np.concatenate([edges, edges[:, ::-1]])
    links = coo_matrix((np.ones(len(edges), np.float32), (edges[:, 0], edges[:, 1])), shape=(count, count)).tocsr()
    links.data = np.ones(count, np.float32)[links.indices] if weights is None else weights[links.indices]
    return diags((1 / np.maximum(np.asarray(links.sum(1)).ravel(), 1e-12)).astype(np.float32)) @ links


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Square metres ``(V,)`` float32: a third of the triangles around each vertex."""
    corners = vertices[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 6
    return np.bincount(faces.ravel(), np.repeat(areas, 3), len(vertices)).astype(np.float32)


def _melted(canonical: np.ndarray) -> np.ndarray:
    """Pairs ``(E, 2)`` of vertices that lie close on a forefoot or the chest: smoothing over them leaves no detail."""
    from scipy.spatial import cKDTree

    x, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    forefoot = np.flatnonzero((y < 0.09) & (z > 0.12))
    chest = np.flatnonzero((y > 1.22) & (y < 1.44) & (z > 0.1) & (x < 0.18))
    return np.concatenate(
        [
            part[cKDTree(canonical[part]).query_pairs(radius, output_type="ndarray")]
            for part, radius in ((forefoot, 0.02), (chest, 0.03))
        ]
    )


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals ``(V, 3)``, outward, weighted by the triangles' areas."""
    total = np.zeros((len(vertices), 3))
    _add_normals(vertices, faces, total)
    x, y, z = total.T
    return (total / np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)[:, None]).astype(vertices.dtype)


@compiled
def _add_normals(vertices: np.ndarray, faces: np.ndarray, total: np.ndarray) -> None:
    """Add each triangle's normal, twice its area long, to its corners."""
    for face in range(len(faces)):
        a, b, c = faces[face]
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az
        vx, vy, vz = vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            total[corner, 0] += x
            total[corner, 1] += y
            total[corner, 2] += z


def paint(places: np.ndarray, outfit: Outfit) -> np.ndarray:
    """Linear colours ``(N, 3)`` at canonical places ``(N, 3)``."""
    x, y, z = np.abs(places[:, 0]), places[:, 1], places[:, 2]
    palette = _palette(outfit)
    cloth = np.zeros(len(places), np.intp)  # row of the palette
    head = np.flatnonzero(y > _CHIN)
    cloth[head] = _face(x[head], y[head], z[head])
    hair = head[_above_hairline(x[head], y[head], z[head], outfit.hairline) > 0]
    cloth[hair] = _HAIR
    cloth[(y < 0.88) & (y > 0.80 - 0.68 * outfit.leg)] = _BOTTOMS
    cloth[(y >= 0.88) & (y < _HEM)] = _BOTTOMS
    sleeve = 0.19 + 0.53 * outfit.sleeve
    cloth[(y >= _HEM) & (y < _NECKLINE - 0.45 * z) & (x < sleeve)] = _SHIRT
    if outfit.leg <= 0.9:
        cloth[y < 0.15] = _SOCK
    cloth[y < _SHOE_TOP] = _SHOES
    cloth[y < _SOLE] = _SOCK
    colour = palette.T[:, cloth]
    strands = 1 + 0.08 * np.sin(230 * places[hair, 0] + 5 * np.sin(40 * y[hair]))
    colour[:, hair] *= strands.astype(np.float32)
    return colour.T


def linear(colour: tuple[float, float, float] | np.ndarray) -> np.ndarray:
    """SRGB 0 to 1 -> linear light (power 2.2 is close enough here)."""
    return np.asarray(colour, np.float32) ** np.float32(2.2)


_HEM, _NECKLINE, _SHOE_TOP, _SOLE = 1.05, 1.575, 0.09, 0.008
_CHIN = 1.6  # face and hair lie above
_IRIS = (0.16, 0.11, 0.08)
_SOCKS = (0.90, 0.90, 0.88)
_EYE, _EYE_RADIUS = (0.0313, 1.7261, 0.1575), 0.0166


def _ramp(value: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 at ``start`` and before, 1 at ``end`` and beyond (either direction), smooth between."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def _softness(c: np.ndarray) -> np.ndarray:
    """How far each round of smoothing moves a vertex to the mean of its neighbours."""
    x, y = np.abs(c[:, 0]), c[:, 1]
    trunk = _ramp(y, 0.75, 0.85) * _ramp(y, 1.56, 1.50) * _ramp(x, 0.32, 0.20)
    shoes = _ramp(y, 0.11, 0.07)
    chest = _ramp(y, 1.20, 1.28) * _ramp(y, 1.46, 1.40) * _ramp(x, 0.2, 0.15)
    return np.maximum(0.5 * trunk + 0.4 * chest, 0.35 * shoes)


def _thickness(c: np.ndarray) -> np.ndarray:
    """Metres of cloth, shoe or hair over the smoothed skin."""
    x, y, z = np.abs(c[:, 0]), c[:, 1], c[:, 2]
    shirt = 0.007 * _ramp(y, _NECKLINE + 0.01, _NECKLINE - 0.03) * _ramp(x, 0.7, 0.4) * _ramp(y, 0.9, 1.0)
    legs = 0.004 * _ramp(y, 1.0, 0.9) * _ramp(y, 0.1, 0.2)
    shoes = 0.012 * _ramp(y, 0.10, 0.07)
    hair = 0.016 * _ramp(_above_hairline(x, y, z, 0.5), -0.004, 0.02)
    return shirt + legs + shoes + hair


def _above_hairline(x: np.ndarray, y: np.ndarray, z: np.ndarray, hairline: float) -> np.ndarray:
    """Metres above the hairline, which runs from the neck behind the ears to the forehead; negative below."""
    low = 0.03 * (hairline - 0.5)
    line = np.interp(
        z,
        [0.0, 0.04, 0.055, 0.07, 0.115, 0.135, 0.17],
        [1.655 - 1.5 * low, 1.665 - low, 1.70, 1.738, 1.745 - low, 1.78 - low, 1.80 - low],
    )
    return np.where(x < 0.1, y - line, -1.0)


def _palette(outfit: Outfit) -> np.ndarray:
    """Linear colours in the order of the numbers below, skin first."""
    skin, hair = linear(outfit.skin), linear(outfit.hair)
    lips, brows = skin * np.array([0.85, 0.55, 0.55], np.float32), 0.5 * skin + 0.5 * hair
    worn = [linear(colour) for colour in (_SOCKS, _IRIS, outfit.bottoms, outfit.shirt, outfit.shoes)]
    return np.array([skin, lips, brows, hair, *worn], np.float32)


_LIPS, _BROWS, _HAIR, _SOCK, _DARK, _BOTTOMS, _SHIRT, _SHOES = range(1, 9)


def _face(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Numbers of the palette for skin, lips, brows and eyes."""
    result = np.zeros(len(x), np.intp)
    front = (z > 0.14) & (x < 0.08)
    lips = front & (((x / 0.024) ** 2 + ((y - 1.652) / 0.009) ** 2) < 1) & (z > 0.16)
    result[lips] = _LIPS
    result[front & (np.abs(y - 1.752 + 4 * (x - 0.032) ** 2) < 0.004) & (np.abs(x - 0.032) < 0.02)] = _BROWS
    across = np.hypot(x - _EYE[0], y - _EYE[1])
    ball = front & (np.sqrt(across**2 + (z - _EYE[2]) ** 2) < _EYE_RADIUS + 0.0004)
    result[ball] = _SOCK
    result[ball & (across < 0.0065)] = _DARK
    return result
