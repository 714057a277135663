"""Groups of statements -> clauses."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from autocompose.describe.rules.bank import Bank, Phrase, load_bank, pick
from autocompose.describe.rules.statement import Group, Statement

SAID = {"upperarm": "upper arm"}
PLURAL = {"foot": "feet"}
PRONOUNS = ("it", "they")
FORCE_AND, DROP_VERB = 0.5, 0.8  # same-subject lists after a neutral verb, from PoseFix


@dataclass(slots=True)
class Clause:
    """Either actions (verb, -ing form, rest) joined by ``joins``, or a claim about the goal pose in two forms.

    :param claim: a full clause: "your left knee should be straight".
    :param attached: the same as a supplement: "with your left knee straight"; "" where that reads badly.
    :param about: the part it speaks about: "your left knee".
    :param again: what follows the first verb when the sentence has just named that part: "it forward"; "" where a
        pronoun does not fit.
    """

    acts: list[tuple[str, str, str]] = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    claim: str = ""
    attached: str = ""
    about: str = ""
    again: str = ""

    def imperative(self, before: str = "") -> str:
        """``raise your left hand and move it forward``; ``raise it ...`` when ``before`` is the part itself."""
        return self._join(0, before)

    def gerund(self, before: str = "") -> str:
        """``raising your left hand and moving it forward``."""
        return self._join(1, before)

    def _join(self, form: int, before: str) -> str:
        text = ""
        for i, act in enumerate(self.acts):
            rest = self.again if i == 0 and self.again and before == self.about else act[2]
            said = f"{act[form]} {rest}" if act[form] else rest
            text = said if i == 0 else f"{text}{self.joins[i - 1]}{said}"
        return text


class Speaker:
    """Turns groups into clauses with one bank, one determiner and one random generator.

    :param simple: no pronouns and no "the other" (the simplified variant of PoseFix).
    :param observe: tell changes as states too ("your left hand ends up higher").
    """

    def __init__(self, bank: str, determiner: str, rng: Random, simple: bool, observe: bool) -> None:
        self.banks: tuple[Bank, Bank] = (load_bank(bank, determiner, False), load_bank(bank, determiner, True))
        self.determiner, self.rng, self.simple, self.observe = determiner, rng, simple, observe
        self._frame = -1
        self._opened = False

    def clauses(self, group: Group) -> list[Clause]:
        """One or two clauses: first what to do, then how it should end."""
        opens, self._opened = not self._opened, True
        head = group.statements[0]
        if group.shared == "predicate":
            x, many, statements = series([self.noun(s) for s in group.statements]), True, [head]
        else:
            x, many, statements = (self.noun(head) if head.part else ""), head.many, list(group.statements)
        if self.observe:
            return [self._claim(statements, x, many, opens)]
        doing = [s for s in statements if not s.absolute]
        being = [s for s in statements if s.absolute]
        result = [self._acts(doing, x, many)] if doing else []
        if being:
            x = x if self.simple or not doing else PRONOUNS[many]
            result.append(self._claim(being, x, many, opens and not doing))
        return result

    def noun(self, s: Statement) -> str:
        """The subject with its determiner: ``your left hand``, ``both feet``."""
        reciprocal = s.kind == "gap" or s.category in ("is_joined", "is_shoulder_width")
        return noun(s.side, s.part, self.determiner, 1.0 if reciprocal else self.rng.random())

    def second(self, s: Statement) -> str:
        """The second part; the same part of the other side may be "the other" or "the left one"."""
        if s.part2 == s.part and s.side2 != s.side and "both" not in (s.side, s.side2) and not self.simple:
            choice = self.rng.random()
            if choice < 0.6:
                return "the other one" if choice < 0.3 else f"the {s.side2} one"
        return noun(s.side2, s.part2, self.determiner, 1.0)

    def _acts(self, doing: list[Statement], x: str, many: bool) -> Clause:
        rng, clause = self.rng, Clause(about=x)
        pronoun = "them" if many else "it"
        previous: Phrase | None = None
        for i, s in enumerate(doing):
            words = self.banks[many].wordings[s.category]
            if previous is None:
                previous = words.draw(rng)
                clause.acts.append(self._act(previous, x))
                if previous.direct and not self.simple:
                    clause.again = previous.rest(pronoun)
                continue
            neutral = bool(previous.direction) and bool(words.neutral)
            join = " and " if i == len(doing) - 1 or (neutral and rng.random() < FORCE_AND) else ", "
            if neutral and not self.simple and rng.random() < DROP_VERB:
                previous = words.draw(rng, neutral=True)
                clause.acts.append(("", "", previous.direction))
                join = " and "
            else:
                previous = words.draw(rng, direct=not self.simple)
                clause.acts.append(self._act(previous, x if self.simple or not previous.direct else pronoun))
            clause.joins.append(join)
        return clause

    def _act(self, phrase: Phrase, x: str) -> tuple[str, str, str]:
        if not phrase.names_part and self.determiner == "their":
            return "have", "having", f"them {phrase.verb} {phrase.after}"
        return phrase.verb, phrase.verbing, phrase.rest(x)

    def _claim(self, being: list[Statement], x: str, many: bool, opens: bool) -> Clause:
        bank, rng = self.banks[many], self.rng
        if being[0].category in bank.clauses:
            return Clause(claim=pick(pick(bank.clauses[being[0].category], rng), rng))
        states = []
        for s in being:
            state = pick(pick(bank.states[s.category], rng), rng)
            states.append(state.replace("{y}", self.second(s)) if "{y}" in state else state)
        state = series(states)
        pronoun = x in PRONOUNS
        frames = bank.subject_frames if pronoun else bank.opening_frames if opens else bank.frames
        number = int(rng.random() * len(frames))
        if number == self._frame:  # not the same twice in a row
            number = (number + 1) % len(frames)
        self._frame, frame = number, frames[number]
        claim = frame.replace("{x}", x).replace("{state}", state)
        return Clause(claim=claim, attached="" if pronoun or len(states) > 1 else f"with {x} {state}", about=x)


def series(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def noun(side: str, part: str, determiner: str, choice: float) -> str:
    """A body part with its determiner.

    :param choice: in [0, 1]; for plural parts below 0.4 "both hands", below 0.55 "both your hands", else "your hands".
    """
    said = SAID.get(part, part)
    if side != "both":
        return f"{determiner} {side} {said}" if side else f"{determiner} {said}"
    plural = PLURAL.get(part, said + "s")
    if choice < 0.4:
        return f"both {plural}"
    return f"both {determiner} {plural}" if choice < 0.55 and determiner != "the" else f"{determiner} {plural}"
