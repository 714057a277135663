"""Rendered people for training the lifting network: more bodies, cameras, crops and occluders than the benchmark.

Two kinds: *wide* ones with all of that, and *plain* ones in pictures like the benchmark's own.

Nothing of BodyCPR-v1's test part is in them: neither the families that only the test has, nor its clips or the clip of
the validation part, nor its bodies, clothes and scenes, which come from other seeds (a test asserts it).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from autocompose.bodies.kinematics import forward
from autocompose.bodies.motion.mocap import clip_files, distinct_frames, read_clip
from autocompose.bodies.rendering.appearance import Look, Shot, draw_look, draw_shot
from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import project, render
from autocompose.bodies.sampling import limits
from autocompose.bodies.sampling import self_contact as selfhit
from autocompose.bodies.sampling.limits import ARM, INDEX, LEG, LIMITS, SIDES
from autocompose.bodies.sampling.sampler import DEEPEST, FAMILIES, sample
from autocompose.core.records import Split
from autocompose.prepare.bodycpr.bases import MOTION, UNSEEN_FAMILIES, clip_split, turned
from autocompose.prepare.bodycpr.cubes import LAYOUTS
from autocompose.prepare.bodycpr.limb_edits import Base, Plausible, States, compose, draw_states

SEED = 7_2026  # first word of every seed here; the benchmark's own is a small number
GROUP = 8  # pictures of one body
FREE = "free"  # the family of poses whose limbs and trunk are drawn from all that joints allow
MOTION_SHARE, FREE_SHARE = 0.3, 0.3
WIDE_SHARE = 0.5  # of the cameras
SIZES = (96, 112, 128, 128, 128, 160, 192, 256)  # pixels
CLIP_FRAMES = 150  # of one clip
PLAIN_SIZE, SPOILT_SHARE = 128, 0.3  # of plain pictures: pixels, and how many are blurred or otherwise degraded
Kind = Literal["wide", "plain"]


@dataclass(frozen=True)
class Scene:
    """One rendered person.

    :param picture: RGB.
    :param joints: ``(22, 3)`` metres, SMPL-22, scene frame.
    :param coco: ``(17, 2)`` COCO joints in the picture, pixels.
    :param family: of ``sampler.FAMILIES``, ``MOTION`` or ``FREE``.
    :param sequence: clip, or "".
    """

    picture: Image.Image
    joints: np.ndarray
    coco: np.ndarray
    family: str
    sequence: str


def scenes(group: int, kind: Kind = "wide") -> Iterator[Scene]:
    """The ``GROUP`` pictures of one body; the same for the same number and kind."""
    plain = kind == "plain"
    rng = np.random.default_rng([SEED, 1, group] if plain else [SEED, group])
    base, rotations = draw_poses(rng, 0.0 if plain else FREE_SHARE)
    look = draw_look(rng)
    widest = 60.0 if rng.random() < (0.65 if plain else 0.6) else 180.0
    yaw = rng.uniform(-widest, widest, GROUP)
    bodies = shared_body().pose(turned(rotations, yaw), look.phenotype).on_floor()
    photograph = _plain if plain else _photograph
    for vertices, joints, coco in zip(bodies.vertices, bodies.smpl22, bodies.coco17, strict=True):
        picture, points = photograph(vertices, coco, look, rng)
        yield Scene(picture, joints, points, base.family, base.sequence)


def draw_poses(rng: np.random.Generator, free: float = FREE_SHARE) -> tuple[Base, np.ndarray]:
    """A base pose and ``GROUP`` poses ``(GROUP, 22, 3)`` around it, facing +z.

    :param free: share of ``FREE`` ones.
    """
    kind = rng.random()
    if kind < free:
        return _free(rng)
    base = _motion(rng) if kind < free + MOTION_SHARE and train_frames() else _sampled(rng)
    plausible = Plausible(base)
    layout = LAYOUTS[rng.integers(len(LAYOUTS))]
    states: list[States] = [draw_states(base, part, plausible, rng) for part in layout]
    choices = np.stack([rng.integers(len(s.hinge), size=4 * GROUP) for s in states], 1)
    poses = compose(base.rotations, states, choices)
    poses += rng.normal(0, np.radians(2), poses.shape) * (np.arange(22) > 0)[:, None]
    good = poses[plausible(forward(poses)[0])][:GROUP]
    missing = GROUP - len(good)
    return base, np.concatenate([good, np.repeat(base.rotations[None], missing, 0)])


def seen_families() -> list[str]:
    """All families that are not reserved for the test part."""
    return [family for family in FAMILIES if family not in UNSEEN_FAMILIES]


@lru_cache(maxsize=1)
def train_frames() -> dict[str, np.ndarray]:
    """Clip -> rotations ``(T, 22, 3)`` of its distinct frames, facing +z; only clips of the training part."""
    clips = [read_clip(path) for path in clip_files()]
    clips = [clip for clip in clips if clip_split(clip.name) is Split.TRAIN]
    result = {}
    for clip in clips:
        rotations = clip.rotations[distinct_frames(clip, limit=CLIP_FRAMES)]
        result[clip.name] = turned(rotations, -_heading(rotations))
    return result


def _heading(rotations: np.ndarray) -> np.ndarray:
    from autocompose.bodies.pose_frame import yaw_of

    return yaw_of(forward(rotations)[0])


def _motion(rng: np.random.Generator) -> Base:
    name = list(train_frames())[rng.integers(len(train_frames()))]
    frames = train_frames()[name]
    return Base(frames[rng.integers(len(frames))], MOTION, sequence=name, others=frames)


def _sampled(rng: np.random.Generator) -> Base:
    family = seen_families()[rng.integers(len(seen_families()))]
    angles = sample(family, 1, rng, batch=16)
    return Base(limits.to_rotations(angles)[0], family, angles[0])


def _free(rng: np.random.Generator) -> tuple[Base, np.ndarray]:
    """A seen family's poses with limbs, trunk and tilt drawn from all that joints allow; without self-intersection."""
    base = _sampled(rng)
    accepted = np.zeros((0, 22, 3))
    while len(accepted) < GROUP:
        assert base.angles is not None
        angles = np.repeat(base.angles[None], 4 * GROUP, 0)
        for row in angles:
            for side in SIDES:
                for limb, names in (("arm", ARM), ("leg", LEG)):
                    if rng.random() < 0.6:
                        _redraw(row, [f"{side}_{limb}_{name}" for name in names], rng, 1.0)
            if rng.random() < 0.5:
                _redraw(row, ["hinge", "bend", "lean", "twist", "nod", "tilt", "turn"], rng, 0.8)
            if rng.random() < 0.3:
                _redraw(row, ["pitch", "roll"], rng, 1.0)
        rotations = limits.to_rotations(limits.clip(angles))
        accepted = np.concatenate([accepted, rotations[selfhit.depth(forward(rotations)[0]) <= DEEPEST]])
    return replace(base, family=FREE), accepted[:GROUP]


def _redraw(row: np.ndarray, names: list[str], rng: np.random.Generator, share: float) -> None:
    """Draw angles anew in place, from this share of their range around its middle."""
    for name in names:
        low, high = LIMITS[name]
        middle, half = (low + high) / 2, share * (high - low) / 2
        row[INDEX[name]] = middle + half * (2 * rng.beta(1.2, 1.2) - 1)


def draw_camera(rng: np.random.Generator) -> Shot:
    """A camera as in the benchmark, or one higher, lower, nearer or further away."""
    shot = replace(draw_shot(rng), camera_yaw=0.0)
    if rng.random() >= WIDE_SHARE:
        return shot
    return replace(
        shot,
        camera_height=float(rng.uniform(0.1, 3.5)),
        distance=float(rng.uniform(2.2, 9.0)),
        margin=float(rng.uniform(0.02, 0.3)),
        exposure=float(rng.uniform(0.6, 1.4)),
        elevation=float(rng.uniform(20, 85)),
    )


# --- from the body to a degraded picture -----------------------------------------------------------------------------


def _plain(
    vertices: np.ndarray, coco: np.ndarray, look: Look, rng: np.random.Generator
) -> tuple[Image.Image, np.ndarray]:
    shot = replace(draw_shot(rng), camera_yaw=0.0)
    picture = Image.fromarray(render(shared_body(), vertices, look, shot, PLAIN_SIZE))
    return (
        _spoilt(picture, rng) if rng.random() < SPOILT_SHARE else picture,
        project(coco, vertices, shot, PLAIN_SIZE),
    )


def _photograph(
    vertices: np.ndarray, coco: np.ndarray, look: Look, rng: np.random.Generator
) -> tuple[Image.Image, np.ndarray]:
    shot, size = draw_camera(rng), int(rng.choice(SIZES))
    picture = Image.fromarray(render(shared_body(), vertices, look, shot, size))
    points = project(coco, vertices, shot, size)
    if rng.random() < 0.25:
        picture = _hidden(picture, points, rng)
    if rng.random() < 0.2:
        picture, points = _cropped(picture, points, rng)
    return _spoilt(picture, rng), points


def _hidden(picture: Image.Image, points: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Cover the person with one or two noisy patches of colour."""
    pixels = np.array(picture)
    extent = float(np.ptp(points, axis=0).max())
    for _ in range(int(rng.integers(1, 3))):
        mask = Image.new("L", picture.size)
        x, y = points[rng.integers(len(points))] + rng.normal(0, 0.08 * extent, 2)
        wide, high = rng.uniform(0.05, 0.22, 2) * extent
        draw = ImageDraw.Draw(mask)
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x - wide, y - high, x + wide, y + high), fill=255)
        inside = np.array(mask) > 0
        colour = rng.uniform(0, 255, 3) + rng.normal(0, rng.uniform(0, 30), (int(inside.sum()), 3))
        pixels[inside] = np.clip(colour, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


def _cropped(picture: Image.Image, points: np.ndarray, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """Crop up to a third of the width or height on one or two sides."""
    width, height = picture.size
    low, high = np.zeros(2), np.array([width, height], float)
    for _ in range(int(rng.integers(1, 3))):
        axis, amount = int(rng.integers(2)), rng.uniform(0.05, 0.33)
        if rng.random() < 0.5:
            low[axis] = round(amount * (width, height)[axis])
        else:
            high[axis] = round((1 - amount) * (width, height)[axis])
    return picture.crop((int(low[0]), int(low[1]), int(high[0]), int(high[1]))), points - low


def _spoilt(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Apply blur, noise, colour changes and JPEG compression, each at random."""
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.0))))
    pixels = np.asarray(picture, np.float32)
    if rng.random() < 0.4:
        gain, shift = rng.uniform(0.8, 1.2, 3), rng.uniform(-15, 15)
        pixels = pixels * gain.astype(np.float32) + np.float32(shift)
    if rng.random() < 0.2:
        pixels = pixels + rng.normal(0, rng.uniform(2, 10), pixels.shape).astype(np.float32)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(rng.integers(35, 90)))
        picture = Image.open(buffer).convert("RGB")
    return picture
