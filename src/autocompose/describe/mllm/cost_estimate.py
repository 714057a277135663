"""Estimate of a run's requests and cost, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from autocompose.core.errors import ImageError
from autocompose.describe.mllm.asks import Ask, Picture
from autocompose.describe.mllm.recipe import Recipe
from autocompose.describe.mllm.sending.costs import UNKNOWN, money

if TYPE_CHECKING:
    from autocompose.describe.mllm.job import Job

TYPICAL = {"parts": 120, "texts": 60}
"""Completion tokens of a Stage I answer, and of each wording of a Stage II answer."""
EXAMPLE = [("left arm", "raise it sideways to shoulder height"), ("right knee", "bend it a little more")]
SECONDS = 3.0


@dataclass(frozen=True)
class Estimate:
    """Requests, tokens and money of a run; ``dollars`` is None when the price is unknown.

    :param seconds: with all slots busy and 3 s per answer.
    :param state: age of the price.
    """

    items: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    dollars: float | None
    seconds: float
    state: str = ""

    @property
    def cost(self) -> str:
        """Dollars and the age of the price, in words."""
        return UNKNOWN if self.dollars is None else f"about {money(self.dollars, self.state)}"

    def line(self) -> str:
        """One line for the console."""
        tokens = f"{self.prompt_tokens + self.completion_tokens:,} tokens"
        minutes = self.seconds / 60
        return f"{self.requests:,} requests, {tokens}, {self.cost}, {minutes:.0f} min at {SECONDS:g} s per answer"


def estimate(job: Job) -> Estimate:
    """Estimate a job from its first pair (repeated questions are not included)."""
    total = sum(1 for _ in job.items())
    prompt = completion = 0
    if total:
        for ask in example_asks(job):
            prompt += job.costs.tokens(ask)[0]
            completion += TYPICAL[ask.stage] * (job.recipe.texts if ask.stage == "texts" else 1)
    prompt, completion = prompt * total, completion * total
    dollars = job.costs.of(prompt, completion) if job.costs.price else None
    seconds = 2 * total * SECONDS / job.limits.slots
    return Estimate(total, 2 * total, prompt, completion, dollars, seconds, job.costs.state)


def example_asks(job: Job) -> tuple[Ask, Ask]:
    """A Stage I and a Stage II question of the job, with stand-ins for pictures and parts."""
    pictures = tuple(Picture(b"", "image/jpeg") for _ in range(picture_count(job.recipe)))
    stages = next(iter(job.stages.values()))
    return stages.parts_ask(pictures, "mllm"), stages.texts_ask(EXAMPLE, "mllm")


def picture_count(recipe: Recipe) -> int:
    """Pictures per Stage I question."""
    return {"separate": 2, "side-by-side": 1, "with-side-view": 4}[recipe.pictures]


def dry_run(job: Job, prompts: int = 3) -> str:
    """Full prompts of the first pairs and what the run would cost, as text."""
    blocks = []
    for item in islice(job.items(), prompts):
        try:
            frame = job.frame_of(item)
            aids = {k: v for k, v in job.prepared(item, frame).items() if k not in ("left_hand", "moved")}
            ask = job.stages[frame].parts_ask(**aids)
        except ImageError as error:
            blocks.append(f"--- {item}\n{error}")
            continue
        sizes = ", ".join(f"{p.mime} {len(p.data):,} bytes" for p in ask.pictures)
        blocks.append(f"--- Stage I, {item}\n[system]\n{ask.system}\n[user; {sizes}]\n{ask.text}")
    second = next(iter(job.stages.values())).texts_ask(EXAMPLE, "mllm")
    blocks.append(f"--- Stage II, with made-up movements\n[system]\n{second.system}\n[user]\n{second.text}")
    cost = estimate(job)
    unknown = {name for item in job.items() for name in (item.reference, item.target)}
    blocks.append(f"{cost.items:,} variants of {len(unknown):,} pictures: {cost.line()}; nothing was sent")
    return "\n\n".join(blocks)
