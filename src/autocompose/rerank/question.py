"""One query with its candidates: questions out, answers in, and at the end a new order of the candidates.

An answer is checked as those of the annotation engine are; a wrong one is asked again with one more line. Candidates
that no answer names keep their order behind those that are named, and without any usable answer nothing changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel

from autocompose.describe.mllm.asking.dialogue import MAX_SAMPLES, ONCE
from autocompose.describe.mllm.asking.sent_pictures import encode
from autocompose.describe.mllm.asks import Answer, Ask, Picture, Unanswered
from autocompose.describe.mllm.judging.answers import Slip, answer_object, validated
from autocompose.rerank.pictures import Shown, grid
from autocompose.rerank.settings import COLUMNS, Reranker

NAMED = 5  # candidates that an answer should name at most
NONE = "none fits"  # why an order is as it was: the model said so


@dataclass(frozen=True)
class Query:
    """What the model is shown.

    :param text: in the person's own sides.
    :param reference: None: the text describes the pose itself.
    :param candidates: the first answers, best first; at least two.
    :param name: what is the same when the same query comes again; it decides how the candidates are shuffled.
    """

    text: str
    reference: Shown | None
    candidates: tuple[Shown, ...]
    name: str


@dataclass(frozen=True)
class Verdict:
    """What came of a query.

    :param order: places of the candidates as they came (from 0), best first.
    :param unchanged: why the order is as it was; "" when an answer decided it.
    :param failed: kind of the last fault of questions without a usable answer, for ``single`` one for each.
    """

    order: tuple[int, ...]
    unchanged: str = ""
    failed: tuple[str, ...] = ()


Reply = list[int] | float | Slip
"""Numbers of a grid, best first; a score; or why there is no usable answer."""
Steps = Generator[Ask, Answer, Reply]
Reader = Callable[[Answer], list[int] | float]
"""What an answer says; raises ``Slip`` where it cannot be used."""


class _Best(BaseModel):
    best: list[int]


class _Fulfils(BaseModel):
    fulfils: Literal["yes", "no"]
    sure: float


def steps_of(query: Query, reranker: Reranker) -> list[Steps]:
    """The questions of a query, each with its repetitions; they may be answered side by side.

    ``Unanswered`` may be thrown in instead of an answer. The replies, in this order, make the ``verdict``.
    """
    if reranker.recipe.way == "grid":
        return [_repeated(reranker, _grid_content(query, reranker), "grid", _best(len(query.candidates)))]
    return [
        _repeated(reranker, _single_content(query, shown, reranker), "single", _score) for shown in query.candidates
    ]


def verdict(query: Query, reranker: Reranker, replies: Sequence[Reply]) -> Verdict:
    """What the replies to a query's questions come to."""
    count = len(query.candidates)
    failed = tuple(reply.kind for reply in replies if isinstance(reply, Slip))
    if len(failed) == len(replies):
        return Verdict(tuple(range(count)), failed[-1], failed)
    if reranker.recipe.way == "grid":
        (numbers,) = (reply for reply in replies if isinstance(reply, list))
        places = shuffled(query.name, reranker.recipe.seed, count)
        return Verdict(ordered([places[n - 1] for n in numbers], count), "" if numbers else NONE)
    scores = {place: reply for place, reply in enumerate(replies) if isinstance(reply, float)}
    # a candidate without an answer keeps its place; the others share theirs
    best = iter(sorted(scores, key=lambda place: -scores[place]))
    return Verdict(tuple(next(best) if place in scores else place for place in range(count)), "", failed)


def shuffled(name: str, seed: int, count: int) -> list[int]:
    """The places of the candidates in the order in which a grid shows them; the same for the same query and seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    order: list[int] = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(count).tolist()
    return order


def ordered(named: Sequence[int], count: int) -> tuple[int, ...]:
    """Places that are named, once each, then the others as they were."""
    return tuple(dict.fromkeys([*named, *range(count)]))


def _grid_content(query: Query, reranker: Reranker) -> list[str | Picture]:
    count, tinted = len(query.candidates), any(candidate.tinted for candidate in query.candidates)
    places = shuffled(query.name, reranker.recipe.seed, count)
    picture = grid([query.candidates[place].image for place in places], reranker.recipe.size)
    title = reranker.prompts.line("user", "grid", count=count, columns=min(COLUMNS, count))
    return _content(query, reranker, title, picture, tinted)


def _single_content(query: Query, candidate: Shown, reranker: Reranker) -> list[str | Picture]:
    return _content(query, reranker, reranker.prompts.line("user", "single"), candidate.image, candidate.tinted)


def _content(query: Query, reranker: Reranker, title: str, image: Image.Image, tinted: bool) -> list[str | Picture]:
    line = reranker.prompts.line
    content: list[str | Picture] = []
    if query.reference is not None:
        content += [line("user", "reference"), encode(query.reference.image, "jpeg")]
        tinted = tinted or query.reference.tinted
    content += [line("user", "text", text=query.text), title, encode(image, "jpeg")]
    return [*content, *([line("user", "colours")] if tinted else [])]


def _best(count: int) -> Reader:
    def read(answer: Answer) -> list[int]:
        numbers = validated(_Best, answer_object(answer, "best")[0]).best
        unknown = [n for n in numbers if not 1 <= n <= count]
        if unknown:
            raise Slip("schema", f"{unknown[0]} is not among the candidates 1 to {count}")
        return numbers

    return read


def _score(answer: Answer) -> float:
    """-100 (surely no) to 100 (surely yes)."""
    verdict = validated(_Fulfils, answer_object(answer, "fulfils", str)[0])
    if not 0 <= verdict.sure <= 100:
        raise Slip("schema", f"sure is {verdict.sure:g}, expected 0 to 100")
    return verdict.sure if verdict.fulfils == "yes" else -verdict.sure


def _repeated(reranker: Reranker, content: list[str | Picture], way: str, read: Reader) -> Steps:
    """Repeat the question until an answer is usable or the same fault returns."""
    recipe, prompts = reranker.recipe, reranker.prompts
    system, schema = prompts.system(way, named=NAMED), prompts.schema(way)
    slip: Slip | None = None
    for sample in range(MAX_SAMPLES):
        again = [] if slip is None else [prompts.line("again", slip.kind, detail=slip.detail)]
        task = "\n".join([prompts.line("user", f"{way}_task"), *again])
        tokens = recipe.max_tokens * (2 if slip is not None and slip.kind == "length" else 1)
        try:
            answer = yield Ask(
                f"rerank-{way}", system, (*content, task), schema, recipe.model, tokens, recipe.temperature,
                recipe.detail, "", sample,
            )  # fmt: skip
            return read(answer)
        except Unanswered as error:
            return Slip(error.reason, error.words)
        except Slip as error:
            again_so = slip is not None and error.kind == slip.kind and error.kind in ONCE
            slip = error
            if again_so:
                break
    assert slip is not None
    return slip
