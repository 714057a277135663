"""Prices per model, and the estimated cost of a question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from autocompose.core.config import Config, read_toml
from autocompose.core.errors import ConfigError
from autocompose.describe.mllm.asks import Answer, Ask
from autocompose.describe.mllm.sending.completion import PICTURE, estimate_tokens

BUILT_IN = Path(__file__).parent / "costs.toml"
UNKNOWN = "price unknown"


class Price(Config):
    """Dollars per million tokens, and tokens per picture."""

    input: float
    output: float
    picture: int = PICTURE


@dataclass(frozen=True)
class Costs:
    """What one model costs.

    :param price: None when the model is in no table; then no cost is stated, and a cost limit is impossible.
    :param as_of: date of the table.
    """

    price: Price | None
    as_of: str = ""

    @property
    def date(self) -> str:
        """Age of the price: the date of its table, or ``unknown`` without a price; '' where requests are free."""
        if self.price is None:
            return "unknown"
        return "" if self.price.input == self.price.output == 0 else self.as_of or "an undated table"

    @property
    def state(self) -> str:
        """The same in words that follow a sum."""
        return UNKNOWN if self.price is None else f"at prices of {self.date}" if self.date else ""

    def tokens(self, ask: Ask) -> tuple[int, int]:
        """Estimated prompt tokens and maximum completion tokens of a question."""
        return self.prompt_tokens(ask.system + ask.text, len(ask.pictures)), ask.max_tokens

    def prompt_tokens(self, text: str, pictures: int) -> int:
        """Estimated tokens of a text with pictures."""
        return estimate_tokens(text) + (self.price.picture if self.price else PICTURE) * pictures

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars for token counts; 0 when the price is unknown."""
        if self.price is None:
            return 0.0
        return (prompt_tokens * self.price.input + completion_tokens * self.price.output) / 1e6

    def of_answer(self, answer: Answer) -> float:
        """Dollars for an answer."""
        return self.of(answer.prompt_tokens, answer.completion_tokens)


def money(dollars: float, state: str) -> str:
    """A sum with the age of its prices (``Costs.state``); no sum where the price is unknown."""
    if state == UNKNOWN and not dollars:
        return UNKNOWN
    return f"${dollars:.1g} {state}".rstrip() if 0.0001 <= dollars < 0.01 else f"${dollars:.2f} {state}".rstrip()


def load_costs(model: str, loopback: bool, path: Path | None = None) -> Costs:
    """Find the price of a model.

    :param path: a table of the form of ``costs.toml`` that is used instead of the built-in one.
    :raises ConfigError: the table cannot be read.
    """
    path = path or BUILT_IN
    try:
        table = read_toml(path)
        as_of = str(table.pop("as_of", ""))
        prices = {name: Price.model_validate(row) for name, row in table.items()}
    except (ConfigError, ValidationError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"{path}: not a price table ({why}); see {BUILT_IN} for the form") from None
    if loopback:
        return Costs(prices.get("local", Price(input=0, output=0)), as_of)
    name = model.rpartition("/")[2]
    fitting = [known for known in prices if known != "local" and name.startswith(known)]
    return Costs(prices[max(fitting, key=len)] if fitting else None, as_of)
