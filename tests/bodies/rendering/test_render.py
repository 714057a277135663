from dataclasses import replace

import numpy as np
import pytest

from autocompose.bodies.rendering.appearance import Backdrop, Look, Outfit, Scenery, Shot, draw_look, draw_shot
from autocompose.bodies.rendering.backdrop import paint_backdrop
from autocompose.bodies.rendering.body import Body
from autocompose.bodies.rendering.clothing import neighbour_mean, vertex_areas, vertex_normals
from autocompose.bodies.rendering.light import visibility
from autocompose.bodies.rendering.raster import rasterise
from autocompose.bodies.rendering.render import _frame, _smooth_light, render
from autocompose.bodies.skeleton import SMPL22

J = {name: i for i, name in enumerate(SMPL22)}


@pytest.fixture(scope="module")
def standing(body: Body) -> np.ndarray:
    rotations = np.zeros((1, 22, 3))
    rotations[0, J["left_shoulder"]], rotations[0, J["right_shoulder"]] = (0, 0, -1.2), (0, 0, 0.3)
    return body.pose(rotations).on_floor().vertices[0]


def slow_rasterise(corners: np.ndarray, depth: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """Nearest front-facing triangle of every sample, or -1, one sample and one triangle at a time."""
    seen = np.full((size, size), -1)
    nearest = np.zeros((size, size))
    for f, (i, j, k) in enumerate(faces):
        matrix = np.stack([corners[i], corners[j], corners[k]], 1)
        matrix = np.concatenate([matrix, np.ones((1, 3))])
        if np.linalg.det(matrix) >= 0:
            continue
        for y in range(size):
            for x in range(size):
                weights = np.linalg.solve(matrix, [x + 0.5, y + 0.5, 1])
                near = weights @ (1 / depth[[i, j, k]])
                if weights.min() >= 0 and near > nearest[y, x]:
                    seen[y, x], nearest[y, x] = f, near
    return seen


def test_rasteriser_against_one_sample_at_a_time() -> None:
    rng = np.random.default_rng(0)
    corners, depth = rng.uniform(-3, 15, (30, 2)), rng.uniform(1, 5, 30)
    faces = rng.permutation(30).reshape(10, 3)
    samples, triangles, weights = rasterise(corners, depth, faces, 12)
    found = np.full(144, -1)
    found[samples] = triangles
    expected = slow_rasterise(corners, depth, faces, 12)
    assert (expected >= 0).sum() > 40
    np.testing.assert_array_equal(found.reshape(12, 12), expected)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    # the weights are perspective-correct: points in space at them project onto the sample's centre
    space = np.concatenate([corners * depth[:, None], depth[:, None]], 1)
    hit = np.einsum("nk,nkd->nd", weights, space[faces[triangles]])
    centre = np.stack([samples % 12, samples // 12], 1) + 0.5
    np.testing.assert_allclose(hit[:, :2] / hit[:, 2:], centre, atol=1e-3)


def test_the_same_arguments_give_the_same_bytes(body: Body, standing: np.ndarray) -> None:
    look, shot = draw_look(np.random.default_rng(5)), draw_shot(np.random.default_rng(6))
    first, second = render(body, standing, look, shot, 64), render(body, standing.copy(), look, shot, 64)
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)


def figure(body: Body, vertices: np.ndarray, shot: Shot, size: int = 64) -> np.ndarray:
    """Where the body is: pixels that change when its colours do."""
    black = Outfit(*[(0.02, 0.02, 0.02)] * 5)
    white = Outfit(*[(0.97, 0.97, 0.97)] * 5)
    one, other = (render(body, vertices, Look(outfit=o), shot, size).astype(int) for o in (black, white))
    return np.abs(one - other).max(2) > 30


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_body_is_in_the_frame_with_a_margin(body: Body, standing: np.ndarray, seed: int) -> None:
    shot = replace(draw_shot(np.random.default_rng(seed)), margin=0.08)
    rows, columns = np.nonzero(figure(body, standing, shot))
    free = int(0.08 * 64) - 1
    assert min(rows.min(), columns.min(), 63 - rows.max(), 63 - columns.max()) >= free
    assert max(np.ptp(rows), np.ptp(columns)) > 0.78 * 64


def test_left_is_the_persons_own(body: Body, standing: np.ndarray) -> None:
    """The right arm is out to the side; seen from the front it points to the left edge of the picture."""
    columns = np.nonzero(figure(body, standing, replace(Shot(), shift=(0, 0))).any(0))[0]
    heads = np.nonzero(figure(body, standing, Shot())[:10].any(0))[0]
    middle = heads.mean()
    assert middle - columns.min() > columns.max() - middle + 8


def test_a_symmetric_body_in_symmetric_light_gives_a_symmetric_picture(body: Body) -> None:
    tpose = body.pose(np.zeros((1, 22, 3))).on_floor().vertices[0]
    shot = Shot(azimuth=0, key=0.0)
    picture = render(body, tpose, Look(backdrop=Backdrop(Scenery.STUDIO)), shot, 96).astype(int)
    assert np.abs(picture - picture[:, ::-1]).mean() < 2.0


def test_the_body_darkens_the_floor_below_it_and_nothing_far_away(body: Body, standing: np.ndarray) -> None:
    shot = Shot(camera_height=1.6, margin=0.25)
    with_body = render(body, standing, Look(), shot, 96).astype(int)
    high = render(body, standing + np.array([0, 50, 0], np.float32), Look(), replace(shot, camera_height=51.6), 96)
    rows, _ = np.nonzero(figure(body, standing, shot, 96))
    foot = with_body[rows.max() + 1, 30:66].sum(1)
    assert foot.min() < 0.9 * with_body[rows.max() + 1, [2, -3]].sum(1).mean()
    np.testing.assert_allclose(with_body[2], high[2], atol=60)


def test_light_comes_from_where_the_shot_says(body: Body, standing: np.ndarray) -> None:
    grey = Look(outfit=Outfit(*[(0.5, 0.5, 0.5)] * 5))
    shot = Shot(key=0.9, elevation=20, margin=0.05)
    right, left = (render(body, standing, grey, replace(shot, azimuth=a), 96).astype(int) for a in (80, -80))
    rows, columns = np.nonzero(figure(body, standing, shot, 96))
    change = (right - left).sum(2)[rows, columns]
    middle = np.median(columns[rows < 30])
    torso = (rows > 30) & (rows < 60)
    assert change[torso & (columns > middle + 4)].mean() > change[torso & (columns < middle - 4)].mean() + 60


@pytest.mark.parametrize("scenery", list(Scenery))
def test_every_backdrop_fills_the_picture_without_clipping(body: Body, standing: np.ndarray, scenery: Scenery) -> None:
    picture = render(body, standing, Look(backdrop=Backdrop(scenery)), Shot(), 64)
    assert picture[0].min() > 12 and (picture == 255).all(2).mean() < 0.2
    moved = render(body, standing, Look(backdrop=Backdrop(scenery)), Shot(place=(1.3, 0.7)), 64)
    if scenery is not Scenery.STUDIO:
        assert (moved != picture).mean() > 0.02


def test_normals_point_outwards_and_match_a_loop(body: Body, standing: np.ndarray) -> None:
    normals = vertex_normals(standing, body.faces)
    slow = np.zeros((50, 3))
    for triangle in body.faces:
        if triangle.min() < 50:
            a, b, c = standing[triangle].astype(float)
            for vertex in triangle[triangle < 50]:
                slow[vertex] += np.cross(b - a, c - a)
    np.testing.assert_allclose(normals[:50], slow / np.linalg.norm(slow, axis=1, keepdims=True), atol=1e-3)
    crown = body.canonical[:, 1] > 1.83
    assert (normals[crown, 1] > 0.5).all()


def test_neighbour_mean_against_a_loop() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    matrix = neighbour_mean(faces, 5, extra=np.array([[0, 3]])).toarray()
    around = {0: {1, 2, 3}, 1: {0, 2, 3}, 2: {0, 1, 3}, 3: {0, 1, 2}, 4: set()}
    for vertex, others in around.items():
        for other in range(5):
            assert matrix[vertex, other] == pytest.approx(1 / len(others) if other in others else 0)


def test_areas_weigh_the_mean(body: Body) -> None:
    areas = vertex_areas(body.canonical, body.faces)
    assert 1.5 < areas.sum() < 2.6  # the skin of an adult, with eyes and mouth
    faces = np.array([[0, 1, 2]])
    matrix = neighbour_mean(faces, 3, weights=np.array([1.0, 3.0, 1.0], np.float32)).toarray()
    np.testing.assert_allclose(matrix[0], [0, 0.75, 0.25])


def test_framing_shifts_within_the_free_room(body: Body, standing: np.ndarray) -> None:
    left = _frame(standing, Shot(shift=(-1, 0)), 200).corners
    right = _frame(standing, Shot(shift=(1, 0)), 200).corners
    assert left[:, 0].min() == pytest.approx(0.08 * 200, abs=0.5)
    assert right[:, 0].max() == pytest.approx(0.92 * 200, abs=0.5)


def test_visibility_against_one_point_at_a_time() -> None:
    """A point is shaded by what lies above it in its own cell of the map, straight towards the light."""
    rng = np.random.default_rng(2)
    blockers, points = rng.uniform(-0.3, 0.3, (200, 3)), rng.uniform(-0.3, 0.3, (40, 3))
    up = np.array([[0.0, 0.0, 1.0]])
    shares = visibility(blockers, np.arange(5), points, up)[0]
    side = np.cross(up[0], [0.31, 0.17, 0.93])
    side /= np.linalg.norm(side)
    reach, axes = np.abs(blockers).max() * 1.8 + 0.04, np.stack([side, np.cross(up[0], side)])
    for point, share in zip([*blockers[:5], *points], shares, strict=True):
        cell = np.floor((axes @ point + reach) / 0.04)
        same = [b for b in blockers if (np.floor((axes @ b + reach) / 0.04) == cell).all()]
        above = max((b[2] - point[2] for b in same), default=-np.inf)
        assert share == pytest.approx(np.clip(1.8 - above / 0.04, 0, 1), abs=1e-3)
    assert shares.min() == 0 and shares.max() == 1


def test_light_is_the_same_when_only_some_vertices_are_seen(body: Body, standing: np.ndarray) -> None:
    look, shot = Look(), Shot()
    every, floor = _smooth_light(body, standing, body.faces.T, look, shot)
    front = body.faces[::40].T
    some, same_floor = _smooth_light(body, standing, front, look, shot)
    np.testing.assert_allclose(some[front], every[front], atol=1e-5)
    np.testing.assert_array_equal(floor, same_floor)


@pytest.mark.parametrize("scenery", list(Scenery))
def test_a_pixel_of_the_backdrop_is_about_the_mean_of_many(scenery: Scenery) -> None:
    """One ray for a pixel against 64 narrow ones, painted without light."""

    def painted(side: int) -> np.ndarray:
        steps = ((np.arange(side) + 0.5) / side - 0.5) * 0.5
        y, x = np.meshgrid(-steps, steps, indexing="ij")
        rays = np.stack([x.ravel(), y.ravel() - 0.12, np.full(side * side, -1.0)]).astype(np.float32)
        backdrop, eye = Backdrop(scenery, back=(0.6, 0.7, 0.8)), np.array([0.0, 1.3, 4.5])
        colours = paint_backdrop(backdrop, eye, rays, (0.3, 0.2), 0.5 / side, lambda x, z: np.ones_like(x))
        return colours.reshape(3, side, side) ** (1 / 2.2)

    coarse = painted(96)
    fine = painted(96 * 8).reshape(3, 96, 8, 96, 8).mean((2, 4))
    assert np.abs(coarse - fine).mean() < 0.02
    assert np.abs(coarse.mean((1, 2)) - fine.mean((1, 2))).max() < 0.004
    assert np.abs(coarse.mean(2) - fine.mean(2)).max() < 0.08  # rows: borders of floor, wall and sky lie right
