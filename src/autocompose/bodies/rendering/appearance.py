"""The appearance of a picture of a body apart from its pose.

A ``Look`` (body shape, outfit, backdrop) is drawn once for a cluster of cubes, so that it cannot tell two candidates
apart; a ``Shot`` (light, camera, place on the backdrop) is drawn anew for every picture. Both come from a numpy
generator and nothing else, so a seed decides them. Colours are sRGB, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

Colour = tuple[float, float, float]


class Scenery(str, Enum):
    """Backdrop families."""

    STUDIO = "studio"
    ROOM = "room"
    TILES = "tiles"
    GYM = "gym"
    MEADOW = "meadow"
    BEACH = "beach"


@dataclass(frozen=True)
class Phenotype:
    """Shape of a body; every value runs from 0 to 1.

    :param gender: 0 male, 1 female.
    :param age: 0.67 is a young adult, 1 old; children are below.
    """

    gender: float = 0.5
    age: float = 0.7
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5


@dataclass(frozen=True)
class Outfit:
    """Plain sportswear, the same on both sides of the body.

    :param sleeve: 0 none, 1 down to the wrist. :param leg: 0 short shorts, 1 down to the ankle.
    :param hairline: 0 high on the forehead and short at the neck, 1 low and long.
    """

    skin: Colour = (0.85, 0.66, 0.55)
    hair: Colour = (0.20, 0.13, 0.09)
    shirt: Colour = (0.20, 0.42, 0.62)
    bottoms: Colour = (0.16, 0.17, 0.20)
    shoes: Colour = (0.92, 0.92, 0.90)
    sleeve: float = 0.35
    leg: float = 1.0
    hairline: float = 0.5


@dataclass(frozen=True)
class Backdrop:
    """Floor and background; ``wall`` metres behind the person where the family has one."""

    scenery: Scenery = Scenery.STUDIO
    floor: Colour = (0.75, 0.74, 0.72)
    back: Colour = (0.80, 0.80, 0.80)
    wall: float = 2.5
    turn: float = 0.0  # degrees, of the floor's pattern


@dataclass(frozen=True)
class Look:
    """The look that a cluster of cubes shares."""

    phenotype: Phenotype = field(default_factory=Phenotype)
    outfit: Outfit = Outfit()
    backdrop: Backdrop = Backdrop()


@dataclass(frozen=True)
class Shot:
    """The light and camera of a single picture.

    :param azimuth: degrees from the camera to the light, positive to the right of the picture.
    :param elevation: degrees of the light above the floor. :param key: share of the direct light in all light.
    :param warmth: -1 bluish to 1 yellowish. :param exposure: brightness factor, 1 is neutral.
    :param camera_yaw: degrees the camera stands to the right of the person's front. :param camera_height: metres.
    :param distance: metres from camera to person. :param margin: free share of the frame on the tighter axis, per side.
    :param shift: place of the body in the frame, share of its free room, -1 to 1 for x and y.
    :param place: metres by which the person stands elsewhere on the floor.
    """

    azimuth: float = -40.0
    elevation: float = 50.0
    key: float = 0.55
    warmth: float = 0.1
    exposure: float = 1.0
    camera_yaw: float = 0.0
    camera_height: float = 1.2
    distance: float = 4.5
    margin: float = 0.08
    shift: tuple[float, float] = (0.0, 0.0)
    place: tuple[float, float] = (0.0, 0.0)


_SKIN: tuple[Colour, ...] = (
    (0.93, 0.77, 0.68), (0.87, 0.68, 0.57), (0.79, 0.58, 0.45), (0.65, 0.45, 0.33), (0.53, 0.37, 0.29),
    (0.43, 0.30, 0.24),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = (
    (0.09, 0.07, 0.06), (0.16, 0.11, 0.08), (0.30, 0.19, 0.12), (0.45, 0.30, 0.18), (0.70, 0.55, 0.34),
    (0.55, 0.54, 0.53), (0.42, 0.18, 0.10),
)  # fmt: skip
_SHIRT: tuple[Colour, ...] = (
    (0.86, 0.86, 0.84), (0.15, 0.34, 0.56), (0.70, 0.18, 0.18), (0.14, 0.46, 0.40), (0.90, 0.66, 0.20),
    (0.33, 0.24, 0.48), (0.30, 0.32, 0.35), (0.85, 0.46, 0.42), (0.46, 0.62, 0.76), (0.42, 0.55, 0.28),
)  # fmt: skip
_BOTTOMS: tuple[Colour, ...] = (
    (0.12, 0.13, 0.16), (0.18, 0.22, 0.34), (0.36, 0.37, 0.40), (0.28, 0.16, 0.22), (0.16, 0.28, 0.28),
    (0.55, 0.52, 0.48),
)  # fmt: skip
_SHOES: tuple[Colour, ...] = (
    (0.90, 0.90, 0.88),
    (0.15, 0.15, 0.16),
    (0.75, 0.30, 0.20),
    (0.30, 0.45, 0.62),
    (0.62, 0.62, 0.60),
)
# scenery -> (floor colours, background colours)
_PALETTE: dict[Scenery, tuple[tuple[Colour, ...], tuple[Colour, ...]]] = {
    Scenery.STUDIO: (
        ((0.78, 0.78, 0.78), (0.62, 0.66, 0.70), (0.76, 0.70, 0.63), (0.60, 0.66, 0.60), (0.70, 0.62, 0.66)), ()
    ),
    Scenery.ROOM: (
        ((0.62, 0.45, 0.30), (0.50, 0.35, 0.24), (0.72, 0.58, 0.42)),
        ((0.86, 0.84, 0.80), (0.70, 0.76, 0.78), (0.78, 0.74, 0.64), (0.66, 0.70, 0.62)),
    ),
    Scenery.TILES: (
        ((0.80, 0.79, 0.76), (0.62, 0.60, 0.57), (0.70, 0.55, 0.45)), ((0.84, 0.86, 0.86), (0.62, 0.72, 0.74))
    ),
    Scenery.GYM: (
        ((0.30, 0.38, 0.48), (0.34, 0.36, 0.38), (0.32, 0.44, 0.38)), ((0.76, 0.76, 0.74), (0.66, 0.68, 0.72))
    ),
    Scenery.MEADOW: (
        ((0.36, 0.47, 0.20), (0.42, 0.50, 0.26), (0.46, 0.47, 0.25)), ((0.50, 0.68, 0.88), (0.66, 0.75, 0.84))
    ),
    Scenery.BEACH: (((0.82, 0.73, 0.56), (0.76, 0.69, 0.58)), ((0.48, 0.68, 0.86), (0.72, 0.78, 0.84))),
}  # fmt: skip


def draw_look(rng: np.random.Generator) -> Look:
    """A plausible adult, an outfit and a backdrop."""
    return Look(draw_phenotype(rng), draw_outfit(rng), draw_backdrop(rng))


def draw_phenotype(rng: np.random.Generator) -> Phenotype:
    """An adult without extremes; two thirds are clearly male or clearly female, the rest in between."""
    gender = rng.uniform(0.0, 0.25) if rng.random() < 0.5 else rng.uniform(0.75, 1.0)
    if rng.random() < 1 / 3:
        gender = rng.uniform(0.3, 0.7)
    return Phenotype(
        gender=float(gender),
        age=float(rng.uniform(0.62, 0.85)),
        muscle=float(rng.uniform(0.35, 0.8)),
        weight=float(rng.uniform(0.3, 0.75)),
        height=float(rng.uniform(0.35, 0.65)),
        proportions=float(rng.uniform(0.4, 0.8)),
    )


def draw_outfit(rng: np.random.Generator) -> Outfit:
    """Colours from small palettes, varied a little; shirt and bottoms never alike."""
    shirt, bottoms = _pick(rng, _SHIRT), _pick(rng, _BOTTOMS)
    while np.abs(np.subtract(shirt, bottoms)).max() < 0.15:
        bottoms = _pick(rng, _BOTTOMS)
    return Outfit(
        skin=_pick(rng, _SKIN),
        hair=_pick(rng, _HAIR, 0.02),
        shirt=shirt,
        bottoms=bottoms,
        shoes=_pick(rng, _SHOES),
        sleeve=float(rng.choice([0.12, 0.4, 0.9]) + rng.uniform(-0.05, 0.05)),
        leg=float(rng.choice([0.2, 0.5, 1.0]) + rng.uniform(-0.08, 0.0)),
        hairline=float(rng.random()),
    )


def draw_backdrop(rng: np.random.Generator) -> Backdrop:
    """One of the families with colours that suit it."""
    scenery = list(Scenery)[rng.integers(len(Scenery))]
    floors, backs = _PALETTE[scenery]
    floor = _pick(rng, floors)
    back = _pick(rng, backs) if backs else floor
    return Backdrop(scenery, floor, back, wall=float(rng.uniform(1.6, 4.0)), turn=float(rng.uniform(-12, 12)))


def draw_shot(rng: np.random.Generator) -> Shot:
    """Light, camera and place for one picture."""
    return Shot(
        azimuth=float(rng.uniform(-75, 75)),
        elevation=float(rng.uniform(30, 70)),
        key=float(rng.uniform(0.35, 0.65)),
        warmth=float(rng.uniform(-0.3, 0.7)),
        exposure=float(rng.uniform(1.0, 1.3)),
        camera_yaw=float(rng.uniform(-8, 8)),
        camera_height=float(rng.uniform(0.9, 1.7)),
        distance=float(rng.uniform(3.6, 6.0)),
        margin=float(rng.uniform(0.05, 0.11)),
        shift=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.6, 0.6))),
        place=(float(rng.uniform(-3, 3)), float(rng.uniform(-3, 3))),
    )


def _pick(rng: np.random.Generator, palette: Sequence[Colour], spread: float = 0.04) -> Colour:
    red, green, blue = np.clip(palette[int(rng.integers(len(palette)))] + rng.uniform(-spread, spread, 3), 0.02, 0.97)
    return float(red), float(green), float(blue)
