"""Settings that determine the texts (``Recipe``), and how they are fetched (``Limits``, ``Endpoint``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from autocompose.core.config import Config
from autocompose.core.errors import ConfigError
from autocompose.core.files import value_hash
from autocompose.core.text_fields import Edit
from autocompose.describe.mllm.frames import Frame


class Recipe(Config):
    """Everything that changes a text. Its hash and the prompts' hash make up the version of an annotation.

    :param prompts: name of a built-in prompt set, or a folder with the same files.
    :param pictures: two separate pictures (the default), one with both side by side, or two that are each followed by
        the pose as a skeleton seen from its side (needs 3D joints).
    :param joints: also mark the joints with dots (needs a pose).
    :param grounded: give the measured pair codes as hints (needs 3D joints): of all limbs, or (``depth``) only of those
        whose depth a picture does not show.
    :param self_check: also ask where the person's left hand is, and compare with the pose.
    :param texts: wordings per variant, 1..5.
    :param size: longest side of a sent picture, pixels.
    :param mirror: ``ask`` the model about mirrored pictures, or ``derive`` the mirrored text by exchanging sides.
    :param max_tokens: length limit of one answer.
    """

    model: str
    prompts: str = "v1"
    frame: Frame = Frame.COLOUR
    pictures: Literal["separate", "side-by-side", "with-side-view"] = "separate"
    joints: bool = False
    grounded: bool | Literal["depth"] = False
    self_check: bool = False
    blur_faces: bool = False
    texts: int = Field(3, ge=1, le=5)
    mirror: Literal["ask", "derive"] = "ask"
    size: int = Field(512, ge=64, le=2048)
    format: Literal["jpeg", "png"] = "jpeg"
    detail: Literal["auto", "low", "high"] = "auto"
    temperature: float | None = Field(0.7, ge=0, le=2)
    max_tokens: int = Field(800, ge=16)
    language: str = "English"

    @property
    def side_view(self) -> bool:
        """Each picture is followed by a side view of its pose."""
        return self.pictures == "with-side-view"

    @property
    def speaks_of_sides(self) -> str:
        """The option that names the person's sides, which the frame ``picture`` does not allow; '' if none."""
        return "--grounded" if self.grounded else "--pictures with-side-view" if self.side_view else ""

    def version(self, prompts_hash: str) -> str:
        """The version of an annotation, 16 hexadecimal digits."""
        return value_hash({**self.model_dump(mode="json", exclude={"prompts"}), "prompts": prompts_hash})[:16]

    def to_ask(self, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        """The edits to ask the model about; derived ones need their unmirrored text."""
        if self.mirror == "ask":
            return edits
        plain = {Edit.MIRROR: Edit.PLAIN, Edit.MIRROR_REVERSE: Edit.REVERSE}
        return tuple(dict.fromkeys(plain.get(e, e) for e in edits))


class Limits(Config):
    """Rate, time and cost limits of a run; never part of a question's key.

    :param slots: maximum number of requests in flight.
    :param deadline: seconds for one request in total, even while data arrive.
    :param patience: seconds of rate limiting without a single answer after which the run ends.
    :param max_cost: dollars; the journal's total, requests in flight included, never exceeds it.
    :param max_tokens: the same in tokens.
    """

    slots: int = Field(8, ge=1, le=512)
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    deadline: float = Field(120, gt=0)
    tries: int = Field(5, ge=1)
    backoff: float = Field(1.0, gt=0)
    patience: float = Field(900, gt=0)
    reconnect: float = Field(120, gt=0)
    breaker: int = Field(20, ge=1)
    max_cost: float | None = Field(None, gt=0)
    max_tokens: int | None = Field(None, gt=0)


class Endpoint(Config):
    """An OpenAI-compatible server. The key is read from the environment and never stored or printed."""

    base_url: str = "https://api.openai.com/v1"
    key_env: str = "OPENAI_API_KEY"

    @property
    def host(self) -> str:
        """Host (and port) of the server.

        :raises ConfigError: the address is not an http or https URL.
        """
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"--base-url {self.base_url!r}: expected an address such as http://127.0.0.1:8000/v1")
        return parts.netloc.rpartition("@")[2]

    @property
    def loopback(self) -> bool:
        """The server is on this machine, so pictures do not leave it."""
        name = urlsplit(self.base_url).hostname or ""
        return name in ("localhost", "::1") or name.startswith("127.")

    def key(self) -> str:
        """The API key; a server on this machine needs none.

        :raises ConfigError: the variable is not set.
        """
        key = os.environ.get(self.key_env, "")
        if not key and not self.loopback:
            raise ConfigError(f"{self.key_env} is not set; put the API key of {self.host} into this variable")
        return key or "none"


def journal_path(root: Path) -> Path:
    """Path of a corpus's journal."""
    return Path(root) / "annotation.sqlite"


def jsonable(recipe: Recipe) -> dict[str, Any]:
    """The recipe as it is stored and compared."""
    return recipe.model_dump(mode="json")
