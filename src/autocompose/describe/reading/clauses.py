"""Phrases -> clauses: one verb, the parts it speaks of, and what is said about them.

A new verb, a new subject, a conjunction or punctuation opens the next clause, which inherits what the text leaves out
("raise your left arm, then lower it", "turn your torso to the left and your head to the right").
"""

from __future__ import annotations

from dataclasses import dataclass, field

from autocompose.describe.reading.claims import CENTRAL_PARTS, LIMB_PARTS
from autocompose.describe.reading.lexicon import Verb, word_set
from autocompose.describe.reading.meaning import KEEPING, POSSIBLE
from autocompose.describe.reading.phrases import PLACES, Mod, Noun, limb_of, participle, phrases
from autocompose.describe.reading.tokens import Entity, Token

STATIVE = frozenset(("is", "are", "stuck"))
PAST = frozenset(("was", "were"))
LASTING = frozenset(("still", "yet", "stuck", "currently", "now"))
DUTY = frozenset(("should", "must", "need", "needs", "ought", "will", "would", "can", "could", "now", "end", "ends"))
POSTPOSED = frozenset(("in front", "behind", "ahead", "behind you", "in front of you", "out in front"))
MAX_ITEMS = 16  # parts or goals of one clause; more open the next one, so that reading stays linear
TRUNK_WAYS = frozenset(("forward", "backward", "left", "right", "down", "aside"))
WAYS = frozenset(("left", "right", "forward", "backward", "up", "down"))
OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass
class Clause:
    """One statement.

    :param parts: the parts it speaks about, implied ones included once it is closed.
    :param goals: directions, states and relations in text order.
    :param source: where the parts come from.
    :param was: what adjectives say about the reference.
    :param lends: ``verb`` comes from the clause before.
    :param copula: "is", "are": the clause describes; ``due``: it says how things should be.
    """

    verb: Verb | None = None
    verb_words: str = ""
    parts: list[Entity] = field(default_factory=list)
    goals: list[Mod] = field(default_factory=list)
    source: list[Mod] = field(default_factory=list)
    was: list[tuple[Entity, Mod]] = field(default_factory=list)
    degree: str | None = None
    excess: str = ""
    negated: bool = False
    thing: bool = False
    pronoun: bool = False
    resumed: bool = False
    agent: bool = False  # a person who does it: "have them bend"
    infinitive: bool = False
    rises: bool = False  # comes out of a posture: "now up out of the lunge"
    joined: bool = False
    named: bool = False  # the clause names its parts itself
    lends: bool = False
    added: bool = False  # opened by "and"
    lists: bool = False  # takes over what the borrowed verb says by itself: "raise your left arm, right arm and head"
    kept: bool = False  # "keep the left arm raised"
    acts: bool = False  # its parts stand before the verb: "the left leg comes forward"
    copula: bool = False
    due: bool = False
    lasting: bool = False  # "still", "stuck"
    opens: bool = False  # first of its sentence
    dropped: bool = False

    @property
    def empty(self) -> bool:
        """Nothing was said yet."""
        said = self.verb or self.parts or self.goals or self.source
        return not (said or self.negated or self.thing or self.pronoun)

    @property
    def opposite(self) -> bool:
        """Asks for the opposite: "stop leaning left", "don't lift it so high", "you lift it too far", "squat less"."""
        less = any(mod[:2] == ("dir", "less") for mod in self.goals)
        less = less and self.verb is not None and self.verb.mode != "bend"
        if self.excess in word_set("undo"):
            return self.undone
        return less or self.excess.startswith("too") or (self.negated and bool(self.excess))

    @property
    def undone(self) -> bool:
        """Whether stopping it means the opposite: "stop leaning left", but not "stop pointing ahead"."""
        verb = self.verb or Verb()
        return verb.mode in ("lean", "turn", "bend") or bool({"up", "down"} & set(verb.does))


@dataclass
class Memory:
    """What the next clause may leave out."""

    subjects: list[Entity] | None = None  # None: the last subject was no body part, or there was none
    verb: Verb | None = None
    part: str = ""
    side: str = ""
    way: Mod | None = None  # the last direction, for "the same way"
    limb: str = "-"  # the limb that this sentence speaks of, when it has a side

    def remember(self, entities: list[Entity]) -> None:
        """Take the parts of a clause as the ones spoken of."""
        if entities:
            self.subjects = entities
            self.part, side = entities[-1].part, entities[-1].side
            self.side = side if side in OTHER_SIDE else self.side
            self.limb = limb_of(self.part) if side in OTHER_SIDE else "-"

    def sided(self, side: str) -> None:
        """ "On the right, open the knee": the side of what follows."""
        self.side, self.limb = side, "either"


def clauses(tokens: list[Token]) -> list[Clause]:
    """The clauses of a text."""
    builder = _Builder()
    for phrase in phrases(tokens):
        builder.read(phrase)
    builder.read(Token("end", None, ""))
    return builder.finished


class _Builder:
    """Reads phrases one by one; ``finished`` grows whenever a clause closes."""

    def __init__(self) -> None:
        self.finished: list[Clause] = []
        self.clause = Clause(opens=True)
        self.memory = Memory()
        self.last = Token("end", None, "")  # the phrase before, adverbs and articles left out
        self.words = ""  # of the token before
        self.referred = False  # the clause before ended with a reference
        self.commas = False  # the clause is being closed by a comma

    def read(self, phrase: Token) -> None:
        """Take the next phrase."""
        handler = _HANDLERS.get(phrase.kind)
        if handler is not None:
            handler(self, phrase)
        self.words = phrase.words
        if phrase.kind not in ("det", "degree", "word"):
            self.last = phrase

    def close(self, joined: bool = False, negated: bool = False, opens: bool = False) -> None:
        """Finish the clause, and remember what the next one may inherit."""
        added = self.last.kind == "and"
        clause, self.clause = self.clause, Clause(joined=joined, negated=negated, opens=opens, added=added)
        if clause.opens and clause.empty and not negated:
            self.clause.opens = True
        listed = clause.joined and not (clause.verb or clause.goals or clause.source) and self.referred
        self.referred = bool(clause.goals) and clause.goals[-1].other is not None
        if listed or clause.empty:
            if self.commas:
                self.memory.remember(clause.parts)  # ", and the right arm, stretched wide, folds in"
            return  # "in line with the shoulders and legs"
        clause.named = bool(clause.parts)
        if clause.thing and not clause.opposite and not clause.negated:
            self.memory.subjects, self.memory.verb = None, None
            return
        undone = clause.excess in word_set("undo") and not clause.undone
        if undone or (clause.negated and not clause.opposite):
            self.memory.remember(clause.parts)
            clause.parts = clause.parts or (self.memory.subjects or [])
            clause.dropped = True
        else:
            self._complete(clause)
        self.finished.append(clause)

    def _complete(self, clause: Clause) -> None:
        """Fill in the parts and the verb that a clause leaves out."""
        before = self.finished[-1] if self.finished and not clause.opens else None
        continues = clause.joined and not (clause.parts or clause.verb or clause.pronoun) and before is not None
        parts = clause.parts or (before.parts if continues and before else implied(clause, self.memory, before))
        if clause.verb is None and (clause.joined or not clause.named):
            clause.verb, clause.lends = self.memory.verb, True
            clause.lists = clause.added or before is None or not before.goals
        if clause.named or clause.pronoun:
            self.memory.remember(parts)
        clause.parts = list(parts)
        self.memory.verb = clause.verb

    def resolve(self, noun: Noun, related: bool = False) -> Entity:
        """Fill in "the right one" and "the other arm"."""
        known = self.clause.parts[-1] if self.clause.parts else None
        part, side = noun.entity.part or (known.part if known else self.memory.part), noun.entity.side
        if side == "other":
            last = known.side if known and known.side in OTHER_SIDE else self.memory.side
            side = OTHER_SIDE.get(last, "none")
        elif side == "none" and not related and noun.bare and self._limb_in_sight(known) in (limb_of(part), "either"):
            side = known.side if known else self.memory.side  # "bring your right leg down and put your foot flat"
        elif side == "none" and noun.resumed and noun.bare and self.memory.side:
            side = known.side if known and known.side in OTHER_SIDE else self.memory.side  # "its hand"
        if not related and part == "waist":
            part = "pelvis"
        return Entity(part, "none" if part in CENTRAL_PARTS else side)

    def _limb_in_sight(self, known: Entity | None) -> str:
        """The limb that the sentence speaks of, when it has a side."""
        if known is None:
            return self.memory.limb
        return limb_of(known.part) if known.side in OTHER_SIDE else "-"

    # One method per kind of phrase.

    def _on_noun(self, phrase: Token) -> None:
        clause, noun = self.clause, phrase.value
        part, side = noun.entity
        if _turns(clause) and not part and side in OTHER_SIDE:
            return clause.goals.append(Mod("dir", side, None, side))  # "face the left"
        entity = self.resolve(noun)
        if not entity.part:
            return None
        after_and = self.last.kind == "and"
        if after_and and (clause.acts or clause.source):
            self._subject(entity, joined=True)  # "the left leg comes from behind and the left foot ..."
        elif after_and and clause.goals and clause.goals[-1].other is not None and not clause.verb:
            self._subject(entity, joined=True)
        elif clause.verb is not None and clause.verb.mode == "touch" and (self.last.kind == "with" or not clause.goals):
            self._touch(entity)
        elif self._joins(clause, after_and) and len(clause.parts) < MAX_ITEMS:
            clause.parts.append(entity)
        else:
            self._subject(entity, joined=after_and)
        self.clause.was += [(entity, mod) for mod in noun.was]
        self.clause.resumed = self.clause.resumed or noun.resumed
        return None

    def _joins(self, clause: Clause, after_and: bool) -> bool:
        """Whether a part belongs to the clause's own; else it opens the next clause."""
        if clause.parts:
            return after_and and not clause.goals
        said = clause.pronoun and not (clause.agent and not clause.goals)  # "have them turn their head"
        return not (said or clause.thing or (after_and and clause.goals))

    def _touch(self, entity: Entity) -> None:
        """ "Touch your knee with your hand", "with your hand, touch your knee", "your hand touches your knee"."""
        clause = self.clause
        if self.last.kind == "with":
            clause.goals = clause.goals or [Mod("rel", "near", touched) for touched in clause.parts]
            clause.parts = [entity]
        elif clause.parts or (clause.joined and self.memory.subjects):
            clause.parts = clause.parts or list(self.memory.subjects or ())
            clause.goals.append(Mod("rel", "near", entity))
        else:
            clause.parts.append(entity)

    def _subject(self, entity: Entity, joined: bool) -> None:
        self.close(joined=joined)
        self.clause.parts.append(entity)

    def _on_mod(self, phrase: Token) -> None:
        mod: Mod = phrase.value
        if mod.action == "same":
            if self.memory.way is None:
                return None
            mod = self.memory.way
        if mod.kind == "dir" and mod.action in WAYS:
            self.memory.way = mod
        if mod.words == "behind" and self.clause.verb is not None and self.clause.verb.mode == "bend":
            return None
        if self.last.kind == "noun" and self.last.value.was and mod.words in POSTPOSED and self.clause.verb:
            self.clause.was += [(part, mod) for part in self.clause.parts[-1:]]
            return None  # "straighten the bent right knee in front"
        if mod.action == "apart" and mod.other is not None and not mod.other.part and mod.other.side in OTHER_SIDE:
            known = self.clause.parts[-1].part if self.clause.parts else self.memory.part
            if known in CENTRAL_PARTS:  # "turn your head away from the left"
                return self.clause.goals.append(Mod("dir", OTHER_SIDE[mod.other.side], None, mod.words))
        if mod.other is not None:
            other = self.resolve(Noun(mod.other), related=True)
            if mod.action == "of" and mod.words == "of" and self.last.kind == "verb" and not self.clause.parts:
                self.clause.parts.append(self.resolve(Noun(mod.other)))  # "a slight bend of the elbow"
            if not other.part or mod.action == "of":
                return None
            mod = mod._replace(other=other)
            self.memory.part = self.memory.part or other.part
        if len(self.clause.goals) >= MAX_ITEMS:
            self.close(joined=True)
        self.clause.goals.append(mod)
        return None

    def _on_source(self, phrase: Token) -> None:
        self.clause.rises = self.clause.rises or not phrase.value
        for mod in phrase.value:
            other = None if mod.other is None else self.resolve(Noun(mod.other), related=True)
            self.clause.source.append(mod._replace(other=other))

    def _on_verb(self, phrase: Token) -> None:
        clause, verb = self.clause, phrase.value
        to, after_and = self.last.kind == "to", self.last.kind == "and"
        kept = verb.passive and clause.verb_words.startswith(KEEPING) and not clause.goals and bool(clause.parts)
        if verb.mode == "touch" and to and clause.parts:
            self._subject(clause.parts[-1], joined=True)  # "bring your elbows down to touch your knees"
        elif to and clause.verb is not None and clause.verb.mode == verb.mode == "turn":
            return  # "turn your head to face left" says it once
        elif _postposed(clause, phrase):
            clause.was += [(part, mod) for part in clause.parts for mod in clause.goals]
            clause.goals = []  # "the right leg in front moves back"
        elif all(mod.action in ("less", "more") for mod in clause.goals) and (
            clause.verb is None or (clause.verb.neutral and not (after_and or to or self.last.kind == "by"))
        ):
            clause.agent = clause.pronoun  # "keep bending", "do a quarter turn", "let your hand sink"
        elif not (clause.negated and not clause.parts):
            negated = clause.negated and after_and and phrase.words.endswith("ing")
            self.close(joined=after_and, negated=negated)  # "without bending and twisting"
            self.clause.infinitive = to
        clause = self.clause
        clause.acts, clause.kept = bool(clause.parts), kept
        clause.verb, clause.verb_words = verb, phrase.words
        clause.lasting = clause.lasting or phrase.words in LASTING

    def _on_degree(self, phrase: Token) -> None:
        self.clause.degree = self.clause.degree or phrase.value

    def _on_excess(self, phrase: Token) -> None:
        self.clause.excess = self.clause.excess or phrase.words

    def _on_neg(self, phrase: Token) -> None:
        self.close(negated=True)

    def _on_undo(self, phrase: Token) -> None:
        subjects, self.clause.parts = self.clause.parts, []
        self.close(negated=True)
        self.clause.parts, self.clause.excess = subjects, phrase.words

    def _on_word(self, phrase: Token) -> None:
        words = phrase.words
        if words in DUTY and self.last.kind == "and" and self.clause.goals:
            self.close(joined=True)  # "the arm is overhead and should come down"
        clause = self.clause
        if words == "too" and self.finished and clause.parts and not (clause.verb or clause.goals):
            clause.goals = list(self.finished[-1].goals)  # "turn your head left, your chest too"
        if words in word_set("people") and clause.verb is None:
            clause.thing = False
        clause.copula = clause.copula or words in STATIVE or words in PAST
        clause.due = clause.due or words in DUTY
        clause.lasting = clause.lasting or words in LASTING or words in PAST

    def _on_pron(self, phrase: Token) -> None:
        clause = self.clause
        if clause.parts and not (clause.copula and clause.goals):
            return
        if clause.goals and clause.verb is None:
            self.close()
        self.clause.pronoun = True

    def _on_thing(self, phrase: Token) -> None:
        clause = self.clause
        if not (clause.parts or clause.pronoun or clause.goals or clause.source):
            clause.thing = True

    def _on_comma(self, phrase: Token) -> None:
        clause, self.commas = self.clause, True
        alone = clause.opens and not (clause.verb or clause.parts or clause.pronoun) and len(clause.goals) == 1
        if alone and clause.goals[0].action in OTHER_SIDE and clause.goals[0].words.startswith("on "):
            self.memory.sided(clause.goals[0].action)
            self.clause = Clause(opens=True)
            return
        self.close(joined=True)
        self.commas = False

    def _on_break(self, phrase: Token) -> None:
        self.close()

    def _on_with(self, phrase: Token) -> None:
        verb = self.clause.verb or Verb()
        if (self.clause.parts and verb.mode != "touch") or verb.part not in ("", "foot"):
            self.close()  # "squat with your arms out", but "reach with your hand", "step back with your foot"

    def _on_end(self, phrase: Token) -> None:
        self.close(opens=True)
        self.memory.verb, self.memory.limb = None, "-"


_HANDLERS = {name.removeprefix("_on_"): method for name, method in vars(_Builder).items() if name.startswith("_on_")}


def _turns(clause: Clause) -> bool:
    return clause.verb is not None and clause.verb.mode == "turn" and not clause.parts


def _postposed(clause: Clause, verb: Token) -> bool:
    """Whether a finite verb follows a part and where it is: "the right leg in front moves back"."""
    placed = all(mod.action in PLACES or (mod.kind == "dir" and mod.words in POSTPOSED) for mod in clause.goals)
    finite = not participle(verb) and verb.words.split(" ")[0].endswith("s")
    return bool(clause.parts and clause.goals) and placed and finite and clause.verb is None and not clause.copula


def implied(clause: Clause, memory: Memory, before: Clause | None = None) -> list[Entity]:
    """The parts of a clause that names none."""
    verb, subjects = clause.verb, memory.subjects
    if verb is not None and verb.mode in ("kneel", "kneel-on", "all-fours"):
        return [] if verb.mode == "kneel-on" else [Entity("knee", "both")]
    stays = verb is not None and (
        verb.part == "body" or (verb.mode == "bend" and not TRUNK_WAYS & {m.action for m in clause.goals})
    )
    follows = before is not None and before.acts and clause.added
    if subjects and clause.joined and stays and (follows or _finite(clause.verb_words)):
        return subjects  # "the hand comes off the knee and sinks"
    moved = _moved_by_preposition(clause)
    if moved is not None:
        clause.goals = [mod for mod in clause.goals if mod.other != moved]
        return [moved]
    if clause.infinitive and subjects and all(e.part in LIMB_PARTS for e in subjects):
        return subjects  # "allow your elbows to bend"
    leans = any(entity.part in POSSIBLE["turn-left"] for entity in subjects or ())
    person = verb is not None and verb.mode in ("lean", "look", "turn") and not leans  # "have them lean"
    if (clause.pronoun and not person) or (verb is not None and verb.passive and subjects):
        return subjects or []
    at_joint = any(m.action == "at" and m.other is not None and m.other.part in ("elbow", "knee") for m in clause.goals)
    if verb is not None and verb.mode == "posture" and any(m[:2] == ("dir", "backward") for m in clause.goals):
        return [Entity("pelvis", "none")]  # "sit back"
    if verb is not None and verb.part and not at_joint:
        return [Entity(verb.part, "both" if verb.part == "shoulder" else "none")]
    if verb is None and clause.opens and clause.rises and clause.goals and clause.goals[0].action in ("up", "down"):
        return [Entity("body", "none")]  # "now up out of the lunge"
    if verb is None and subjects is None and any(m.action == "vertical" for m in clause.goals):
        return [Entity("torso", "none")]
    return subjects or []


def _finite(words: str) -> bool:
    """Whether a verb stands in the third person: "sinks"."""
    return words.split(" ")[0].endswith("s") and words.split(" ")[0] not in ("press", "cross")


def _moved_by_preposition(clause: Clause) -> Entity | None:
    """The part in "step back on your left foot" and "bend deeply into your knees"."""
    for mod in clause.goals:
        if clause.verb is not None and mod.other is not None:
            steps = clause.verb.part == mod.other.part == "foot" and mod.action == "near"
            bends = clause.verb.mode == "bend" and mod.action == "closer" and mod.other.part in ("elbow", "knee")
            if steps or bends:
                return mod.other
    return None


def is_imperative(clause: Clause) -> bool:
    """Starts with a verb in its base form: "bring it down"."""
    form = clause.verb_words.split(" ")[0]
    if clause.verb is None or clause.lends or clause.copula or clause.verb.passive:
        return False
    return not participle(Token("verb", clause.verb, form)) and not form.endswith("s")
