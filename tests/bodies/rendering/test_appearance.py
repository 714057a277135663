import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autocompose.bodies.rendering.appearance import Outfit, Scenery, draw_look, draw_shot
from autocompose.bodies.rendering.body import Body
from autocompose.bodies.rendering.clothing import cut_out, dress, linear, paint, vertex_normals


def test_a_seed_decides_everything() -> None:
    assert draw_look(np.random.default_rng(3)) == draw_look(np.random.default_rng(3))
    assert draw_look(np.random.default_rng(3)) != draw_look(np.random.default_rng(4))
    assert draw_shot(np.random.default_rng(3)) == draw_shot(np.random.default_rng(3))


def test_all_families_are_drawn() -> None:
    rng = np.random.default_rng(0)
    assert {draw_look(rng).backdrop.scenery for _ in range(100)} == set(Scenery)


@given(seed=st.integers(0, 2**32))
def test_draws_stay_plausible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    look, shot = draw_look(rng), draw_shot(rng)
    assert all(0 <= value <= 1 for value in vars(look.phenotype).values())
    assert look.phenotype.age > 0.6  # adults
    outfit = look.outfit
    for colour in (outfit.skin, outfit.hair, outfit.shirt, outfit.bottoms, outfit.shoes):
        assert all(0 < channel < 1 for channel in colour)
    assert np.abs(np.subtract(outfit.shirt, outfit.bottoms)).max() >= 0.15
    assert 0 < shot.margin < 0.2 and 10 < shot.elevation < 90 and abs(shot.camera_yaw) <= 10


@given(x=st.floats(-0.9, 0.9), y=st.floats(0, 1.9), z=st.floats(-0.2, 0.3), seed=st.integers(0, 99))
def test_clothes_are_the_same_on_both_sides(x: float, y: float, z: float, seed: int) -> None:
    outfit = draw_look(np.random.default_rng(seed)).outfit
    here, there = paint(np.array([[x, y, z], [-x, y, z]], np.float32), outfit)
    np.testing.assert_allclose(here, there, rtol=0.2)  # strands of hair may differ a little


def test_each_part_has_its_colour(body: Body) -> None:
    outfit = Outfit(sleeve=0.4, leg=0.5)
    places = {
        "hair": (0, 1.84, 0.05), "skin": (0.6, 1.47, 0.05), "shirt": (0, 1.3, 0.1), "bottoms": (0.1, 0.8, 0.1),
        "shoes": (0.12, 0.05, 0.1),
    }  # fmt: skip
    for part, place in places.items():
        np.testing.assert_allclose(
            paint(np.array([place], np.float32), outfit)[0], linear(getattr(outfit, part)), rtol=0.1
        )
    # nothing but hands, arms, shins, neck and head is bare
    bare = np.isclose(paint(body.canonical, outfit), linear(outfit.skin)).all(1)
    x, y = np.abs(body.canonical[bare, 0]), body.canonical[bare, 1]
    assert ((x > 0.35) | (y > 1.5) | ((y > 0.14) & (y < 0.52))).all()


def test_dressing_moves_little_and_leaves_hands_and_face(body: Body) -> None:
    naked = body.canonical.astype(float)
    moved = np.linalg.norm(dress(naked, body.faces, cut_out(body.faces, naked)) - naked, axis=1)
    assert moved.max() < 0.06
    face = (naked[:, 2] > 0.16) & (naked[:, 1] > 1.63) & (naked[:, 1] < 1.74)
    assert moved[face].max() < 1e-9 and moved[np.abs(naked[:, 0]) > 0.72].max() < 1e-9


def test_dressing_against_moving_every_vertex_in_every_round(body: Body) -> None:
    vertices = body.canonical.astype(float)
    cut = cut_out(body.faces, vertices)
    softness, links = np.zeros((len(vertices), 1)), np.zeros((len(vertices), 3))
    softness[cut.soft] = cut.softness
    slow = vertices.copy()
    for _ in range(24):
        links[cut.soft] = cut.links @ slow
        slow += softness * (links - slow)
    slow += cut.thickness * vertex_normals(slow, body.faces)
    np.testing.assert_array_equal(dress(vertices, body.faces, cut), slow)
