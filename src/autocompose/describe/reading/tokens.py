"""Text -> tokens with a meaning.

Kinds: ``part`` and ``side`` (joined to ``entity``), ``verb``, ``dir``, ``state``, ``rel`` (needs an entity after it),
``degree``, ``excess`` ("so high"), ``neg``, ``undo`` ("stop"), ``pron``, ``det``, ``and``, ``with``, ``number``,
``break`` (a new statement begins), ``end`` (sentence ends), ``level`` (an entity used as a height: "head level"),
``thing`` (a noun that is no body part), ``word`` (anything else).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, NamedTuple

from autocompose.describe.reading.claims import CENTRAL_PARTS
from autocompose.describe.reading.lexicon import Meaning, Verb, part_words, phrases, word_set
from autocompose.describe.side_words import without_false_sides

WORD = re.compile(r"[a-z]+|\d+|[.!?;\n]+|[,:()\u2014\u2013]|-")


LONGEST_WORD = 20  # longer ones are no slips of a word that is known


class Token(NamedTuple):
    """One meaning found in the text, with the words it came from."""

    kind: str
    value: Any
    words: str


class Entity(NamedTuple):
    """A body part as mentioned; ``part`` is "" for "the right one", ``side`` may be ``other``."""

    part: str
    side: str


@cache
def _trie() -> dict[str, list[tuple[tuple[str, ...], Meaning]]]:
    """First word -> its phrases, longest first."""
    table: dict[str, list[tuple[tuple[str, ...], Meaning]]] = {}
    for phrase, meaning in phrases().items():
        words = tuple(phrase.split())
        table.setdefault(words[0], []).append((words, meaning))
    for options in table.values():
        options.sort(key=lambda option: -len(option[0]))
    return table


@cache
def _vocabulary() -> frozenset[str]:
    return frozenset(word for phrase in phrases() for word in phrase.split() if len(word) >= 4)


@lru_cache(maxsize=65536)
def correct(word: str) -> str:
    """Undo one typing slip in a word of the vocabulary: letters exchanged, or one letter missing or too many.

    The first letter must be right, and only words of five letters may miss one or have one too many:
    "night" is not "right".
    """
    known = word in _vocabulary() or word in _trie() or word in word_set("ordinary")
    if known or not 4 <= len(word) <= LONGEST_WORD:
        return word
    for i in range(1, len(word) - 1):
        swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        if swapped in _vocabulary():
            return swapped
    for candidate in sorted(_vocabulary()):
        if candidate[0] == word[0] and len(candidate) >= 5:
            longer, shorter = sorted((candidate, word), key=len, reverse=True)
            if len(longer) == len(shorter) + 1 and _drops_to(longer, shorter):
                return candidate
    return word


def _drops_to(longer: str, shorter: str) -> bool:
    return any(longer[:i] + longer[i + 1 :] == shorter for i in range(1, len(longer)))


def words_of(text: str) -> list[str]:
    """Lower-case words and punctuation; "don't" becomes "dont", "person's" becomes "person", hyphens part words."""
    text = (
        without_false_sides(text)
        .lower()
        .replace("\u2019", "'")
        .replace("n't", "nt")
        .replace("un-", "un")
        .replace("'s", "")
        .replace("'re", " are")
    )
    return [correct(w) if w.isalpha() else w for w in WORD.findall(text) if w != "-"]


def tokens(text: str) -> list[Token]:
    """Tokens of a text, sides and parts already joined to entities."""
    return _join(_lex(words_of(text)))


_PUNCTUATION = {",": "comma", ":": "comma", "(": "comma", ")": "comma", "\u2014": "comma", "\u2013": "comma"}


def _lex(words: list[str]) -> list[Token]:
    lexed: list[Token] = []
    trie, i = _trie(), 0
    while i < len(words):
        word = words[i]
        if not word.isalnum():
            lexed.append(Token(_PUNCTUATION.get(word, "end"), None, word))
            i += 1
            continue
        for phrase, meaning in trie.get(word, ()):
            n, (kind, value) = len(phrase), meaning
            if n == 1 or (tuple(words[i : i + n]) == phrase and not _cut(phrase, meaning, words[i + n : i + n + 4])):
                break
        else:
            phrase, kind, value, n = (word,), "number" if word.isdigit() else "word", None, 1
            if (lexed and lexed[-1].kind == "det" and not _noun_follows(words, i, trie)) or _bare_plural(
                word, lexed, words[i + 1 : i + 2], trie
            ):
                kind = "thing"
            elif _unknown_verb(word, lexed, words[i + 1 : i + 2]):
                kind, value = "verb", Verb()
            elif _unknown_predicate(word, lexed, words[i + 1 : i + 2]):
                kind, value = "rel", "of"
        lexed.append(_disambiguate(Token(kind, value, " ".join(phrase)), lexed, words[i + n : i + n + 2]))
        i += n
    return lexed


def _bare_plural(word: str, before: list[Token], after: list[str], trie: dict[str, Any]) -> bool:
    """An unknown word that opens a statement, ends in s and is followed by a verb: "Cushions lie on the carpet"."""
    opens = not before or before[-1].kind in ("end", "comma", "break", "and")
    if not (opens and len(word) > 3 and word.endswith("s") and not word.endswith("ss") and after):
        return False
    return after[0] in _COPULAS or any(
        kind == "verb" for phrase, (kind, _) in trie.get(after[0], ()) if len(phrase) == 1
    )


def _unknown_verb(word: str, before: list[Token], after: list[str]) -> bool:
    """An unknown word that opens a statement and has an object: "roll the shoulders back"."""
    opens = not before or before[-1].kind in ("end", "comma", "break", "and")
    return opens and word.isalpha() and word not in _PREPOSITIONS and bool(after) and after[0] in _OBJECT_STARTS


_PREPOSITIONS = frozenset(
    ["in", "during", "about", "like", "since", "if", "although", "though", "despite", "given", "only"]
)


def _unknown_predicate(word: str, before: list[Token], after: list[str]) -> bool:
    """An unknown verb between two parts: in "the hand passes the thigh" nothing is known of the thigh."""
    after_part = bool(before) and before[-1].kind == "part"
    return after_part and word.endswith("s") and not word.endswith("ss") and bool(after) and after[0] in _OBJECT_STARTS


_COPULAS = frozenset(("are", "were", "on", "in"))


def _noun_follows(words: list[str], i: int, trie: dict[str, Any]) -> bool:
    """An unknown word before a body part ("the supporting leg", "your slightly raised arm") is an adjective."""
    if words[i + 1 : i + 2] and words[i + 1] in word_set("nouns"):
        return True  # "a big step"
    return any((option := trie.get(word)) and option[-1][1][0] in ("part", "side") for word in words[i + 1 : i + 3])


def _cut(phrase: tuple[str, ...], meaning: Meaning, after: list[str]) -> bool:
    """Whether a phrase does not mean what it says as a whole: "drop to" speaks of kneeling only before knees."""
    if meaning[0] == "verb" and meaning[1].mode == "kneel-on":
        return not _KNEELING.intersection(after)
    return _cuts_entity(phrase, after[:1])


_KNEELING = frozenset(("knee", "knees", "hands", "hand", "fours"))


def _cuts_entity(phrase: tuple[str, ...], after: list[str]) -> bool:
    """ "towards your right" before "foot" is no direction."""
    return phrase[-1] in ("left", "right") and bool(after) and after[0] in part_words()


_SWITCHES = frozenset(("det", "side", "rel"))


def _disambiguate(token: Token, before: list[Token], after: list[str]) -> Token:
    """Words with two meanings: "lower" (verb, comparative, "lower leg"), "back", "face", "round", "part", "close"."""
    last = before[-1].kind if before else ""
    noun_place = last in _SWITCHES
    if _says_nothing(token, last, before, after):
        return Token("word", None, token.words)
    if token.words == "lower":
        if last == "det":
            return Token("word", None, "lower")  # "your lower chest"
        follows = bool(after) and (after[0] in _OBJECT_STARTS or after[0] in part_words())
        return token if follows else Token("dir", "down", "lower")
    if token.words.startswith("lower ") and token.kind == "part" and not noun_place:
        return Token("verb", phrases()["lower"][1], "lower")
    if token.words == "one" and after and after[0] in part_words():
        return Token("det", None, "one")  # "stand on one leg"
    if token.words == "back" and last == "det":
        adjective = bool(after) and after[0] in part_words()
        return Token("word", None, "back") if adjective else Token("part", ("torso", False), "back")
    if token.words == "face" and (not noun_place or (before[-1].words == "to" and after[:1] in _FACED)):
        return Token("verb", phrases()["faces"][1], "face")
    if token.words == "in" and (not after or not after[0].isalpha() or after[0] in _AFTER_IN or after in _A_BIT):
        if before and before[-1].words == "back":  # "back in" is no way back
            before[-1] = Token("word", None, "back")
        return Token("dir", "in", "in")
    return _as_noun(token, before) if token.words in word_set("nouns") else token


def _says_nothing(token: Token, last: str, before: list[Token], after: list[str]) -> bool:
    """Words that mean nothing where they stand: "3 feet apart", "your rear leg", "bring it round", "elbow bend"."""
    words = token.words
    if words in _UNITS:
        return last == "number"
    if words == "rear":
        return last == "part" or (last == "det" and bool(after) and after[0] in part_words())
    if words == "round":
        return last in ("part", "pron")
    if words == "bend":
        return last == "part" and _compound(before, after)
    return token.kind == "undo" and words in _HALTS and bool(after) and _places(after[0])


def _as_noun(token: Token, before: list[Token]) -> Token:
    """Words that are nouns after an article: "take a step", "into a low lunge" (which lowers nothing)."""
    kinds = [t.kind for t in before[-2:]]
    participle = kinds[1:] == ["verb"] and before[-1].value.passive  # "its raised stretch"
    if kinds[:1] == ["det"] and (participle or kinds[1:] in (["degree"], ["word"], ["state"])):
        return Token("word", None, token.words)
    if kinds == ["det", "dir"]:
        before[-1] = Token("word", None, before[-1].words)
    elif kinds[-1:] != ["det"]:
        return token
    return Token("word", None, token.words)


_HALTS = ("stop", "stops", "stopping")


def _places(word: str) -> bool:
    """Whether a word tells a place: in "it stops below the hip" nothing is undone."""
    return any(kind in ("rel", "dir") for phrase, (kind, _) in _trie().get(word, ()) if len(phrase) == 1)


def _compound(before: list[Token], after: list[str]) -> bool:
    """Whether "bend" after a joint is a noun: "the tight elbow bend straightens", but "let the elbow bend"."""
    adjective = len(before) > 1 and before[-2].kind in ("word", "degree")
    acts = bool(after) and any(kind == "verb" for phrase, (kind, _) in _trie().get(after[0], ()) if len(phrase) == 1)
    return adjective and acts


_FACED = (["the"], ["your"], ["left"], ["right"], ["forward"], ["away"], ["me"])
_UNITS = frozenset(["foot", "feet", "hand", "hands"])
_A_BIT = (["a", "bit"], ["a", "little"], ["a", "touch"], ["a", "tad"])
_AFTER_IN = frozenset(["slightly", "closer", "more", "further", "farther", "and", "then"])


_OBJECT_STARTS = frozenset(
    ["the", "your", "his", "her", "their", "my", "both", "left", "right", "each", "it", "them", "this", "one", "ur"]
)


def _join(lexed: list[Token]) -> list[Token]:
    """Join sides with the parts they belong to; other tokens stay as they are."""
    joined: list[Token] = []
    i = 0
    while i < len(lexed):
        kind = lexed[i].kind
        if kind == "part":
            token, i = _entity("", lexed, i, i)
        elif kind == "side":
            token, i = _sided(lexed, i, joined)
        else:
            token, i = lexed[i], i + 1
        joined.append(token)
    return joined


def _sided(lexed: list[Token], i: int, before: list[Token]) -> tuple[Token, int]:
    """An entity ("both of your arms", "left and right hand", "the right one") or a direction ("turn left")."""
    side, j = lexed[i].value, i + 1
    while j < len(lexed):
        kinds = [t.kind for t in lexed[j : j + 3]]
        if kinds[:2] == ["and", "side"] or kinds == ["and", "det", "side"]:
            j += kinds.index("side")
            side = "both" if lexed[j].value != side else side
        elif not (lexed[j].words in _FILLERS or (kinds[0] == "det" and side in ("both", "other"))):
            break
        j += 1
    if j < len(lexed) and lexed[j].kind == "part":
        return _entity(side, lexed, i, j)
    side = lexed[i].value
    if i + 1 < len(lexed) and lexed[i + 1].words == "one":
        return Token("entity", Entity("", side), f"{lexed[i].words} one"), i + 2
    named = bool(before) and (before[-1].kind == "det" or (before[-1].kind == "rel" and before[-1].words != "to"))
    if side in ("both", "other") or named:
        return Token("entity", Entity("", side), lexed[i].words), i + 1
    return Token("dir", side, lexed[i].words), i + 1


_FILLERS = frozenset(
    ["of", "whole", "entire", "still", "extended", "raised", "lifted", "bent", "straight", "outstretched", "stretched",
     "folded", "hanging", "front", "rear", "back", "own", "standing", "supporting", "trailing"]
)  # fmt: skip


def _entity(side: str, lexed: list[Token], i: int, j: int) -> tuple[Token, int]:
    part, plural = lexed[j].value
    if part in CENTRAL_PARTS or part == "weight":
        side = "none"
    elif not side:
        side = "both" if plural else "none"
    words = " ".join(t.words for t in lexed[i : j + 1])
    after = lexed[j + 1].words if j + 1 < len(lexed) else ""
    named = lexed[j].words != words or (i > 0 and lexed[i - 1].kind == "det")
    then = lexed[j + 2].words if j + 2 < len(lexed) else ""
    adjective = named and (after == "high" or (after == "level" and then in ("at", "with")))
    if after in word_set("level") and not adjective:  # "raise your left arm high"
        return Token("level", Entity(part, side), f"{words} {lexed[j + 1].words}"), j + 2
    return Token("entity", Entity(part, side), words), j + 1
