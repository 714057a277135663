"""The words the parser knows: ``lexicon.toml`` as phrase -> meaning."""

from __future__ import annotations

import sys
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

Meaning = tuple[str, Any]  # kind of token, value


class Verb(NamedTuple):
    """How a verb reads the words around it.

    :param mode: ``move`` (directions are moves), ``bend``, ``turn``, ``lean``, ``look``, ``touch``, ``point``,
        ``kneel``, ``kneel-on`` (says nothing unless a part follows), ``all-fours``, ``support`` (stand on a leg),
        ``posture`` (sit, lie), ``gap`` (what gets smaller or bigger), ``over-shoulder`` (look over a shoulder).
    :param does: actions that the verb says by itself.
    :param part: the part meant when the text names none, "" if there is no such part.
    :param fallback: ``does`` counts only when the text gives no direction ("kick" is forward unless told otherwise).
    :param passive: a past participle: it speaks about the part before it.
    """

    mode: str = "move"
    does: tuple[str, ...] = ()
    part: str = ""
    fallback: bool = False
    passive: bool = False

    @property
    def neutral(self) -> bool:
        """Says nothing by itself ("move", "bring", "let")."""
        return self.mode == "move" and not self.does


@cache
def lexicon() -> dict[str, Any]:
    """The tables of ``lexicon.toml``."""
    return tomllib.loads((files(__package__) / "lexicon.toml").read_text("utf-8"))


def phrases_of(text: str) -> list[str]:
    """The comma-separated phrases of an entry."""
    return [" ".join(phrase.split()) for phrase in text.split(",")]


@cache
def word_set(name: str) -> frozenset[str]:
    """One of the plain word lists."""
    return frozenset(phrases_of(lexicon()["words"][name]))


def inflect(base: str) -> list[str]:
    """The forms of a verb: regular unless the table of irregular forms has it."""
    if base in lexicon()["irregular"]:
        return [base, *phrases_of(lexicon()["irregular"][base])]
    if base.endswith("e"):
        return [base, base + "s", base + "d", base[:-1] + "ing"]
    third = base + ("es" if base.endswith(("ch", "sh", "ss", "x")) else "s")
    return [base, third, base + "ed", base + "ing"]


@cache
def phrases() -> dict[str, Meaning]:
    """Every phrase with its meaning; where a phrase stands twice, the more specific table wins."""
    tables, plural = lexicon(), word_set("plural")
    meanings: dict[str, Meaning] = dict.fromkeys(word_set("neutral"), ("word", None))
    meanings |= dict.fromkeys(word_set("determiners"), ("det", None))
    for entry in tables["verbs"]:
        meanings |= _verb(entry)
    kinds = (("dir", "directions"), ("state", "states"), ("rel", "relations"), ("degree", "degrees"), ("side", "sides"))
    for kind, name in kinds[:4]:
        meanings |= {phrase: (kind, value) for value, text in tables[name].items() for phrase in phrases_of(text)}
    for part, text in tables["parts"].items():
        meanings |= {phrase: ("part", (part, phrase.split()[-1] in plural)) for phrase in phrases_of(text)}
    meanings |= {phrase: ("side", side) for side, text in tables["sides"].items() for phrase in phrases_of(text)}
    for kind, name in (
        ("neg", "negations"),
        ("break", "breaks"),
        ("pron", "pronouns"),
        ("excess", "excess"),
        ("undo", "undo"),
    ):
        meanings |= dict.fromkeys(word_set(name), (kind, None))
    return meanings | {"and": ("and", None), "or": ("and", None), "with": ("with", None)}


def _verb(entry: dict[str, Any]) -> dict[str, Meaning]:
    does = tuple(phrases_of(entry["does"])) if "does" in entry else ()
    verb = Verb(entry.get("mode", "move"), does, entry.get("part", ""), entry.get("fallback", False))
    meanings: dict[str, Meaning] = {}
    for base in phrases_of(entry.get("words", "")):
        for form in inflect(base) if base else ():
            passive = form != base and (form.endswith("ed") or form in word_set("passive"))
            meanings[form] = ("verb", verb._replace(passive=passive))
    return meanings | {phrase: ("verb", verb) for phrase in phrases_of(entry.get("phrases", "")) if phrase}


@cache
def part_words() -> frozenset[str]:
    """First words of all body parts."""
    return frozenset(phrase.split()[0] for phrase, (kind, _) in phrases().items() if kind == "part")
