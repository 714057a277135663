"""Groups of statements -> English sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from autocompose.describe.rules.bank import Bank, Phrase
from autocompose.describe.rules.statement import Group, Statement

SAID = {"upperarm": "upper arm", "foot": "foot"}
PLURAL = {"foot": "feet"}
CONNECTORS = ("while", ",", ".", "and", "then")  # equally likely, from PoseFix
LONGEST = 3  # clauses in a sentence
FORCE_AND, DROP_VERB = 0.5, 0.8  # same-subject lists after a neutral verb, from PoseFix


@dataclass(slots=True)
class Clause:
    """Either actions (verb, -ing form, rest) or a claim about the goal pose in two forms."""

    acts: list[tuple[str, str, str]] = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    claim: str = ""
    attached: str = ""

    def imperative(self) -> str:
        """``raise your left hand and move it forward``."""
        return self._join(0)

    def gerund(self) -> str:
        """``raising your left hand and moving it forward``."""
        return self._join(1)

    def _join(self, form: int) -> str:
        text = ""
        for i, act in enumerate(self.acts):
            said = f"{act[form]} {act[2]}" if act[form] else act[2]
            text = said if i == 0 else f"{text}{self.joins[i - 1]}{said}"
        return text


def series(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def noun(side: str, part: str, determiner: str, rng: Random, bare: bool = False) -> str:
    """A body part with its determiner: ``your left hand``, ``both feet``; ``bare`` avoids "both"."""
    said = SAID.get(part, part)
    if side == "both":
        plural = PLURAL.get(part, said + "s")
        choice = 1.0 if bare else rng.random()
        if choice < 0.4:
            return f"both {plural}"
        return f"both {determiner} {plural}" if choice < 0.55 and determiner != "the" else f"{determiner} {plural}"
    return f"{determiner} {side} {said}" if side else f"{determiner} {said}"


def second(s: Statement, determiner: str, rng: Random, simple: bool) -> str:
    """The second part; the same part of the other side may be "the other" or just "the left one"."""
    if s.part2 == s.part and s.side2 != s.side and "both" not in (s.side, s.side2) and not simple:
        choice = rng.random()
        if choice < 0.6:
            return "the other" if choice < 0.3 else f"the {s.side2} one"
    return noun(s.side2, s.part2, determiner, rng, bare=True)


def clauses(group: Group, bank: Bank, rng: Random, simple: bool) -> list[Clause]:
    """One or two clauses: first what to do, then how it should end."""
    doing = [s for s in group.statements if not s.absolute]
    being = [s for s in group.statements if s.absolute]
    if group.shared == "predicate":
        names = [noun(s.side, s.part, bank.determiner, rng) for s in group.statements]
        head = group.statements[0]
        if head.absolute:
            return [_claim([head], series(names), True, bank, rng, simple)]
        return [_acts([head], series(names), True, bank, rng, simple)]
    head = group.statements[0]
    bare = head.kind == "gap" or head.category in ("is_joined", "is_shoulder_width")
    x = noun(head.side, head.part, bank.determiner, rng, bare) if head.part else ""
    result = [_acts(doing, x, head.many, bank, rng, simple)] if doing else []
    if being:
        if doing and not simple:
            x = "they" if head.many else "it"
        result.append(_claim(being, x, head.many, bank, rng, simple))
    return result


def _acts(doing: list[Statement], x: str, many: bool, bank: Bank, rng: Random, simple: bool) -> Clause:
    clause = Clause()
    pronoun = "them" if many else "it"
    previous: Phrase | None = None
    for i, s in enumerate(doing):
        words = bank.wordings(s.category, many)
        if previous is None:
            previous = words.draw(rng)
            clause.acts.append(_act(previous, x, bank))
            continue
        last = i == len(doing) - 1
        neutral = bool(previous.direction) and bool(words.neutral)
        join = " and " if last or (neutral and rng.random() < FORCE_AND) else ", "
        if neutral and not simple and rng.random() < DROP_VERB:
            phrase = words.draw(rng, neutral=True)
            clause.acts.append(("", "", phrase.direction))
            join = " and "
        else:
            phrase = words.draw(rng, direct=not simple)
            clause.acts.append(_act(phrase, x if simple or not phrase.direct else pronoun, bank))
        clause.joins.append(join)
        previous = phrase
    return clause


def _act(phrase: Phrase, x: str, bank: Bank) -> tuple[str, str, str]:
    if not phrase.names_part and bank.determiner == "their":
        return "have", "having", f"them {phrase.verb} {phrase.rest(x)}"
    return phrase.verb, phrase.verbing, phrase.rest(x)


def _claim(being: list[Statement], x: str, many: bool, bank: Bank, rng: Random, simple: bool) -> Clause:
    states = []
    for s in being:
        options = bank.states[s.category]
        state = options[int(rng.random() * len(options))]
        states.append(state.replace("{y}", second(s, bank.determiner, rng, simple)) if "{y}" in state else state)
    state = series(states)
    frames = bank.oblige if x not in ("it", "they") else bank.oblige[:4]
    frame = frames[int(rng.random() * len(frames))]
    claim = frame.format(x=x, state=state, need="need" if many else "needs", **{"is": "are" if many else "is"})
    return Clause(claim=claim, attached="" if x in ("it", "they") else f"with {x} {state}")


def sentences(parts: list[Clause], rng: Random) -> str:
    """Join clauses with the five connectors; claims open a sentence of their own or hang on with "with"."""
    done: list[str] = []
    text, size, ing = "", 0, False
    pending: list[int] = []  # where commas of a series stand, until an "and" closes it

    def close() -> None:
        nonlocal text, size, ing
        if text:
            done.append(text[0].upper() + text[1:] + ".")
        text, size, ing = "", 0, False

    joined: list[tuple[str, str]] = []
    for clause in parts:
        if clause.claim:
            if joined and size < LONGEST and clause.attached and rng.random() < 0.3:
                text = _series(joined) + " " + clause.attached
                joined = []
                close()
            else:
                text = _series(joined)
                close()
                joined = []
                text = clause.claim
                close()
            continue
        connector = CONNECTORS[int(rng.random() * len(CONNECTORS))] if joined else "."
        if size >= LONGEST or (connector == "while" and ing):
            connector = "."
        if connector == ".":
            text = _series(joined)
            close()
            joined = []
        ing = connector == "while" or (ing and connector == "and")
        joined.append((connector, clause.gerund() if ing else clause.imperative()))
        size += 1
    text = _series(joined)
    close()
    del pending
    return " ".join(done)


def _series(joined: list[tuple[str, str]]) -> str:
    text = ""
    for i, (connector, said) in enumerate(joined):
        following = joined[i + 1][0] if i + 1 < len(joined) else ""
        if i == 0:
            text = said
        elif connector == "while":
            text += f" while {said}"
        elif connector == "then":
            text += f", then {said}"
        elif connector == "," and following in (",", "and"):
            text += f", {said}"
        else:
            text += f" and {said}"
    return text
