"""What a clause claims about one part: the verb's own action and its goals, read in the verb's mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from autocompose.describe.reading.claims import LEANS, LIMB_PARTS, TURNS
from autocompose.describe.reading.lexicon import Verb
from autocompose.describe.reading.phrases import WAY, Mod
from autocompose.describe.reading.tokens import Entity

if TYPE_CHECKING:
    from autocompose.describe.reading.clauses import Clause

PartClaim = tuple[Entity, str, Entity | None] | tuple[Entity, str, Entity | None, str]

BODY = Entity("body", "none")
HEAD = Entity("head", "none")
TORSO = Entity("torso", "none")
TRUNK = frozenset(("torso", "body", "pelvis"))
LIMBS = frozenset(("arm", "leg", "elbow", "knee", "forearm", "shin", "thigh", "upper arm"))
ARM = frozenset(("hand", "arm", "forearm", "elbow", "upper arm"))
SLANTING = frozenset(("arm", "leg", "forearm", "shin", "thigh", "upper arm", "torso", "body"))
KEEPING = ("keep", "kept", "stay", "remain", "hold", "held", "leave", "rest")
BENDABLE = frozenset(("arm", "leg", "elbow", "knee"))
PLAIN = frozenset(("up", "down", "left", "right", "forward", "backward"))
BESIDE_BODY = {"in-front": "forward", "behind": "backward", "above": "up", "below": "down", "left-of": "left",
               "right-of": "right"}  # fmt: skip
OPPOSITE = {"left": "right", "right": "left"}
ALWAYS = {"more-bent": "bend", "less-bent": "straighten", "clockwise": "turn-right", "counterclockwise": "turn-left"}
CLOSENESS = {"in": "closer", "closer": "closer", "together": "closer", "away": "apart", "apart": "apart"}
GAP = {"smaller": "closer", "bigger": "apart"}
SETTING = ("set", "put", "place", "plant", "step")
REACHING = ("extend", "stretch", "reach", "lengthen", "straighten", "unfold", "outstretched")
_LEANING = ("head", "torso", "pelvis", "body", "shoulder")
POSSIBLE = dict.fromkeys(LEANS, _LEANING) | dict.fromkeys(TURNS, (*_LEANING, "foot"))  # action -> parts that can do it
LEAN_OF = {"left": "lean-left", "right": "lean-right", "forward": "lean-forward", "backward": "lean-backward",
           "down": "lean-forward", "up": "lean-backward", "out": "lean-forward"}  # fmt: skip


def actions_of(
    verb: Verb | None, own: bool, entity: Entity, mods: list[Mod], clause: Clause | None = None
) -> Iterator[PartClaim]:
    """The claims about one part that make sense for such a part; parameters as for ``_read``.

    :param clause: where the verb stands; None when only modifiers are read.
    """
    verb = verb or Verb()
    if entity.part in ("palm", "toe"):
        mods = _aimed_mods(verb, own, entity.part, mods)
        entity = Entity("hand" if entity.part == "palm" else "foot", entity.side)
    for part, action, other, *_ in _read(verb, own, entity, mods):
        if part.part in POSSIBLE.get(action, (part.part,)):
            yield part, action, other, _how(verb, own, part, action, mods, clause)


def _aimed_mods(verb: Verb, own: bool, part: str, mods: list[Mod]) -> list[Mod]:
    """Directions of a palm, a sole or toes tell how it is turned, unless it is moved."""
    moved = own and verb.mode == "move" and not verb.passive
    aims = PLAIN | {"in", "out", "aside"} if part == "palm" else PLAIN - OPPOSITE.keys()
    return [mod for mod in mods if mod.kind != "dir" or moved or mod.action not in aims]


def _how(verb: Verb, own: bool, part: Entity, action: str, mods: list[Mod], clause: Clause | None) -> str:  # noqa: C901
    """How a direction is meant: a move, a place, or where something points."""
    reaching = clause is not None and clause.verb_words.startswith(REACHING)
    if action == "straighten":
        return "reach" if reaching and part.part in ("arm", "leg") else "move"
    if action in ("vertical", "horizontal"):
        return "reach" if any(mod.action == action and mod.words.startswith("more") for mod in mods) else "move"
    if action == "closer" and any(mod.action == "near" for mod in mods):
        return "place"
    if action not in PLAIN:
        return "move"
    if clause is not None and (clause.kept or clause.verb_words.startswith(KEEPING)):
        return "place"
    if verb.mode == "support":
        return "place"
    if verb.mode in ("point", "hang") or "stand" in verb.does or (own and reaching) or verb.mode == "posture":
        return "aim"
    words = [mod.words for mod in mods if mod.action == action or mod.kind == "rel"]
    if any(
        "front" in w
        or w.startswith(("behind", "before", "on the ", "on your ", "to the right side", "to the left side", "to your"))
        for w in words
    ):
        return "place"
    if action == "down" and clause is not None and clause.verb_words.startswith(SETTING):
        return "place"
    if action in OPPOSITE and own and verb.passive and verb.mode == "move":
        return "place"  # "the right arm lowered to the right"
    commanded = own and action in verb.does and not verb.passive
    if not commanded and any("floor" in w or "ground" in w for w in words):
        return "place"
    ways = {mod.action for mod in mods if mod.kind == "dir"}
    ways |= set(verb.does)
    if action in ("forward", "backward") and ways & {"up", "overhead"} and part.part in ARM:
        return "place"
    moves = own and clause is not None and not verb.passive and not clause.copula
    if not moves and part.part in ("elbow", "knee"):
        return "aim"
    placed = any(mod.kind == "rel" and mod.other is not None for mod in mods)
    return "place" if placed and not moves else "move"


def _read(verb: Verb, own: bool, entity: Entity, mods: list[Mod]) -> Iterator[PartClaim]:
    """What a frame says about one part.

    :param verb: the frame's verb, possibly inherited from the frame before.
    :param own: the verb stands in this frame; an inherited one only lends its way of reading.
    :param mods: ``(kind, action, reference)`` in text order.
    """
    if entity.part == "chin":
        verb, entity = verb._replace(mode="look", part="head", does=tuple(LEAN_OF.get(d, d) for d in verb.does)), HEAD
        mods = [mod._replace(kind="dir", action="down") if mod.action == "on-floor" else mod for mod in mods]
    if verb.mode == "over-shoulder" and any(mod.kind == "dir" and mod.action in OPPOSITE for mod in mods):
        verb, entity = verb._replace(mode="look"), HEAD
    if verb.mode in ("kneel", "kneel-on", "all-fours", "over-shoulder"):
        yield from _kneel_or_look(verb, entity)
        return
    if verb.mode == "look" and verb.does and entity.part not in ("head", "body"):
        verb = Verb()  # "tuck your elbows in", "a nod to the left foot"
    if entity.part == "weight":
        yield from _weight(mods)
        return
    if own and verb.mode == "support" and entity.part in ("leg", "foot") and entity.side != "both":
        yield _stands_on(entity.side)
        return
    directions = [action for kind, action, _, _ in mods if kind == "dir"]
    bending_trunk = verb.mode == "bend" and entity.part in TRUNK | {"head", "hip"}
    if own or (not mods and not (verb.mode == "bend" and entity.part in ("hand", "foot"))):
        yield from _verb_alone(verb, entity, mods, directions)
    for kind, action, other, words in mods:
        if kind == "dir" and not (action == "in" and any(a == "closer" for _, a, _, _ in mods)):
            yield from _direction(verb, entity, action, directions, bending_trunk)
        if kind == "state":
            yield from _state(verb, entity, action, words, mods)
        if other is not None and verb.mode != "support":
            yield from _relation(verb, entity, action, other, words)


def _stands_on(side: str) -> PartClaim:
    """ "Stand on one leg" lifts the other foot."""
    return (Entity("foot", "none"), "up", None) if side == "none" else (Entity("foot", side), "on-floor", None)


def _kneel_or_look(verb: Verb, entity: Entity) -> Iterator[PartClaim]:
    if verb.mode == "all-fours":
        yield Entity("hand", "both"), "on-floor", None
        yield Entity("knee", "both"), "on-floor", None
    elif verb.mode in ("kneel", "kneel-on"):
        yield entity, "on-floor", None
    elif entity.side in OPPOSITE:
        yield HEAD, f"turn-{entity.side}", None


def _weight(mods: list[Mod]) -> Iterator[PartClaim]:
    pelvis = Entity("pelvis", "none")
    for kind, action, other, _ in mods:
        if kind == "dir" and action in PLAIN:
            yield pelvis, action, None
        elif other is not None and other.side in OPPOSITE:
            yield pelvis, OPPOSITE[other.side] if action == "apart" else other.side, None


def _verb_alone(verb: Verb, entity: Entity, mods: list[Mod], directions: list[str]) -> Iterator[PartClaim]:
    if verb.fallback and any(
        kind == "rel" and action in ("apart", "closer", "near", "behind", "level") for kind, action, _, _ in mods
    ):
        return  # "step the left foot further from the right"
    if verb.fallback and (directions or (verb.mode != "posture" and any(kind == "state" for kind, _, _, _ in mods))):
        return
    for action in verb.does:
        if verb.mode == "bend" and verb.passive and not directions and entity.part in BENDABLE:
            yield entity, "bent", None
        elif verb.mode == "bend":
            yield from _bend(verb, entity, mods, directions)
        elif action in ("open", "shut"):
            together = any(mod.action in ("together", "near") for mod in mods)
            yield from _open(entity, action, "less" in directions, together)
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
        return entity.part in ("body", "pelvis")  # "the left hand sits above the knee" lowers nothing
    if action == "crossed":
        return entity.side == "both" and not directions
    if action == "apart":
        return not {"out", "aside", "beside"} & set(directions)
    if action == "straighten":
        return entity.part in BENDABLE | TRUNK
    return action != "stand" and (action != "lean-forward" or verb.mode != "look" or entity.part == "head")


def _bend(verb: Verb, entity: Entity, mods: list[Mod], directions: list[str]) -> Iterator[PartClaim]:
    if entity.part in TRUNK | {"head", "hip"}:
        if not {"left", "right", "backward", "forward", "down", "aside", "beside"} & set(directions):
            yield _trunk(entity), "lean-forward", None
        return
    does = "straighten" if "less" in directions else "bend"
    at = [
        other
        for _, action, other, _ in mods
        if action in ("at", "near?") and other is not None and other.part in ("elbow", "knee")
    ]
    if at:
        yield _joint(at[0], entity), does, None
    elif not any(kind == "state" and action == "right-angle" for kind, action, _, _ in mods):
        yield entity, does, None


def _trunk(entity: Entity) -> Entity:
    return entity if entity.part == "head" else TORSO


def _joint(joint: Entity, limb: Entity) -> Entity:
    """ "bent at the elbow" said of the left arm is the left elbow."""
    return joint if joint.side in OPPOSITE or limb.side == "none" else Entity(joint.part, limb.side)


def _open(entity: Entity, action: str, less: bool, together: bool) -> Iterator[PartClaim]:
    if entity.part in ("elbow", "knee") and not (entity.side == "both" and together):
        yield entity, "straighten" if (action == "open") != less else "bend", None
    elif entity.side == "both":
        yield entity, "apart" if action == "open" else "closer", BODY if entity.part == "arm" else None


def _direction(
    verb: Verb, entity: Entity, action: str, directions: list[str], bending_trunk: bool
) -> Iterator[PartClaim]:
    part = entity.part
    if action in ALWAYS:
        yield entity, ALWAYS[action], None
    elif action == "overhead":
        yield entity, "above", HEAD
    elif bending_trunk or (verb.mode == "lean" and part not in LIMBS):
        sideways = action == "down" and {"left", "right"} & set(directions)
        if action in LEAN_OF and not sideways:
            yield _trunk(entity) if bending_trunk else entity, LEAN_OF[action], None
    elif (verb.mode in ("turn", "look") and part not in LIMBS) or (
        verb.mode == "point" and part in ("foot", "torso", "head", "body")
    ):
        yield from _turned(verb, entity, action)
    elif verb.mode != "turn" and not (
        verb.mode == "point" and part == "hand"
    ):  # joints do not tell how a limb is turned
        yield from _moved(verb, entity, action, directions)


def _moved(verb: Verb, entity: Entity, action: str, directions: list[str]) -> Iterator[PartClaim]:
    """Directions as moves."""
    if action == "up" and _only_stresses(verb, entity.part):
        return  # "close your hands up together", "fold the elbow up"
    if action in PLAIN:
        yield entity, action, None
    elif action in ("aside", "beside", "out"):
        lowered = action == "beside" and ("down" in directions or "down" in verb.does)  # "lower your arm to the side"
        if not lowered and not (action == "out" and "straighten" in verb.does):
            yield from _out(entity, directions, outward=action == "out")
    elif action == "in" and verb.mode == "bend":
        return  # "curl your elbow in"
    elif action in CLOSENESS:
        each_other = entity.side == "both" and action not in ("in", "away")
        if each_other or action != "together":
            yield entity, CLOSENESS[action], None if each_other else BODY
    elif action in GAP and verb.mode == "gap" and entity.side == "both":
        yield entity, GAP[action], None


def _only_stresses(verb: Verb, part: str) -> bool:
    """Whether "up" after the verb means "completely", as in "fold the elbow up"."""
    if part in ("elbow", "knee") and (verb.mode == "bend" or "straighten" in verb.does):
        return True
    return bool({"open", "shut"} & set(verb.does))


def _turned(verb: Verb, entity: Entity, action: str) -> Iterator[PartClaim]:
    if action in ("left", "right"):
        yield entity, f"turn-{action}", None
    elif action == "around" and verb.mode == "turn":
        yield entity, "turn-around", None
    elif action in ("out", "aside", "in") and entity.side in OPPOSITE:
        yield entity, f"turn-{OPPOSITE[entity.side] if action == 'in' else entity.side}", None
    elif (
        entity.part in ("head", "torso", "pelvis")
        and action in LEAN_OF
        # "the chest faces forward" leans nothing
        and not (action == "forward" and (verb.mode in ("look", "point") or entity.part != "head"))
    ):
        yield entity, LEAN_OF[action], None


def _out(entity: Entity, directions: list[str], outward: bool) -> Iterator[PartClaim]:
    if set(directions) & {"left", "right", "forward", "backward", "apart"}:
        return
    if entity.part in ("torso", "pelvis"):
        if outward:
            yield entity, "forward" if entity.part == "torso" else "backward", None
    elif entity.part != "head":
        yield entity, "apart", BODY


def _state(verb: Verb, entity: Entity, action: str, words: str, mods: list[Mod]) -> Iterator[PartClaim]:
    part = entity.part
    if part == "body" and action in ("straight", "vertical"):
        yield TORSO, "vertical", None
    elif words == WAY and (verb.mode == "point" or ({"up", "down"} & set(verb.does) and verb.mode != "hang")):
        return  # "raise it straight up", "pointing straight ahead"
    elif action in ("bent", "straight", "right-angle"):
        squared = action == "bent" and any(a == "right-angle" for _, a, _, _ in mods)
        if part in BENDABLE | {"torso"} and verb.mode != "turn" and not squared:
            joint = [
                other for _, a, other, _ in mods if a == "at" and other is not None and other.part in ("elbow", "knee")
            ]
            yield _joint(joint[0], entity) if joint else entity, action, None
    elif action == "horizontal" and words == "level" and part not in SLANTING:
        return  # "both hands level" compares them
    elif action == "near" and entity.side != "both":
        return
    elif action == "crossed":
        yield Entity(entity.part, "both"), action, None
    else:
        yield entity, action, None


def _relation(verb: Verb, entity: Entity, action: str, other: Entity, words: str) -> Iterator[PartClaim]:  # noqa: C901 (one rule a line)
    waist = other.part == "waist"
    other = {
        "waist": Entity("pelvis", "none"),
        "chin": HEAD,
        "palm": Entity("hand", other.side),
        "toe": Entity("foot", other.side),
    }.get(other.part, other)
    if action in ("at", "of"):
        return
    if action == "apart" and (verb.mode in ("turn", "look") or (entity.part == "head" and verb.mode == "lean")):
        return
    if verb.mode == "lean" and action == "closer" and words in ("towards", "toward") and entity.part in LIMB_PARTS:
        return  # "tilt the arm towards the head"
    if (
        verb.mode == "lean"
        and entity.part == "head"
        and action in ("near", "near?", "closer")
        and other.side in OPPOSITE
    ):
        yield entity, f"lean-{other.side}", None
        return
    if verb.mode == "look" or (verb.mode in ("turn", "lean", "bend") and action in ("near", "near?")):
        return
    if "crossed" in verb.does and action == "above":
        return  # "cross your left foot over the right"
    if entity.part in TRUNK and (action in ("near", "near?", "closer", "apart") or verb.mode == "bend"):
        return
    if waist and action == "near?":
        yield entity, "level", other  # "down to the waist" is a height
    elif action == "level" and other == Entity("hip", "none"):
        yield entity, "level", Entity("pelvis", "none")  # "at hip height"
    elif action == "across":
        if other.part != "body":
            yield entity, "in-front", other
    elif other.part == "body" and action == "below":
        yield entity, action, Entity("pelvis", "none")  # "underneath your body"
    elif other.part == "body" and action in BESIDE_BODY:
        yield entity, BESIDE_BODY[action], None
    elif other.part == "body" and action in ("near", "near?"):
        yield entity, "closer", other
    else:
        yield entity, "near" if action == "near?" else action, other
