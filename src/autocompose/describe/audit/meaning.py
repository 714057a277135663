"""What a frame claims about one part: the verb's own action and its modifiers, read in the verb's mode."""

from __future__ import annotations

from collections.abc import Iterator

from autocompose.describe.audit.claims import DISTANCES
from autocompose.describe.audit.lexicon import Verb
from autocompose.describe.audit.tokens import Entity

Mod = tuple[str, str, Entity | None]
Found = tuple[Entity, str, Entity | None]

BODY = Entity("body", "none")
HEAD = Entity("head", "none")
TORSO = Entity("torso", "none")
JOINT_OF = {"arm": "elbow", "forearm": "elbow", "upper arm": "elbow", "hand": "elbow",
            "leg": "knee", "shin": "knee", "thigh": "knee", "foot": "knee"}  # fmt: skip
TRUNK = frozenset(("torso", "body", "pelvis"))
LIMBS = frozenset(("arm", "leg", "elbow", "knee", "forearm", "shin", "thigh", "upper arm"))
BENDABLE = frozenset(("arm", "leg", "elbow", "knee"))
PLAIN = frozenset(("up", "down", "left", "right", "forward", "backward"))
BESIDE_BODY = {"in-front": "forward", "behind": "backward", "above": "up", "below": "down", "left-of": "left",
               "right-of": "right"}  # fmt: skip
OPPOSITE = {"left": "right", "right": "left"}
ALWAYS = {"more-bent": "bend", "less-bent": "straighten", "clockwise": "turn-right", "counterclockwise": "turn-left"}
CLOSENESS = {"in": "closer", "closer": "closer", "away": "apart", "apart": "apart"}
GAP = {"smaller": "closer", "bigger": "apart"}
LEAN_OF = {"left": "lean-left", "right": "lean-right", "forward": "lean-forward", "backward": "lean-backward",
           "down": "lean-forward", "up": "lean-backward", "out": "lean-forward"}  # fmt: skip


def actions_of(verb: Verb | None, own: bool, entity: Entity, mods: list[Mod]) -> Iterator[Found]:
    """The claims about one part.

    :param verb: the frame's verb, possibly inherited from the frame before.
    :param own: the verb stands in this frame; an inherited one only lends its way of reading.
    :param mods: ``(kind, action, reference)`` in text order.
    """
    verb = verb or Verb()
    if entity.part == "chin":
        verb, entity = verb._replace(mode="look", part="head", does=tuple(LEAN_OF.get(d, d) for d in verb.does)), HEAD
    if verb.mode in ("kneel", "over-shoulder"):
        yield from _kneel_or_look(verb, entity)
        return
    if entity.part == "weight":
        yield from _weight(mods)
        return
    directions = [action for kind, action, _ in mods if kind == "dir"]
    bending_trunk = verb.mode == "bend" and entity.part in TRUNK | {"head", "hip"}
    if own or not mods:
        yield from _verb_alone(verb, entity, mods, directions)
    for kind, action, other in mods:
        if kind == "dir":
            yield from _direction(verb, entity, action, directions, bending_trunk)
        elif kind == "state":
            yield from _state(verb, entity, action, mods)
        elif other is not None and verb.mode != "support":
            yield from _relation(verb, entity, action, other)


def _kneel_or_look(verb: Verb, entity: Entity) -> Iterator[Found]:
    if verb.mode == "kneel":
        yield entity, "on-floor", None
    elif entity.side in OPPOSITE:
        yield HEAD, f"turn-{entity.side}", None


def _weight(mods: list[Mod]) -> Iterator[Found]:
    pelvis = Entity("pelvis", "none")
    for kind, action, other in mods:
        if kind == "dir" and action in PLAIN:
            yield pelvis, action, None
        elif other is not None and other.side in OPPOSITE:
            yield pelvis, other.side, None


def _verb_alone(verb: Verb, entity: Entity, mods: list[Mod], directions: list[str]) -> Iterator[Found]:
    if verb.fallback and (directions or any(kind == "state" for kind, _, _ in mods)):
        return
    for action in verb.does:
        if verb.mode == "bend" and verb.passive and not directions and entity.part in BENDABLE:
            yield entity, "bent", None
        elif verb.mode == "bend":
            yield from _bend(verb, entity, mods, directions)
        elif action in ("open", "shut"):
            yield from _open(entity, action, "less" in directions)
        elif action == "upright":
            yield TORSO, "vertical", None
        elif action == "straighten" and verb.passive and not directions:
            if entity.part in BENDABLE | {"torso"}:
                yield entity, "straight", None  # "should be fully extended"
        elif _sensible(action, verb, entity, directions):
            yield entity, action, None


def _sensible(action: str, verb: Verb, entity: Entity, directions: list[str]) -> bool:
    """Whether a verb's own action means anything for the part ("extend your hand" straightens nothing)."""
    if verb.mode == "posture":
        return entity.part in TRUNK  # "the left hand sits above the knee" lowers nothing
    if action == "crossed":
        return entity.side == "both" and not directions
    if action == "apart":
        return not {"out", "aside"} & set(directions)
    if action == "straighten":
        return entity.part in BENDABLE | TRUNK
    return action != "stand" and (action != "lean-forward" or verb.mode != "look" or entity.part == "head")


def _bend(verb: Verb, entity: Entity, mods: list[Mod], directions: list[str]) -> Iterator[Found]:
    if entity.part in TRUNK | {"head", "hip"}:
        if not {"left", "right", "backward", "forward", "down"} & set(directions):
            yield _trunk(entity), "lean-forward", None
        return
    does = "straighten" if "less" in directions else "bend"
    at = [
        other
        for _, action, other in mods
        if action in ("at", "near?") and other is not None and other.part in ("elbow", "knee")
    ]
    if at:
        yield _joint(at[0], entity), does, None
    elif not any(kind == "state" and action == "right-angle" for kind, action, _ in mods):
        yield entity, does, None


def _trunk(entity: Entity) -> Entity:
    return entity if entity.part == "head" else TORSO


def _joint(joint: Entity, limb: Entity) -> Entity:
    """ "bent at the elbow" said of the left arm is the left elbow."""
    return joint if joint.side in OPPOSITE or limb.side == "none" else Entity(joint.part, limb.side)


def _open(entity: Entity, action: str, less: bool) -> Iterator[Found]:
    if entity.part in ("elbow", "knee"):
        yield entity, "straighten" if (action == "open") != less else "bend", None
    elif entity.side == "both":
        yield entity, "apart" if action == "open" else "closer", None


def _direction(verb: Verb, entity: Entity, action: str, directions: list[str], bending_trunk: bool) -> Iterator[Found]:
    part = entity.part
    if action in ALWAYS:
        yield entity, ALWAYS[action], None
    elif action == "overhead":
        yield entity, "above", HEAD
    elif bending_trunk or (verb.mode == "lean" and part not in LIMBS):
        if action in LEAN_OF:
            yield _trunk(entity) if bending_trunk else entity, LEAN_OF[action], None
    elif verb.mode in ("turn", "look") and part not in LIMBS:
        yield from _turned(verb, entity, action)
    elif action == "up" and _only_stresses(verb, part):
        return  # "close your hands up together", "fold the elbow up"
    elif action in PLAIN:
        yield entity, action, None
    elif action == "aside" or (action == "out" and "straighten" not in verb.does):
        yield from _out(entity, directions)
    elif action in CLOSENESS:
        yield entity, CLOSENESS[action], None if entity.side == "both" and action in DISTANCES else BODY
    elif action in GAP and verb.mode == "gap" and entity.side == "both":
        yield entity, GAP[action], None


def _only_stresses(verb: Verb, part: str) -> bool:
    """Whether "up" after the verb means "completely", as in "fold the elbow up"."""
    if part in ("elbow", "knee") and (verb.mode == "bend" or "straighten" in verb.does):
        return True
    return bool({"open", "shut"} & set(verb.does))


def _turned(verb: Verb, entity: Entity, action: str) -> Iterator[Found]:
    if action in ("left", "right"):
        yield entity, f"turn-{action}", None
    elif action == "around" and verb.mode == "turn":
        yield entity, "turn-around", None
    elif action in ("out", "aside", "in") and entity.side in OPPOSITE:
        yield entity, f"turn-{OPPOSITE[entity.side] if action == 'in' else entity.side}", None
    elif entity.part in ("head", "torso", "pelvis") and action in LEAN_OF:
        yield entity, LEAN_OF[action], None


def _out(entity: Entity, directions: list[str]) -> Iterator[Found]:
    if set(directions) & {"left", "right", "forward", "backward", "apart"}:
        return
    if entity.part == "torso":
        yield entity, "forward", None
    elif entity.part == "pelvis":
        yield entity, "backward", None
    elif entity.part != "head":
        yield entity, "apart", BODY


def _state(verb: Verb, entity: Entity, action: str, mods: list[Mod]) -> Iterator[Found]:
    part = entity.part
    if part == "body" and action in ("straight", "vertical"):
        yield TORSO, "vertical", None
    elif action in ("bent", "straight", "right-angle"):
        squared = action == "bent" and any(a == "right-angle" for _, a, _ in mods)
        if part in BENDABLE | {"torso"} and verb.mode != "turn" and not squared:
            joint = [
                other for _, a, other in mods if a == "at" and other is not None and other.part in ("elbow", "knee")
            ]
            yield _joint(joint[0], entity) if joint else entity, action, None
    elif action == "near" and entity.side != "both":
        return
    elif action == "crossed":
        yield Entity(entity.part, "both"), action, None
    else:
        yield entity, action, None


def _relation(verb: Verb, entity: Entity, action: str, other: Entity) -> Iterator[Found]:
    waist = other.part == "waist"
    other = {"waist": Entity("pelvis", "none"), "chin": HEAD}.get(other.part, other)
    if action in ("at", "of") or (verb.mode in ("turn", "lean", "look", "bend") and action in ("near", "near?")):
        return
    if entity.part in TRUNK and action in ("near", "near?", "closer", "apart"):
        return
    if waist and action == "near?":
        yield entity, "level", other  # "down to the waist" is a height
    elif action == "across":
        if other.part != "body":
            yield entity, "in-front", other
    elif other.part == "body" and action in BESIDE_BODY:
        yield entity, BESIDE_BODY[action], None
    elif other.part == "body" and action in ("near", "near?"):
        yield entity, "closer", other
    else:
        yield entity, "near" if action == "near?" else action, other
