"""What decides an order (``Recipe``), and who is asked at which price (``Reranker``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from autocompose.core.config import Config
from autocompose.core.errors import ConfigError
from autocompose.describe.mllm.cost_estimate import SECONDS, Estimate
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.describe.mllm.sending.costs import Costs, load_costs
from autocompose.rerank.prompts import Prompts, load_prompts

JOURNAL = "rerank.sqlite"
MOST_CANDIDATES = 20  # more do not fit into one readable picture
TYPICAL = {"grid": 30, "single": 20}
"""Completion tokens of an answer."""


class Recipe(Config):
    """Everything that changes an order.

    :param way: ``grid``: one request shows all candidates in one picture; ``single``: one request for each candidate.
    :param top: how many of the first answers are put in order.
    :param size: longest side of a picture in pixels; in a grid, of each candidate.
    :param seed: of the order in which a grid shows its candidates.
    :param prompts: name of a built-in prompt set, or a folder with the same files.
    """

    model: str = Field(min_length=1)
    way: Literal["grid", "single"] = "grid"
    top: int = Field(10, ge=2, le=MOST_CANDIDATES)
    size: int = Field(320, ge=64, le=1024)
    seed: int = 0
    prompts: str = "v1"
    detail: Literal["auto", "low", "high"] = "auto"
    temperature: float | None = Field(0.0, ge=0, le=2)
    max_tokens: int = Field(400, ge=16)


@dataclass(frozen=True)
class Reranker:
    """A multimodal LLM that puts answers in order.

    :param prices: a price table of the user's own.
    :raises ConfigError: a cost limit for a model whose price is unknown, or no such prompts.
    """

    recipe: Recipe
    endpoint: Endpoint = field(default_factory=Endpoint)
    limits: Limits = field(default_factory=Limits)
    prices: Path | None = None

    def __post_init__(self) -> None:
        _ = self.prompts, self.endpoint.host
        if self.limits.max_cost is not None and self.costs.price is None:
            raise ConfigError(
                f"--max-cost: the price of {self.recipe.model} is unknown; pass --prices, or use --max-tokens"
            )

    @cached_property
    def prompts(self) -> Prompts:
        """The prompt set."""
        return load_prompts(self.recipe.prompts)

    @cached_property
    def costs(self) -> Costs:
        """The model's price."""
        return load_costs(self.recipe.model, self.endpoint.loopback, self.prices)

    @property
    def dialect_name(self) -> str:
        """Where the journal remembers how the server wants to be asked."""
        return f"dialect:{self.endpoint.host}:{self.recipe.model}"

    @property
    def consent_name(self) -> str:
        """Where the journal remembers that pictures may be sent there."""
        return f"consent:{self.endpoint.host}:{self.recipe.model}"

    def about(self) -> dict[str, Any]:
        """For the record of an evaluation."""
        return {**self.recipe.model_dump(mode="json"), "prompts": self.prompts.hash, "host": self.endpoint.host}

    def estimate(self, candidates: Sequence[int]) -> Estimate:
        """Requests, tokens and money of queries with so many candidates each (no question is repeated)."""
        way = self.recipe.way
        requests = len(candidates) if way == "grid" else sum(candidates)
        system = self.prompts.system(way, named=MOST_CANDIDATES)
        prompt = requests * self.costs.prompt_tokens(system + " " * 400, 2)  # the reference and the candidates
        completion = requests * TYPICAL[way]
        dollars = self.costs.of(prompt, completion) if self.costs.price else None
        seconds = requests * SECONDS / min(self.limits.slots, max(1, requests))
        return Estimate(len(candidates), requests, prompt, completion, dollars, seconds, self.costs.state)
