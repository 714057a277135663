"""Settings of a foreign embedder, from options of the command line or a TOML file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from autocompose.core.config import Config
from autocompose.describe.mllm.recipe import Limits

COMPOSED_PROMPT = (
    "Given a picture of a person and a change of pose, find the picture that shows the pose after the change. "
    "Left and right are the person's own."
)
TEXT_PROMPT = "Find the picture of a person in the described pose. Left and right are the person's own."


class EmbedderOptions(Config):
    """How a model that is not ours is used.

    :param query_prompt: instruction for queries; None: for models that embed picture and text together a default for
        changes of pose, for others their own; "" = none.
    :param document_prompt: instruction for the pictures of a gallery; None: the model's own.
    :param text_weight: weight of the text (0 to 1) in a normalised sum; None: a model that can embeds picture and text
        together, for others ``evaluate`` fits it on val, and it is 0.5 elsewhere.
    :param batch_size: inputs of a local model at a time, texts in one request of an endpoint.
    :param key_env: environment variable that holds the endpoint's key.
    :param body: fields added to every request of an endpoint, such as ``dimensions``.
    :param picture_side: longest side of a picture that is sent, pixels; ``picture_format``: how it is encoded.
    :param limits: slots, rates and deadlines of an endpoint, as for annotation.
    """

    query_prompt: str | None = None
    document_prompt: str | None = None
    text_weight: float | None = Field(None, ge=0, le=1)
    batch_size: int = Field(16, ge=1, le=1024)
    key_env: str = "OPENAI_API_KEY"
    body: dict[str, Any] = Field({})
    picture_side: int = Field(768, ge=32, le=4096)
    picture_format: Literal["jpeg", "png"] = "jpeg"
    limits: Limits = Limits()

    @property
    def composed_prompt(self) -> str:
        """The instruction for a picture with a text."""
        return COMPOSED_PROMPT if self.query_prompt is None else self.query_prompt

    @property
    def text_prompt(self) -> str:
        """The instruction for a text alone, of a model that follows instructions."""
        return TEXT_PROMPT if self.query_prompt is None else self.query_prompt

    def changed(self) -> dict[str, Any]:
        """The settings that differ from the defaults; JSON-able."""
        return self.model_dump(mode="json", exclude_defaults=True)
