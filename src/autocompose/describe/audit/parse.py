"""Free English -> claims.

The text is cut into frames: one verb, the parts it speaks of, and what is said about them. A new verb, a new subject,
a conjunction or punctuation opens the next frame, which inherits what the text leaves out ("raise your left arm, then
lower it", "turn your torso to the left and your head to the right"). Negated frames and frames about things that are no
body part give no claim.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autocompose.describe.audit.claims import CENTRAL_PARTS, LIMB_PARTS, Claim
from autocompose.describe.audit.lexicon import Verb, word_set
from autocompose.describe.audit.meaning import POSSIBLE, actions_of
from autocompose.describe.audit.tokens import Entity, Token, tokens

_PAIRS = (
    ("up", "down"), ("forward", "backward"), ("left", "right"), ("bend", "straighten"), ("closer", "apart"),
    ("lean-forward", "lean-backward"), ("lean-left", "lean-right"), ("turn-left", "turn-right"),
)  # fmt: skip
OPPOSITE = dict(_PAIRS) | {second: first for first, second in _PAIRS}
del OPPOSITE["straighten"]  # "don't stretch it out so far" asks for no bend


@dataclass
class Frame:
    """One statement: verb, subjects, and modifiers ``(kind, action, reference)`` in text order."""

    verb: Verb | None = None
    entities: list[Entity] = field(default_factory=list)
    mods: list[tuple[str, str, Entity | None]] = field(default_factory=list)
    degree: str | None = None
    negated: bool = False
    thing: bool = False
    pronoun: bool = False
    agent: bool = False  # a person who does it: "have them bend"
    excess: str = ""
    infinitive: bool = False
    joined: bool = False

    @property
    def opposite(self) -> bool:
        """Asks for the opposite: "stop leaning left", "don't lift it so high", "you lift it too far", "squat less"."""
        less = ("dir", "less", None) in self.mods and self.verb is not None and self.verb.mode != "bend"
        return less or self.excess.startswith("too") or (self.negated and bool(self.excess))

    @property
    def empty(self) -> bool:
        """Nothing was said yet."""
        return not (self.verb or self.entities or self.mods or self.negated or self.thing or self.pronoun)


def parse(text: str) -> list[Claim]:
    """The claims of a text in text order, without repetitions.

    >>> [str(c) for c in parse("kick your left foot out in front of you")]
    ['left foot: forward']
    """
    reader = _Reader()
    for token in tokens(text):
        reader.read(token)
    reader.read(Token("end", None, ""))
    return _distinct(reader.claims)


class _Reader:
    """Reads tokens one by one; ``claims`` grows whenever a frame closes."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.frame = Frame()
        self.subjects: list[Entity] | None = None  # None: the last subject was no body part, or there was none
        self.verb: Verb | None = None
        self.last_part = ""
        self.last_side = ""
        self.limb = "-"  # the limb that this sentence speaks of, when it has a side
        self.relation: str | None = None
        self.source = False  # after "from": how it was before
        self.referred = False  # the frame before ended with a reference
        self.after_and = False
        self.after_with = False
        self.words = self.kind = ""

    def read(self, token: Token) -> None:
        """Take the next token."""
        if self.words == "her" and token.kind not in ("entity", "level", "word", "degree", "thing"):
            self._settle_her()
        self.source = (
            token.kind not in ("entity", "comma", "end", "break", "neg") and token.words != "to" and self.source
        )
        handler = getattr(self, f"_on_{token.kind}", None)
        if handler is not None and not (self.source and token.kind in ("verb", "dir", "state")):
            handler(token)
        self.source = self.source or token.words == "from"
        self.words, self.kind = token.words, token.kind
        if token.kind not in ("det", "degree", "word"):
            self.after_and = token.kind == "and"
            self.after_with = token.kind == "with"
            if token.kind not in ("rel", "side"):
                self.relation = None

    def _settle_her(self) -> None:
        """ "Behind her" is a direction when no noun follows."""
        direction = {"behind": "backward", "in-front": "forward"}.get(self.relation or "")
        if direction:
            self.frame.mods.append(("dir", direction, None))
            self.relation = None

    def close(self, joined: bool = False, negated: bool = False) -> None:
        """Finish the frame: emit its claims and remember what the next one may inherit."""
        frame, self.frame = self.frame, Frame(joined=joined, negated=negated)
        listed = frame.joined and not (frame.verb or frame.mods) and self.referred
        self.referred = bool(frame.mods) and frame.mods[-1][2] is not None
        if listed:
            return  # "in line with the shoulders and legs"
        if frame.opposite:
            self.claims += [replace(c, action=OPPOSITE[c.action]) for c in self._claims(frame) if c.action in OPPOSITE]
            return
        if frame.empty or frame.negated:
            if frame.entities:
                self._remember(frame.entities)
            return
        if frame.thing:
            self.subjects, self.verb = None, None
            return
        self.claims += self._claims(frame)

    def _claims(self, frame: Frame) -> list[Claim]:
        own_verb = frame.verb
        entities = frame.entities or self._implied(frame)
        if frame.verb is None and (frame.joined or not frame.entities):
            frame.verb = self.verb
        found = [
            Claim(
                entity.part,
                entity.side,
                action,
                other.part if other else None,
                other.side if other else "none",
                frame.degree,
            )
            for entity in entities
            for entity, action, other in actions_of(frame.verb, own_verb is not None, entity, frame.mods)
        ]
        if frame.entities or frame.pronoun:
            self._remember(entities)
        self.verb = frame.verb
        return found

    def _implied(self, frame: Frame) -> list[Entity]:
        """The parts of a frame that names none."""
        verb = frame.verb
        if verb is not None and verb.mode in ("kneel", "kneel-on", "all-fours"):
            return [] if verb.mode == "kneel-on" else [Entity("knee", "both")]
        moved = _moved_by_preposition(frame)
        if moved is not None:
            frame.mods = [mod for mod in frame.mods if mod[2] != moved]
            return [moved]
        if frame.infinitive and self.subjects and all(e.part in LIMB_PARTS for e in self.subjects):
            return self.subjects  # "allow your elbows to bend"
        person = verb is not None and verb.mode in ("lean", "look", "turn") and not self._leans()  # "have them lean"
        if (frame.pronoun and not person) or (verb is not None and verb.passive and self.subjects):
            return self.subjects or []
        at_joint = any(action == "at" and e is not None and e.part in ("elbow", "knee") for _, action, e in frame.mods)
        if verb is not None and verb.mode == "posture" and ("dir", "backward", None) in frame.mods:
            return [Entity("pelvis", "none")]  # "sit back"
        if verb is not None and verb.part and not at_joint:
            return [Entity(verb.part, "both" if verb.part == "shoulder" else "none")]
        if verb is None and self.subjects is None and any(a == "vertical" for _, a, _ in frame.mods):
            return [Entity("torso", "none")]
        return self.subjects or []

    def _leans(self) -> bool:
        """Whether the parts spoken of can lean and turn; otherwise "them" is the person."""
        return any(entity.part in POSSIBLE["turn-left"] for entity in self.subjects or ())

    def _remember(self, entities: list[Entity]) -> None:
        if entities:
            self.subjects = entities
            self.last_part, side = entities[-1].part, entities[-1].side
            self.last_side = side if side in ("left", "right") else self.last_side
            self.limb = _limb(self.last_part) if side in ("left", "right") else "-"

    def _resolve(self, entity: Entity) -> Entity:
        """Fill in "the right one" and "the other arm"."""
        known = self.frame.entities[-1] if self.frame.entities else None
        part = entity.part or (known.part if known else self.last_part)
        side = entity.side
        if side == "other":
            last = known.side if known and known.side in ("left", "right") else self.last_side
            side = {"left": "right", "right": "left"}.get(last, "none")
        elif side == "none" and self._same_limb(known, part):
            side = known.side if known else self.last_side  # "bring your right leg down and put your foot flat"
        if self.relation is None and part == "waist":
            part = "pelvis"
        return Entity(part, "none" if part in CENTRAL_PARTS else side)

    def _same_limb(self, known: Entity | None, part: str) -> bool:
        """Whether a part without a side belongs to the limb spoken of; not with an adjective, as in "the back knee"."""
        return self.relation is None and self.kind != "word" and self._limb_in_sight(known) == _limb(part)

    def _limb_in_sight(self, known: Entity | None) -> str:
        """The limb that the sentence speaks of, when it has a side."""
        if known is None:
            return self.limb
        return _limb(known.part) if known.side in ("left", "right") else "-"

    # One method per token kind.

    def _on_entity(self, token: Token) -> None:
        frame = self.frame
        part, side = token.value
        turning = frame.verb is not None and frame.verb.mode == "turn" and self.relation is None and not frame.entities
        if turning and not part and side in ("left", "right"):
            return frame.mods.append(("dir", side, None))  # "face the left"
        entity = self._resolve(token.value)
        if not entity.part:
            return None
        if self.relation is not None:
            frame.mods.append(("rel", self.relation, entity))
            self.last_part = self.last_part or entity.part
        elif self.after_and and frame.mods and frame.mods[-1][2] is not None and not frame.verb:
            self._subject(entity, joined=True)
        elif frame.verb is not None and frame.verb.mode == "touch" and (self.after_with or not frame.mods):
            self._touch(entity)
        elif self._joins(frame):
            frame.entities.append(entity)
        else:
            self._subject(entity, joined=self.after_and)

    def _joins(self, frame: Frame) -> bool:
        """Whether a part belongs to the frame's subjects; else it opens the next frame."""
        if frame.entities:
            return self.after_and and not frame.mods
        told = frame.pronoun and not (frame.agent and not frame.mods)  # "have them turn their head"
        return not (told or frame.thing or (self.after_and and frame.mods))

    def _touch(self, entity: Entity) -> None:
        """ "Touch your knee with your hand", "with your hand, touch your knee", "your hand touches your knee"."""
        frame = self.frame
        if self.after_with:
            frame.mods = frame.mods or [("rel", "near", touched) for touched in frame.entities]
            frame.entities = [entity]
        elif frame.entities or (frame.joined and self.subjects):
            frame.entities = frame.entities or list(self.subjects or ())
            frame.mods.append(("rel", "near", entity))
        else:
            frame.entities.append(entity)

    def _subject(self, entity: Entity, joined: bool) -> None:
        self.close(joined=joined)
        self.frame.entities.append(entity)

    def _on_level(self, token: Token) -> None:
        if self.relation == "of":
            return  # "from shoulder height"
        self.frame.mods.append(("rel", "level", self._resolve(token.value)))

    def _on_verb(self, token: Token) -> None:
        frame, verb = self.frame, token.value
        if verb.mode == "touch" and self.relation == "near?" and frame.entities:
            self._subject(frame.entities[-1], joined=True)  # "bring your elbows down to touch your knees"
            self.frame.verb = verb
        elif self.relation == "near?" and frame.verb is not None and frame.verb.mode == verb.mode == "turn":
            self.relation = None  # "turn your head to face left" says it once
        elif not frame.mods and (
            frame.verb is None or (frame.verb.neutral and not self.after_and and not self.relation)
        ):
            frame.verb = verb  # "keep bending", "do a quarter turn", "let your hand sink"
            frame.agent = frame.pronoun
        elif frame.negated and not frame.entities:
            frame.verb = verb
        else:
            negated = frame.negated and self.after_and and token.words.endswith("ing")
            self.close(joined=self.after_and, negated=negated)  # "without bending and twisting"
            self.frame.verb = verb
            self.frame.infinitive = self.relation == "near?"

    def _on_dir(self, token: Token) -> None:
        self.frame.mods.append(("dir", token.value, None))

    def _on_state(self, token: Token) -> None:
        if self.words == "back" and self.frame.mods:
            self.frame.mods.pop()  # "back on the floor" is no direction
        self.frame.mods.append(("state", token.value, None))

    def _on_rel(self, token: Token) -> None:
        walks = self.frame.verb is not None and self.frame.verb.part == "foot"
        if token.words in ("to", "on", "onto", "against") and self.words == "back" and self.frame.mods and not walks:
            self.frame.mods.pop()  # "back to the hip" is no direction
        if token.value == "of" and self.kind == "word" and self.relation not in (None, "of"):
            return  # "against the inside of your knee"
        if self.relation == "of" and self.words == "from":
            return  # "from above the head"
        on_a_part = bool(self.frame.mods) and self.frame.mods[-1][1] in ("near", "near?") and not self.after_and
        if on_a_part and token.value in ("above", "below", "behind", "in-front"):
            self.relation = "of"  # "on the thighs just above the knees"
        else:
            self.relation = token.value

    def _on_degree(self, token: Token) -> None:
        self.frame.degree = self.frame.degree or token.value

    def _on_excess(self, token: Token) -> None:
        self.frame.excess = self.frame.excess or token.words

    def _on_neg(self, token: Token) -> None:
        self.close(negated=True)

    def _on_undo(self, token: Token) -> None:
        subjects = self.frame.entities
        self.frame.entities = []
        self.close(negated=True)
        self.frame.entities, self.frame.excess = subjects, token.words

    def _on_word(self, token: Token) -> None:
        if token.words in word_set("people") and self.frame.verb is None:
            self.frame.thing = False

    def _on_pron(self, token: Token) -> None:
        frame = self.frame
        if self.relation is not None or frame.entities:
            return
        if frame.mods and frame.verb is None:
            self.close()
        self.frame.pronoun = True

    def _on_thing(self, token: Token) -> None:
        frame = self.frame
        if self.relation is None and not frame.entities and not frame.pronoun and not frame.mods:
            self.frame.thing = True

    def _on_comma(self, token: Token) -> None:
        self.close(joined=True)

    def _on_break(self, token: Token) -> None:
        self.close()

    def _on_with(self, token: Token) -> None:
        frame = self.frame
        verb = frame.verb or Verb()
        if (frame.entities and verb.mode != "touch") or verb.part not in ("", "foot"):
            self.close()  # "squat with your arms out", but "reach with your hand", "step back with your foot"

    def _on_end(self, token: Token) -> None:
        self.close()
        self.verb, self.limb = None, "-"


def _moved_by_preposition(frame: Frame) -> Entity | None:
    """The part in "step back on your left foot" and "bend deeply into your knees"."""
    for _, action, other in frame.mods:
        if frame.verb is not None and other is not None:
            steps = frame.verb.part == other.part == "foot" and action == "near"
            bends = frame.verb.mode == "bend" and action == "closer" and other.part in ("elbow", "knee")
            if steps or bends:
                return other
    return None


def _limb(part: str) -> str:
    return "arm" if part in LIMB_PARTS[:6] else "leg" if part in LIMB_PARTS else ""


def _distinct(claims: list[Claim]) -> list[Claim]:
    """Drop repetitions, claims without a side beside the same one with a side, and "to the body" beside "together"."""
    kept: list[Claim] = []
    for claim in claims:
        same = [k for k in kept if replace(k, degree=None) == replace(claim, degree=None)]
        if not same:
            kept.append(claim)
        elif claim.degree and not same[0].degree:
            kept[kept.index(same[0])] = claim
    keys = {(c.part, c.action, c.side) for c in kept}
    plain = {(c.part, c.action, c.side) for c in kept if c.other is None}
    return [
        c
        for c in kept
        if not (c.side == "none" and any((c.part, c.action, s) in keys for s in ("left", "right", "both")))
        and not (c.other == "body" and (c.part, c.action, c.side) in plain)
    ]
