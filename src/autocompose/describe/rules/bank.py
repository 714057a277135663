"""Word banks: phrases per category, read from TOML, inflected for number and determiner."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from autocompose.core.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

T = TypeVar("T")
BANKS = ("coach", "human", "independent")
_DOUBLED = {
    "put",
    "let",
    "get",
    "set",
    "drop",
    "dip",
    "tip",
    "slip",
    "step",
    "cut",
    "run",
    "spin",
    "flip",
    "hug",
    "sit",
}
_PLURAL_VERBS = {"is": "are", "was": "were", "has": "have"}
_AGREES = re.compile(r"\{(it )?([a-z]+s)\}")
_FOLDER = Path(__file__).parent / "banks"


def gerund(verb: str) -> str:
    """The -ing form of a verb of the banks: move -> moving, put -> putting, tie -> tying.

    >>> gerund("raise"), gerund("let"), gerund("free")
    ('raising', 'letting', 'freeing')
    """
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return verb + verb[-1] * (verb in _DOUBLED) + "ing"


def agree(template: str, many: bool) -> str:
    """Inflect ``{is}``, ``{needs}``, ``{it was}`` ... for one part or several.

    >>> agree("{x} {needs} to stay where {it is}", many=True)
    '{x} need to stay where they are'
    """

    def inflect(match: re.Match[str]) -> str:
        pronoun, verb = match.groups()
        verb = _PLURAL_VERBS.get(verb, verb[:-1]) if many else verb
        return (("they " if many else "it ") if pronoun else "") + verb

    return _AGREES.sub(inflect, template)


@dataclass(frozen=True, slots=True)
class Phrase:
    """One wording: ``verb + before + {x} + after``.

    :param names_part: the wording contains {x}.
    :param direction: for wordings with a neutral verb, the part after {x} that may be said without the verb.
    """

    verb: str
    verbing: str
    before: str
    after: str
    names_part: bool = True
    direction: str = ""

    @property
    def direct(self) -> bool:
        """{x} follows the verb at once, so a pronoun may stand there."""
        return self.names_part and not self.before

    def rest(self, x: str) -> str:
        """Everything after the verb, with the part filled in."""
        return f"{self.before}{x}{self.after}" if self.names_part else self.after


def _phrase(template: str, direction: str = "") -> Phrase:
    verb, _, rest = template.partition(" ")
    before, slot, after = rest.partition("{x}")
    if not slot:
        before, after = "", rest
    return Phrase(verb, gerund(verb), before, after, bool(slot), direction)


class Wordings:
    """The phrases of one category for one number; each template is one group of variants."""

    def __init__(self, say: list[list[Phrase]], go: list[list[Phrase]]) -> None:
        self.groups = say + go
        self.direct = [g for g in self.groups if g[0].direct]
        self.neutral = go

    def draw(self, rng: Random, direct: bool = False, neutral: bool = False) -> Phrase:
        """A random wording, each template equally likely."""
        groups = self.neutral if neutral else (self.direct if direct and self.direct else self.groups)
        return pick(pick(groups, rng), rng)


def pick(items: Sequence[T], rng: Random) -> T:
    """A random item; much quicker than ``rng.choice``."""
    return items[int(rng.random() * len(items))]


class Bank:
    """One word bank for one determiner (``your``, ``the`` or ``their``) and one number (singular or plural part).

    :ivar wordings: category -> imperative phrases.
    :ivar states: category -> phrases after "is".
    :ivar clauses: category -> whole clauses without a part.
    :ivar frames: sentences around a state, with ``{x}`` and ``{state}``; ``opening_frames`` may begin a text,
        ``subject_frames`` begin with ``{x}``.
    """

    def __init__(self, entries: dict[str, Any], determiner: str, many: bool) -> None:
        self.determiner, self.many = determiner, many
        self._bits: list[str] = entries["bit"]
        self._neutral: list[str] = entries.get("neutral", [])
        self.frames = [agree(t, many) for t in entries["oblige"]]
        self.opening_frames = [f for f in self.frames if not f.startswith("finish")]
        self.subject_frames = [f for f in self.frames if f.startswith("{x}")]
        self.wordings: dict[str, Wordings] = {}
        self.states: dict[str, list[list[str]]] = {}
        self.clauses: dict[str, list[list[str]]] = {}
        for category, entry in entries.items():
            if not isinstance(entry, dict) or category in ("plan", "determiners"):
                continue
            if "be" in entry:
                self.states[category] = self._variants(entry, "be")
            elif "full" in entry:
                self.clauses[category] = self._variants(entry, "full")
            else:
                self.wordings[category] = self._wordings(entry)

    def _wordings(self, entry: dict[str, list[str]]) -> Wordings:
        say = [[_phrase(t) for t in variants] for variants in self._variants(entry, "say")]
        go = [
            [_phrase(f"{verb} {{x}} {t}", t) for t in variants for verb in self._neutral]
            for variants in self._variants(entry, "go")
        ]
        return Wordings(say, go)

    def _variants(self, entry: dict[str, list[str]], key: str) -> list[list[str]]:
        """The templates of ``key``, each as the list of its variants with a degree word filled in."""
        templates = entry.get(f"{key}_{self.determiner}") or entry.get(f"{key}_many" if self.many else key)
        you = "them" if self.determiner == "their" else "you"
        result = []
        for template in templates or entry.get(key, []):
            filled = agree(template.replace("{your}", self.determiner).replace("{you}", you), self.many)
            bits = entry.get("bit", self._bits) if "{bit}" in filled else [""]
            result.append([filled.replace("{bit}", bit) for bit in bits])
        return result


@dataclass(frozen=True)
class Plan:
    """How a bank builds sentences.

    :param style: ``coach``, ``chat`` or ``observe``; see ``plan``.
    :param determiners: (word, cumulative probability).
    :param opener: probability of one of ``openers`` before the first sentence.
    :param joins: what stands between clauses, equally likely.
    """

    style: str
    determiners: tuple[tuple[str, float], ...]
    openers: tuple[str, ...] = ()
    opener: float = 0.0
    joins: tuple[str, ...] = ()

    def determiner(self, rng: Random) -> str:
        """Draw the determiner of a text."""
        draw = rng.random() * self.determiners[-1][1]
        return next(word for word, limit in self.determiners if draw <= limit)


@lru_cache(maxsize=32)
def load_bank(name: str, determiner: str = "your", many: bool = False) -> Bank:
    """A word bank of this package: ``coach``, ``human`` or ``independent``.

    :raises ConfigError: no such bank.
    """
    return Bank(entries(name), determiner, many)


@lru_cache(maxsize=8)
def load_plan(name: str) -> Plan:
    """The sentence plan of a word bank."""
    bank = entries(name)
    words = bank["determiners"]
    determiners = tuple(zip(words, accumulate(words.values()), strict=True))
    plan = bank["plan"]
    return Plan(
        plan["style"],
        determiners,
        tuple(plan.get("openers", ())),
        plan.get("opener", 0.0),
        tuple(plan.get("joins", ())),
    )


@lru_cache(maxsize=8)
def entries(name: str) -> dict[str, Any]:
    """The bank's file as a dictionary."""
    if name not in BANKS:
        raise ConfigError(f"word bank {name!r}: expected one of {', '.join(BANKS)}")
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text("utf-8"))
