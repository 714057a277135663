"""One pair under one edit: Stage I (body parts, from pictures), then Stage II (wordings, from the parts' text only).

Each stage sends a question and checks the answer. A wrong answer leads to the same question with one more line, so the
conversation never grows. The stages are a generator that yields questions and receives answers; who answers does not
matter: a live server (``annotate``), a batch service or a cluster (``rounds``), or a list in a test.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeVar

from autocompose.describe.mllm.asking.prompts import Prompts
from autocompose.describe.mllm.asks import Answer, Ask, Picture, Unanswered
from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.judging.answers import Parts, Slip, Texts, read_parts, read_texts
from autocompose.describe.mllm.recipe import Recipe

Q = TypeVar("Q")
R = TypeVar("R")
MAX_SAMPLES = 3
ONCE = {"refused", "filtered", "length", "empty", "language", "self_check"}
"""Kinds that are asked again only once."""
NEVER = {"profile"}
"""Kinds of Stage I that the same question cannot mend."""


@dataclass
class Outcome:
    """The result for one pair.

    :param state: ``done`` or ``failed``.
    :param stage: where it ended: ``parts`` or ``texts``.
    :param kind: why it failed; for a finished pair, its imperfection (``short``, ``long``), else ''.
    :param texts: wordings; those in ``long`` have more than 77 CLIP tokens.
    :param frame: the frame of the pair's questions.
    """

    state: str
    stage: str
    kind: str = ""
    detail: str = ""
    parts: list[tuple[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    long: list[str] = field(default_factory=list)
    repaired: int = 0
    frame: Frame | None = None


Steps = Generator[Ask, Answer, Outcome]
"""Questions out, answers in, and the outcome at the end; ``Unanswered`` may be thrown in instead of an answer."""


def advance(steps: Generator[Q, Answer, R], reply: Answer | Unanswered | None = None) -> Q | R:
    """The next question of a generator, or its final result.

    :param reply: to the question before; None for the first.
    """
    try:
        if reply is None:
            return next(steps)
        return steps.throw(reply) if isinstance(reply, Unanswered) else steps.send(reply)
    except StopIteration as end:
        return end.value


@dataclass(frozen=True)
class Stages:
    """Builds the questions of a recipe and takes a pair through them."""

    recipe: Recipe
    prompts: Prompts

    def describe(
        self, pictures: tuple[Picture, ...], edit: str, hints: tuple[str, ...] = (), left_hand: str | None = None,
        moved: bool = False,
    ) -> Steps:  # fmt: skip
        """Take one pair through both stages.

        :param pictures: reference and target as they are sent (or one with both).
        :param hints: measured changes for the grounded mode.
        :param left_hand: the true place of the person's left hand (``image_left``/``image_right``), None when unknown.
        :param moved: the known poses say that something moved, so that an answer without movements is wrong.
        """
        try:
            parts = yield from self._parts(pictures, edit, hints, left_hand, moved)
        except Slip as slip:
            return Outcome("failed", "parts", slip.kind, slip.detail)
        except Unanswered as error:
            return Outcome("failed", "parts", error.reason, error.words)
        try:
            texts = yield from self._texts(parts.movements, edit)
        except Unanswered as error:
            return Outcome("failed", "texts", error.reason, error.words, parts.movements, repaired=int(parts.repaired))
        return self._described(parts, texts)

    def _described(self, parts: Parts, texts: Texts) -> Outcome:
        repaired = int(parts.repaired) + int(texts.repaired)
        wanted = self.recipe.texts
        kept = texts.good[:wanted]
        long = texts.long[: wanted - len(kept)]
        if not kept and not long:
            last = texts.slip or Slip("empty")
            return Outcome("failed", "texts", last.kind, last.detail, parts.movements, repaired=repaired)
        kind = "" if len(kept) == wanted else ("long" if len(kept) + len(long) == wanted else "short")
        detail = texts.slip.detail or texts.slip.kind if kind and texts.slip else ""
        return Outcome("done", "texts", kind, detail, parts.movements, kept + long, long, repaired)

    def _parts(
        self, pictures: tuple[Picture, ...], edit: str, hints: tuple[str, ...], left_hand: str | None, moved: bool
    ) -> Generator[Ask, Answer, Parts]:
        recipe = self.recipe
        allowed = self.prompts.parts(recipe.frame)
        slip: Slip | None = None
        for sample in range(MAX_SAMPLES):
            answer = yield self.parts_ask(pictures, edit, hints, sample, slip)
            try:
                parts = read_parts(answer, recipe.frame, allowed, recipe.language)
                if recipe.self_check and left_hand and parts.left_hand_is != left_hand:
                    raise Slip(
                        "self_check", f"the left hand is at {left_hand}, not at {parts.left_hand_is or 'nothing'}"
                    )
                return parts
            except Slip as error:
                again = slip is not None and error.kind == slip.kind and error.kind in ONCE
                if again or error.kind in NEVER or (error.kind == "empty" and not moved):
                    raise
                slip = error
        assert slip is not None
        raise slip

    def _texts(self, movements: list[tuple[str, str]], edit: str) -> Generator[Ask, Answer, Texts]:
        """Collect wordings until three answers in a row add none; only the missing ones are requested."""
        so_far = Texts()
        sample = barren = 0
        while len(so_far.good) < self.recipe.texts and barren < MAX_SAMPLES:
            question = self.texts_ask(movements, edit, so_far, sample)
            answer = yield question
            last, had = so_far.slip, len(so_far.good)
            so_far.slip = None
            sample += 1
            try:
                new = read_texts(answer, movements, question.system, so_far.good, self.recipe.language)
                so_far.good += new.good
                so_far.long += new.long
                so_far.slip, so_far.repaired = new.slip, so_far.repaired or new.repaired
            except Slip as error:
                so_far.slip = error
            barren = barren + 1 if len(so_far.good) == had else 0
            if last and so_far.slip and so_far.slip.kind == last.kind and last.kind in ONCE:
                break
        return so_far

    def parts_ask(
        self,
        pictures: tuple[Picture, ...],
        edit: str,
        hints: tuple[str, ...] = (),
        sample: int = 0,
        slip: Slip | None = None,
    ) -> Ask:
        """The Stage I question.

        :param slip: what was wrong with the last answer.
        """
        recipe, line = self.recipe, self.prompts.line
        content: list[str | Picture]
        if recipe.side_view:
            beside = self.prompts.side_view(recipe.frame)
            content = [line("parts", "reference"), pictures[0], beside, pictures[1]]
            content += [line("parts", "target"), pictures[2], beside, pictures[3]]
        elif len(pictures) == 2:
            content = [line("parts", "reference"), pictures[0], line("parts", "target"), pictures[1]]
        else:
            content = [line("parts", "beside"), *pictures]
        aids = [line("parts", "joints")] if recipe.joints else []
        aids += [line("parts", "hints"), *(f"- {hint}" for hint in hints)] if hints else []
        aids += [line("parts", "self_check")] if recipe.self_check else []
        content.append("\n".join([*aids, line("parts", "task"), *self._again(slip)]))
        name = f"parts.{recipe.frame}"
        schema = self.prompts.schema(name)
        if recipe.self_check:
            check = {"left_hand_is": {"type": "string", "enum": ["image_left", "image_right"]}}
            schema = {**schema, "properties": check | schema["properties"], "required": [*check, *schema["required"]]}
        system = self.prompts.system(name, recipe.language, self.prompts.parts(recipe.frame))
        return self._ask("parts", system, tuple(content), schema, edit, sample, slip)

    def texts_ask(
        self, movements: list[tuple[str, str]], edit: str, so_far: Texts | None = None, sample: int = 0
    ) -> Ask:
        """The Stage II question: the parts in words, and the number of wordings still missing."""
        so_far = so_far or Texts()
        line = self.prompts.line
        count = self.recipe.texts - len(so_far.good)
        lines = [line("texts", "movements"), *(f"- {part}: {phrase}" for part, phrase in movements), ""]
        if so_far.good:
            lines += [line("texts", "others"), *(f"- {text}" for text in so_far.good), ""]
        lines += [line("texts", "task", count=count), *self._again(so_far.slip)]
        system = self.prompts.system("texts", self.recipe.language)
        return self._ask("texts", system, ("\n".join(lines),), self.prompts.schema("texts"), edit, sample, so_far.slip)

    def _ask(
        self, stage: str, system: str, content: tuple[str | Picture, ...], schema: dict, edit: str, sample: int,
        slip: Slip | None,
    ) -> Ask:  # fmt: skip
        doubled = 2 if slip is not None and slip.kind == "length" else 1
        recipe = self.recipe
        return Ask(
            stage, system, content, schema, recipe.model, recipe.max_tokens * doubled, recipe.temperature,
            recipe.detail, edit, sample,
        )  # fmt: skip

    def _again(self, slip: Slip | None) -> list[str]:
        if slip is None:
            return []
        return [self.prompts.line("again", slip.kind, detail=slip.detail, language=self.recipe.language)]
