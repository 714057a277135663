"""Word banks: phrases per category, read from TOML and split into verb and rest."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from autocompose.core.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

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
    "swap",
    "flip",
    "fit",
    "hug",
}
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


@dataclass(frozen=True, slots=True)
class Phrase:
    """One wording: ``verb + before + {x} + after``.

    :param direct: {x} follows the verb at once, so a pronoun may stand there.
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
        """A pronoun may replace the part."""
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
    """The phrases of one category, one number (singular or plural) and one determiner."""

    def __init__(self, say: list[list[Phrase]], go: list[list[Phrase]]) -> None:
        self.groups = say + go
        self.direct = [g for g in self.groups if g[0].direct]
        self.neutral = go

    def draw(self, rng: Random, direct: bool = False, neutral: bool = False) -> Phrase:
        """A random wording, each template equally likely."""
        groups = self.neutral if neutral else (self.direct if direct and self.direct else self.groups)
        group = groups[int(rng.random() * len(groups))]
        return group[int(rng.random() * len(group))]


class Bank:
    """One word bank for one determiner (``your``, ``the`` or ``their``)."""

    def __init__(self, entries: dict[str, Any], determiner: str) -> None:
        self.determiner = determiner
        self._bit: list[str] = entries["bit"]
        self._neutral: list[str] = entries.get("neutral", [])
        self.oblige: list[str] = entries["oblige"]
        self.one: dict[str, Wordings] = {}
        self.many: dict[str, Wordings] = {}
        self.states: dict[str, list[str]] = {}
        for category, entry in entries.items():
            if isinstance(entry, dict) and "be" in entry:
                self.states[category] = [self._fill(t) for t in entry["be"]]
            elif isinstance(entry, dict):
                self.one[category] = self._wordings(entry, "")
                self.many[category] = self._wordings(entry, "_many")

    def wordings(self, category: str, many: bool) -> Wordings:
        """The phrases of a category for one part or for several."""
        return (self.many if many else self.one)[category]

    def _fill(self, template: str) -> str:
        return template.replace("{your}", self.determiner)

    def _wordings(self, entry: dict[str, list[str]], number: str) -> Wordings:
        say = entry.get(f"say_{self.determiner}", entry.get(f"say{number}", entry.get("say", [])))
        go = entry.get(f"go{number}", entry.get("go", []))
        return Wordings(
            [[_phrase(t) for t in self._bits(template)] for template in say],
            [
                [_phrase(f"{verb} {{x}} {t}", t) for t in self._bits(template) for verb in self._neutral]
                for template in go
            ],
        )

    def _bits(self, template: str) -> list[str]:
        template = self._fill(template)
        return [template.replace("{bit}", bit) for bit in self._bit] if "{bit}" in template else [template]


@lru_cache(maxsize=16)
def load_bank(name: str, determiner: str = "your") -> Bank:
    """A word bank of this package.

    :param name: ``coach``, ``human`` or ``independent``.
    :raises ConfigError: no such bank.
    """
    return Bank(entries(name), determiner)


@lru_cache(maxsize=4)
def entries(name: str) -> dict[str, Any]:
    """The bank's file as a dictionary."""
    if name not in BANKS:
        raise ConfigError(f"word bank {name!r}: expected one of {', '.join(BANKS)}")
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text("utf-8"))
