"""Nothing an answer says is trusted: finish, form and content are checked; slips are repaired, wrong answers named."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from autocompose.describe.mllm.asks import Answer
from autocompose.describe.mllm.judging import wording
from autocompose.describe.mllm.judging.own_sides import UnclearSide, own_side, own_words
from autocompose.describe.mllm.recipe import Frame
from autocompose.describe.rules.token_limit import CLIP_TOKENS, count_tokens

REFUSALS = re.compile(
    r"\b(i(?:'m| am) (?:sorry|unable|not able)|i can(?:'t|not)|i won't|cannot (?:help|assist|comply)|as an ai)\b", re.I
)
MAX_MOVEMENTS = 8
_M = TypeVar("_M", bound=BaseModel)


class Slip(Exception):  # noqa: N818  (a verdict that travels as an exception)
    """An answer that cannot be used.

    :param kind: refused, filtered, length, schema, empty, language, sides, profile, contradiction, self_check,
        duplicate, echo, unfaithful, leak or long.
    :param detail: what exactly, fit to be told to the model.
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

    :param left_hand_is: the answer to the self-check question, '' when it was not asked.
    """

    movements: list[tuple[str, str]]
    repaired: bool = False
    left_hand_is: str = ""


@dataclass
class Texts:
    """Stage II so far: accepted wordings, and the first thing that was wrong with the others."""

    good: list[str] = field(default_factory=list)
    long: list[str] = field(default_factory=list)
    slip: Slip | None = None
    repaired: bool = False


def read_parts(answer: Answer, frame: Frame, allowed: tuple[str, ...], language: str = "English") -> Parts:
    """Check a Stage I answer.

    :raises Slip: why it cannot be used.
    """
    value, repaired = _object(answer)
    parsed = _validated(_Parts, value)
    if not parsed.movements:
        raise Slip("empty")
    if len(parsed.movements) > MAX_MOVEMENTS:
        raise Slip("schema", f"more than {MAX_MOVEMENTS} movements")
    movements = []
    for movement in parsed.movements:
        if movement.part not in allowed:
            raise Slip("schema", f"unknown part {movement.part!r}")
        phrase = re.sub(r"\s+", " ", movement.change).strip(" .")
        if not phrase or (phrase.startswith("<") and phrase.endswith(">")):
            raise Slip("schema", f"no phrase for {movement.part}")
        try:
            side = own_side(frame, movement.part, parsed.facing_reference)
            movements.append((side, own_words(frame, phrase, parsed.facing_reference)))
        except UnclearSide as error:
            raise Slip(error.kind, error.detail) from None
    if language == "English" and not wording.is_english(" ".join(phrase for _, phrase in movements)):
        raise Slip("language")
    if found := wording.contradiction(movements):
        raise Slip("contradiction", found)
    return Parts(movements, repaired, parsed.left_hand_is)


def read_texts(
    answer: Answer, movements: list[tuple[str, str]], system: str, known: list[str], language: str = "English"
) -> Texts:
    """Check a Stage II answer text by text.

    :param system: the system prompt, to recognise echoes.
    :param known: wordings accepted before, which new ones must not repeat.
    :raises Slip: nothing of the answer can be used because of its form.
    """
    value, repaired = _object(answer)
    texts = [re.sub(r"\s+", " ", text).strip() for text in _validated(_Texts, value).texts]
    if not any(texts):
        raise Slip("empty")
    result = Texts(repaired=repaired)
    for text in filter(None, texts):
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
    if language == "English" and not wording.is_english(text):
        return Slip("language")
    if wording.leaks_colour(text):
        return Slip("leak")
    if language == "English" and (found := wording.unfaithful(text, movements)):
        return Slip("unfaithful", found)
    if any(wording.alike(text, other) for other in known):
        return Slip("duplicate")
    if count_tokens(text) > CLIP_TOKENS:
        return Slip("long")
    return None


def _object(answer: Answer) -> tuple[dict[str, Any], bool]:
    """The JSON object of an answer, and whether it had to be repaired.

    A truncated object is never completed: that would drop movements silently.
    """
    if answer.refusal:
        raise Slip("refused", answer.refusal[:200])
    if answer.finish == "content_filter":
        raise Slip("filtered")
    if answer.finish == "length":
        raise Slip("length")
    raw = answer.raw.strip()
    try:
        value, repaired = json.loads(raw), False
    except ValueError:
        value, repaired = _repair(raw), True
    if not isinstance(value, dict):
        if REFUSALS.search(raw):
            raise Slip("refused", raw[:200])
        raise Slip("schema", "it holds no JSON object" if raw else "it is empty")
    return value, repaired


def _repair(raw: str) -> Any:
    """The JSON object amid prose, code fences and trailing commas; None without a complete one.

    Only the outermost object counts: an inner one of a cut answer must not be taken for the whole.
    """
    start = re.search(r'\{\s*["}]', raw)
    for text in (raw, re.sub(r",(\s*[}\]])", r"\1", raw)) if start else ():
        try:
            return json.JSONDecoder().raw_decode(text, start.start() if start else 0)[0]
        except ValueError:
            continue
    return None


def _validated(model: type[_M], value: dict[str, Any]) -> _M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise Slip("schema", f"{where}: {first['msg']}") from None
