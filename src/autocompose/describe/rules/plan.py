"""Clauses -> sentences, in the three styles of the word banks."""

from __future__ import annotations

from random import Random

from autocompose.describe.rules.bank import Plan, pick
from autocompose.describe.rules.speak import Clause

CONNECTORS = ("while", ",", ".", "and", "then")  # equally likely, from PoseFix
LONGEST = 3  # clauses in a sentence
ATTACH = 0.3  # share of claims said as "with ..." after an action


def sentence(text: str) -> str:
    """Capital and full stop."""
    return text[0].upper() + text[1:] + "."


def coach(parts: list[Clause], rng: Random) -> str:
    """Imperatives joined by while, and, then, commas; claims about the goal stand alone or hang on with "with"."""
    done: list[str] = []
    line: list[tuple[str, str]] = []
    ing, about = False, ""
    for clause in parts:
        if clause.claim:
            attach = bool(line) and bool(clause.attached) and rng.random() < ATTACH
            attach = attach and clause.about not in _line(line)  # not "spread your hands with your hands ..."
            if attach:
                done.append(sentence(f"{_line(line)} {clause.attached}"))
            else:
                done += [sentence(_line(line))] if line else []
                done.append(sentence(clause.claim))
            line = []
            continue
        connector = CONNECTORS[int(rng.random() * len(CONNECTORS))]
        if line and (connector == "." or len(line) >= LONGEST or (connector == "while" and ing)):
            done.append(sentence(_line(line)))
            line = []
        ing = bool(line) and (connector == "while" or (ing and connector == "and"))
        before = about if line else ""
        line.append((connector, clause.gerund(before) if ing else clause.imperative(before)))
        about = clause.about
    return " ".join([*done, sentence(_line(line))] if line else done)


def _line(line: list[tuple[str, str]]) -> str:
    """Write a sentence's connectors; a comma is only a comma when an "and" closes the series."""
    text = line[0][1]
    for i, (connector, said) in enumerate(line[1:], start=1):
        following = line[i + 1][0] if i + 1 < len(line) else ""
        if connector == "while":
            text += f" while {said}"
        elif connector == "then":
            text += f", then {said}"
        elif connector == "," and following in (",", "and"):
            text += f", {said}"
        else:
            text += f" and {said}"
    return text


def joined(parts: list[Clause], plan: Plan, rng: Random) -> str:
    """The chat and observe styles: clauses with the bank's own joins, claims of the chat style on their own."""
    claims_alone = plan.style == "chat"
    text, size = "", 0
    if plan.openers and rng.random() < plan.opener:
        text = pick(plan.openers, rng)
    opened, join = bool(text), ""
    for i, clause in enumerate(parts):
        before = parts[i - 1].about if i else ""
        if i:
            joins = [j for j in plan.joins if j != join]  # the same join twice in a row sounds mechanical
            if before == clause.about:
                joins = [j for j in joins if j != ", whereas "]  # no contrast of a part with itself
            join = pick(joins, rng)
            alone = claims_alone and (bool(clause.claim) or bool(parts[i - 1].claim))
            if alone or (size >= LONGEST and ". " not in join):
                join = ". "
            text += join
            opened = not join.endswith(". ")
            size = 0 if ". " in join else size
        said = clause.claim or clause.imperative(before if ". " not in join else "")
        text += said if opened else said[0].upper() + said[1:]
        size += 1
    return text[0].upper() + text[1:] + "." if text else ""
