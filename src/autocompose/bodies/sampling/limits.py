"""Anatomical degrees of freedom: a pose as 29 named angles within healthy ranges, and conversion to rotations.

All angles are degrees, 0 = standing upright, arms hanging, palms to the thighs. Ranges follow the usual goniometry
tables (AAOS normal ranges), a little narrowed because they are combined here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.bodies.skeleton import SMPL22

# name: (lowest, highest)
TRUNK: dict[str, tuple[float, float]] = {
    "pitch": (-95, 100),  # whole body tips forward (+), about the pelvis
    "roll": (-90, 90),  # whole body tips to its own left (+)
    "hinge": (-25, 80),  # pelvis and trunk tip forward over the hips; the legs stay where they are
    "bend": (-30, 55),  # spine curls forward
    "lean": (-35, 35),  # spine bends to the own left
    "twist": (-45, 45),  # shoulders turn to the own left against the pelvis
    "nod": (-45, 45),  # chin down
    "tilt": (-30, 30),  # head to the own left shoulder
    "turn": (-60, 60),  # face to the own left
}
ARM: dict[str, tuple[float, float]] = {
    "raise": (0, 175),  # upper arm away from hanging
    "plane": (-70, 125),  # in which direction: 0 sideways, 90 forward, negative backward
    "roll": (-80, 90),  # upper arm turned outward (+) about itself
    "elbow": (0, 145),
    "wrist": (-20, 85),  # back of the hand towards the forearm (+)
}
LEG: dict[str, tuple[float, float]] = {
    "flex": (-30, 145),  # thigh forward, seen from an upright trunk
    "abduct": (-20, 55),  # thigh outward
    "rotate": (-35, 65),  # knee and toes outward
    "knee": (0, 148),
    "ankle": (-45, 30),  # toes up (+)
}
SIDES = ("left", "right")
_SIGNS = (("left", 1.0), ("right", -1.0))
LIMITS: dict[str, tuple[float, float]] = {
    **TRUNK,
    **{f"{side}_arm_{name}": limit for side in SIDES for name, limit in ARM.items()},
    **{f"{side}_leg_{name}": limit for side in SIDES for name, limit in LEG.items()},
}
ANGLES: tuple[str, ...] = tuple(LIMITS)
INDEX = {name: i for i, name in enumerate(ANGLES)}
_LOW, _HIGH = (np.array([limit[i] for limit in LIMITS.values()], float) for i in (0, 1))
_J = {name: i for i, name in enumerate(SMPL22)}
_SPINE = (("spine1", 0.3), ("spine2", 0.35), ("spine3", 0.35))
_NECK = (("neck", 0.5), ("head", 0.5))
COLLAR_SHARE = 0.3  # of the raise above 60 degrees: the shoulder blade turns with the arm
HIP_FLEXION = 130.0  # between thigh and pelvis
BACKWARD_REACH = 60.0  # an upper arm behind the body cannot be raised further than this


def clip(angles: np.ndarray) -> np.ndarray:
    """Move angles ``(N, 29)`` into their ranges, including those that hold between angles.

    An arm behind the body rises less; hip flexion counts from the pelvis, so a hinged pelvis leaves less of it; a
    straight knee stretches the hamstrings and stops hip flexion near 95 degrees.
    """
    angles = np.clip(angles, _LOW, _HIGH)
    for side in SIDES:
        lift, plane = INDEX[f"{side}_arm_raise"], INDEX[f"{side}_arm_plane"]
        behind = np.clip(-angles[:, plane] / 60, 0, 1)
        angles[:, lift] = np.minimum(angles[:, lift], 175 + behind * (BACKWARD_REACH - 175))
        flex, knee = INDEX[f"{side}_leg_flex"], INDEX[f"{side}_leg_knee"]
        reach = np.minimum(95 + 0.6 * angles[:, knee], HIP_FLEXION) - angles[:, INDEX["hinge"]]
        angles[:, flex] = np.clip(angles[:, flex], LEG["flex"][0], reach)
    return angles


def within(angles: np.ndarray) -> np.ndarray:
    """``(N,)`` bool: ``clip`` would change nothing."""
    return (np.abs(clip(angles) - angles) < 1e-9).all(axis=1)


def mirror_angles(angles: np.ndarray) -> np.ndarray:
    """Exchange left and right of poses ``(N, 29)``."""
    result = angles[:, [INDEX[_other_side(name)] for name in ANGLES]]
    for name in ("roll", "lean", "twist", "tilt", "turn"):
        result[:, INDEX[name]] *= -1
    return result


def _other_side(name: str) -> str:
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


def to_rotations(angles: np.ndarray, legs_only: bool = False) -> np.ndarray:
    """Angles -> local rotations.

    :param angles: ``(N, 29)`` degrees in the order of ``ANGLES``.
    :param legs_only: trunk, neck and arms stay in the T-pose, for whoever looks at the legs only: a third of the time.
    :return: ``(N, 22, 3)`` float64 axis-angle radians in SMPL-22 order, zero = T-pose, scene frame, yaw 0.
    """
    value = {name: angles[:, i] for name, i in INDEX.items()}
    result = np.zeros((len(angles), len(SMPL22), 3))
    hinge = _turn("x", [value["hinge"]])
    result[:, 0] = (_turn("x", [value["pitch"]]) * _turn("z", [-value["roll"]]) * hinge).as_rotvec()
    upper = () if legs_only else (_trunk(value), *_arms(value), *_hands(value))
    for joints, rotations in (_thighs(value), _shins(value), *upper):
        vectors = rotations.as_rotvec().reshape(len(joints), len(angles), 3)  # all poses of the first joint first
        result[:, [_J[joint] for joint in joints]] = vectors.transpose(1, 0, 2)
    return result


def collar_of(arm: Rotation) -> Rotation:
    """The collar's part of N upper-arm rotations, counted from a hanging arm and seen from the chest."""
    hanging = np.array([0.0, -1.0, 0.0])
    upper = arm.apply(hanging)
    axis = np.cross(hanging, upper)
    sine = np.linalg.norm(axis, axis=1)
    lift = np.arctan2(sine, upper @ hanging)
    share = COLLAR_SHARE * np.maximum(lift - np.radians(60), 0)
    return Rotation.from_rotvec(axis * (share / np.maximum(sine, 1e-9))[:, None])


def _turn(axis: str, degrees: Sequence[np.ndarray]) -> Rotation:
    """Turns about one axis; scipy takes as long for a few as for hundreds, so all joints come in one call."""
    return Rotation.from_euler(axis, np.concatenate(degrees)[:, None], degrees=True)


def _trunk(value: dict[str, np.ndarray]) -> tuple[list[str], Rotation]:
    """Joints of spine and neck, and their rotations."""
    joints, forward, left, turned = [], [], [], []
    for chain, names in ((_SPINE, ("bend", "lean", "twist")), (_NECK, ("nod", "tilt", "turn"))):
        for joint, share in chain:
            joints.append(joint)
            forward.append(share * value[names[0]])
            left.append(-share * value[names[1]])
            turned.append(share * value[names[2]])
    return joints, _turn("x", forward) * _turn("z", left) * _turn("y", turned)


def _arms(value: dict[str, np.ndarray]) -> Iterator[tuple[list[str], Rotation]]:
    """Collars and shoulders."""
    axes, rolls, hang = [], [], []
    for side, sign in _SIGNS:
        lift, plane = np.radians(value[f"{side}_arm_raise"]), np.radians(value[f"{side}_arm_plane"])
        axes.append(np.stack([-np.sin(plane), np.zeros_like(plane), sign * np.cos(plane)], -1) * lift[:, None])
        rolls.append(sign * value[f"{side}_arm_roll"])
        hang.append(np.full(len(lift), -90 * sign))  # T-pose -> hanging
    whole = Rotation.from_rotvec(np.concatenate(axes)) * _turn("y", rolls)
    collar = collar_of(whole)
    yield [f"{side}_collar" for side in SIDES], collar
    yield [f"{side}_shoulder" for side in SIDES], collar.inv() * whole * _turn("z", hang)


def _thighs(value: dict[str, np.ndarray]) -> tuple[list[str], Rotation]:
    """Hips."""
    hinge = _turn("x", [value["hinge"]] * 2)
    thigh = (
        _turn("x", [-value[f"{side}_leg_flex"] for side in SIDES])
        * _turn("z", [sign * value[f"{side}_leg_abduct"] for side, sign in _SIGNS])
        * _turn("y", [sign * value[f"{side}_leg_rotate"] for side, sign in _SIGNS])
    )
    return [f"{side}_hip" for side in SIDES], hinge.inv() * thigh


def _shins(value: dict[str, np.ndarray]) -> tuple[list[str], Rotation]:
    """Knees and ankles."""
    bent = [value[f"{side}_leg_knee"] for side in SIDES] + [-value[f"{side}_leg_ankle"] for side in SIDES]
    return [f"{side}_{joint}" for joint in ("knee", "ankle") for side in SIDES], _turn("x", bent)


def _hands(value: dict[str, np.ndarray]) -> Iterator[tuple[list[str], Rotation]]:
    """Elbows and wrists."""
    yield [f"{side}_elbow" for side in SIDES], _turn("y", [-sign * value[f"{side}_arm_elbow"] for side, sign in _SIGNS])
    yield [f"{side}_wrist" for side in SIDES], _turn("z", [sign * value[f"{side}_arm_wrist"] for side, sign in _SIGNS])
