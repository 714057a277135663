"""Options of re-ranking, which several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autocompose.core.errors import ConfigError

if TYPE_CHECKING:
    from autocompose.rerank.settings import Reranker

PANEL = "Re-ranking"
Rerank = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        help="mllm: let a multimodal LLM put the first results in order.",
        show_default="no re-ranking",
        rich_help_panel=PANEL,
    ),
]
RerankModel = Annotated[
    str,
    typer.Option(
        envvar="AUTOCOMPOSE_RERANK_MODEL", help="Name of the model on the server.", show_default="none",
        rich_help_panel=PANEL,
    ),
]  # fmt: skip
RerankUrl = Annotated[
    str,
    typer.Option(
        envvar="AUTOCOMPOSE_RERANK_URL", help="Address of an OpenAI-compatible server.", rich_help_panel=PANEL
    ),
]
KeyEnv = Annotated[str, typer.Option(help="Environment variable that holds the API key.", rich_help_panel=PANEL)]
Way = Annotated[
    str,
    typer.Option(
        help="grid: one request shows all candidates, numbered; single: one request for each.", rich_help_panel=PANEL
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        help="Maximum total cost of this folder's journal in US dollars.", show_default="no limit",
        rich_help_panel=PANEL,
    ),
]  # fmt: skip
MaxTokens = Annotated[
    int | None,
    typer.Option(
        help="Maximum total number of tokens of this folder's journal.", show_default="no limit", rich_help_panel=PANEL
    ),
]
Prices = Annotated[
    Path | None, typer.Option(help="TOML file with prices.", show_default="built-in prices", rich_help_panel=PANEL)
]
URL, KEY, WAY = "https://api.openai.com/v1", "OPENAI_API_KEY", "grid"


def reranker_of(
    rerank: str | None,
    model: str,
    url: str,
    key_env: str,
    way: str,
    max_cost: float | None,
    max_tokens: int | None,
    prices: Path | None,
    top: int | None = None,
    slots: int = 8,
) -> Reranker | None:
    """Who re-ranks; None: nobody does.

    :param top: how many of the first results; None: as the recipe says.
    :raises ConfigError: a value is refused, or the model is not named.
    """
    if rerank is None:
        return None
    if rerank != "mllm":
        raise ConfigError(f"--rerank {rerank}: expected mllm")
    if not model:
        raise ConfigError("--rerank mllm: name the model with --rerank-model (and its server with --rerank-url)")
    from autocompose.describe.mllm.recipe import Endpoint, Limits
    from autocompose.rerank.settings import Recipe, Reranker

    recipe: dict[str, Any] = {"model": model, "way": way} | ({} if top is None else {"top": top})
    limits = {"slots": slots, "max_cost": max_cost, "max_tokens": max_tokens}
    endpoint = Endpoint(base_url=url, key_env=key_env)
    return Reranker(Recipe.parse(recipe, "--rerank"), endpoint, Limits.parse(limits, "--rerank"), prices)
