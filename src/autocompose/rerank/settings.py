"""What decides an order (``Recipe``), and who is asked at which price (``Reranker``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from autocompose.core.config import Config
from autocompose.core.errors import ConfigError
from autocompose.describe.mllm.cost_estimate import SECONDS, Estimate
from autocompose.describe.mllm.recipe import Endpoint, Limits
from autocompose.describe.mllm.sending.client import Client
from autocompose.describe.mllm.sending.costs import Costs, load_costs
from autocompose.rerank.prompts import Prompts, load_prompts

JOURNAL = "rerank.sqlite"
COLUMNS = 5  # of a grid
MAX_CANDIDATES = 20  # more do not fit into one readable picture
TYPICAL = {"grid": 30, "single": 20}
"""Completion tokens of an answer."""
USER_TEXT = 400  # characters
PRICED = 512  # pixels of the square picture that price tables speak of


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
    top: int = Field(10, ge=2, le=MAX_CANDIDATES)
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

    def check(self) -> None:
        """See that the model can be asked, before anybody waits for it.

        :raises ConfigError: the variable with the key is not set; DependencyError: the client is not installed.
        """
        Client(self.endpoint)

    def record(self) -> dict[str, Any]:
        """As JSON-able settings, for another process."""
        values = {name: getattr(self, name).model_dump(mode="json") for name in ("recipe", "endpoint", "limits")}
        return {**values, "prices": None if self.prices is None else str(self.prices)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Reranker:
        """The inverse of ``record``."""
        prices = record["prices"]
        return cls(
            Recipe.parse(record["recipe"], "rerank"), Endpoint.parse(record["endpoint"], "rerank"),
            Limits.parse(record["limits"], "rerank"), None if prices is None else Path(prices),
        )  # fmt: skip

    def about(self) -> dict[str, Any]:
        """For the record of an evaluation."""
        return {**self.recipe.model_dump(mode="json"), "prompts": self.prompts.hash, "host": self.endpoint.host}

    def estimate(self, candidates: Sequence[int]) -> Estimate:
        """Requests, tokens and money of queries with so many candidates each (no question is repeated)."""
        way = self.recipe.way
        requests = len(candidates) if way == "grid" else sum(candidates)
        shown = sum(_share(count, self.recipe.size) for count in candidates) if way == "grid" else requests
        system = self.prompts.system(way, named=MAX_CANDIDATES) + " " * USER_TEXT
        # each request shows the reference, too
        prompt = requests * self.costs.prompt_tokens(system, 1) + self.costs.prompt_tokens("", shown)
        completion = requests * TYPICAL[way]
        dollars = self.costs.of(prompt, completion) if self.costs.price else None
        seconds = requests * SECONDS / min(self.limits.slots, max(1, requests))
        return Estimate(len(candidates), requests, prompt, completion, dollars, seconds, self.costs.state)


def _share(count: int, size: int) -> int:
    """As how many pictures of a price table a grid counts."""
    columns = min(COLUMNS, count)
    return max(1, round(columns * -(-count // columns) * size**2 / PRICED**2))
