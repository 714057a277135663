"""Pictures per second and core, posing included: ``python benchmarks/render.py``.

CPU time of one thread (other processes on the machine do not count), split by stage. The comparison builds embree's
ray-casting tree for the same body, which every picture would need anew, and casts only the primary rays.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import platform
import time
from collections.abc import Callable

import numpy as np

from autocompose.bodies.rendering import render as renderer
from autocompose.bodies.rendering.appearance import draw_look, draw_shot
from autocompose.bodies.rendering.body import Body

PICTURES = 60
STAGES = {"_smooth_light": "light", "rasterise": "raster", "paint": "clothes", "paint_backdrop": "backdrop"}


def timed(name: str, function: Callable, spent: dict[str, float]) -> Callable:
    def wrapper(*args: object) -> object:
        start = time.process_time()
        result = function(*args)
        spent[name] = spent.get(name, 0.0) + time.process_time() - start
        return result

    return wrapper


def measure(body: Body, size: int) -> dict[str, float]:
    """CPU milliseconds per picture by stage."""
    rng = np.random.default_rng(0)
    look = draw_look(rng)
    rotations = rng.normal(0, 0.3, (PICTURES, 22, 3))
    # the cluster's shape, shared by at least 32 pictures, and what numba compiles or reads once per process
    renderer.render(body, body.pose(rotations[:1], look.phenotype).on_floor().vertices[0], look, draw_shot(rng), size)
    spent: dict[str, float] = {}
    originals = {name: getattr(renderer, name) for name in STAGES}
    for name, label in STAGES.items():
        setattr(renderer, name, timed(label, originals[name], spent))
    start = time.process_time()
    for pose in rotations:
        before = time.process_time()
        vertices = body.pose(pose[None], look.phenotype).on_floor().vertices[0]
        spent["pose"] = spent.get("pose", 0.0) + time.process_time() - before
        renderer.render(body, vertices, look, draw_shot(rng), size)
    spent["total"] = time.process_time() - start
    for name, function in originals.items():
        setattr(renderer, name, function)
    return {name: 1000 * seconds / PICTURES for name, seconds in spent.items()}


def embree(body: Body, size: int) -> tuple[float, float]:
    """CPU milliseconds to build the tree, and to cast one ray per sample in the body's bounding box."""
    import trimesh

    vertices = body.pose(np.zeros((1, 22, 3))).on_floor().vertices[0]
    start = time.process_time()
    for _ in range(5):
        caster = trimesh.ray.ray_pyembree.RayMeshIntersector(trimesh.Trimesh(vertices, body.faces, process=False))
        caster.intersects_first(np.array([[0.0, 1, 5]]), np.array([[0.0, 0, -1]]))
    built = time.process_time()
    side = 2 * size
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(0, 2, side))
    origins = np.stack([x.ravel(), y.ravel(), np.full(side * side, 5.0)], 1)
    caster.intersects_first(origins, np.tile([0.0, 0, -1], (side * side, 1)))
    return (built - start) * 1000 / 5, (time.process_time() - built) * 1000


def main() -> None:
    body = Body()
    print(f"{platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}, one thread, {PICTURES} pictures")
    print("| size | pose | raster | light | clothes | backdrop | rest | all (ms) | per second | embree: tree + rays |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for size in (128, 224):
        ms = measure(body, size)
        parts = [ms[name] for name in ("pose", "raster", "light", "clothes", "backdrop")]
        tree, rays = embree(body, size)
        cells = " | ".join(f"{value:.1f}" for value in [*parts, ms["total"] - sum(parts), ms["total"]])
        print(f"| {size} px | {cells} | {1000 / ms['total']:.0f} | {tree:.1f} + {rays:.1f} |")


if __name__ == "__main__":
    main()
