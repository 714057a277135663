"""Checking answers: finish, form and content. Small slips are repaired; a wrong answer raises with its reason."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from autocompose.describe.mllm.asks import Answer
from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.judging import wording
from autocompose.describe.mllm.judging.objects import NoObjectError, after_reasoning, final_object
from autocompose.describe.mllm.judging.own_sides import UnclearSide, own_side, own_words
from autocompose.describe.rules.token_limit import CLIP_TOKENS, count_tokens

REFUSALS = re.compile(
    r"\b(i(?:['’]m| am) (?:sorry|unable|not able|not comfortable)|i can(?:['’]t|not)|i won['’]t"
    r"|cannot (?:help|assist|comply)|as an ai)\b",
    re.I,
)
MAX_MOVEMENTS = 8
_M = TypeVar("_M", bound=BaseModel)


class Slip(Exception):  # noqa: N818  (a verdict that travels as an exception)
    """An answer that cannot be used.

    :param kind: refused, filtered, length, schema, empty, language, sides, profile, contradiction, self_check,
        duplicate, echo, unfaithful, leak or long.
    :param detail: the exact fault, worded for the model.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


class _Movement(BaseModel):
    part: str
    change: str


class _Parts(BaseModel):
    movements: list[_Movement]
    facing_reference: str = ""
    facing_target: str = ""
    left_hand_is: str = ""


class _Texts(BaseModel):
    texts: list[str]


@dataclass(frozen=True)
class Parts:
    """Stage I, accepted: (part, phrase) with the person's own sides.

    :param left_hand_is: the answer to the self-check question, '' without that question.
    """

    movements: list[tuple[str, str]]
    repaired: bool = False
    left_hand_is: str = ""


@dataclass
class Texts:
    """Stage II so far: accepted wordings, and the first fault among the others."""

    good: list[str] = field(default_factory=list)
    long: list[str] = field(default_factory=list)
    slip: Slip | None = None
    repaired: bool = False


def read_parts(answer: Answer, frame: Frame, allowed: tuple[str, ...], language: str = "English") -> Parts:
    """Check a Stage I answer.

    :raises Slip: why it cannot be used.
    """
    value, repaired = answer_object(answer, "movements")
    parsed = validated(_Parts, value)
    if not parsed.movements:
        raise Slip("empty")
    if len(parsed.movements) > MAX_MOVEMENTS:
        raise Slip("schema", f"more than {MAX_MOVEMENTS} movements")
    movements = []
    for movement in parsed.movements:
        if movement.part not in allowed:
            raise Slip("schema", f"unknown part {movement.part!r}")
        phrase = _plain(movement.change).strip(" .")
        if not phrase:
            raise Slip("schema", f"no phrase for {movement.part}")
        try:
            side = own_side(frame, movement.part, parsed.facing_reference)
            movements.append((side, own_words(frame, phrase, parsed.facing_reference)))
        except UnclearSide as error:
            raise Slip(error.kind, error.detail) from None
    if language == "English" and not wording.is_english(" ".join(phrase for _, phrase in movements)):
        raise Slip("language")
    if conflict := wording.contradiction(movements):
        raise Slip("contradiction", conflict)
    return Parts(movements, repaired, parsed.left_hand_is)


def read_texts(
    answer: Answer, movements: list[tuple[str, str]], system: str, known: list[str], language: str = "English"
) -> Texts:
    """Check a Stage II answer text by text.

    :param system: the system prompt, to recognise echoes.
    :param known: wordings accepted before, which new ones must not repeat.
    :raises Slip: nothing of the answer can be used because of its form.
    """
    value, repaired = answer_object(answer, "texts")
    texts = [text.strip() for text in validated(_Texts, value).texts]
    if not any(texts):
        raise Slip("empty")
    result = Texts(repaired=repaired)
    for said in filter(None, texts):
        text = re.sub(r"\s+", " ", said)
        slip = _fault(text, movements, system, [*known, *result.good], language)
        if slip is None:
            result.good.append(text)
            continue
        if slip.kind == "long":
            result.long.append(text)
        result.slip = result.slip or slip
    return result


def _fault(text: str, movements: list[tuple[str, str]], system: str, known: list[str], language: str) -> Slip | None:
    if wording.echoes(text, system):
        return Slip("echo")
    try:
        _plain(text)
    except Slip as slip:
        return slip
    if language == "English" and not wording.is_english(text):
        return Slip("language")
    if wording.leaks_colour(text):
        return Slip("leak")
    if language == "English" and (departure := wording.unfaithful(text, movements)):
        return Slip("unfaithful", departure)
    if any(wording.alike(text, other) for other in known):
        return Slip("duplicate")
    if count_tokens(text) > CLIP_TOKENS:
        return Slip("long")
    return None


def answer_object(answer: Answer, key: str, kind: type = list) -> tuple[dict[str, Any], bool]:
    """The JSON object of an answer that holds ``key``, of the type ``kind``, and whether it had to be repaired.

    :raises Slip: a refusal, a filter, an answer that was cut, or none.
    """
    if answer.refusal:
        raise Slip("refused", answer.refusal[:200])
    if answer.finish == "content_filter":
        raise Slip("filtered")
    if answer.finish == "length":
        raise Slip("length")
    said = after_reasoning(answer.raw).strip()
    try:
        value, repaired = final_object(answer.raw, key, kind)
    except NoObjectError as error:
        if REFUSALS.search(said):
            raise Slip("refused", said[:200]) from None
        raise Slip("schema", str(error)) from None
    if key not in value and REFUSALS.search(said):
        raise Slip("refused", said[:200])
    return value, repaired


def stray_characters(text: str) -> bool:
    """Whether a text contains control characters or unpaired surrogates, which some files cannot store."""
    return any(c == "\ufffd" or unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") for c in text)


def _plain(text: str) -> str:
    """A wording or phrase on one line.

    :raises Slip: it is a refusal, or contains tags, control characters or unpaired surrogates.
    """
    text = re.sub(r"\s+", " ", text).strip()
    if stray_characters(text) or "<" in text or ">" in text:
        raise Slip("schema", "tags or control characters in a phrase")
    if REFUSALS.search(text):
        raise Slip("refused", text[:200])
    return text


def validated(model: type[_M], value: dict[str, Any]) -> _M:
    """An answer's object in its form.

    :raises Slip: it has another.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise Slip("schema", f"{where}: {first['msg']}") from None
