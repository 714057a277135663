"""One query, shared by the command line, the REST interface, the page's address, Python and the ranking."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import ConfigDict, Field, field_validator

from autocompose.core.config import Config
from autocompose.gallery.filter import parse_where

MAX_K = 500
MAX_TEXT = 500
MAX_TRAIL = 50
BLEND_GONE = "blend is no more; auto, the default, adds the scores of both engines instead of their ranks"
_KEY = re.compile(r"[0-9a-f]{15}|u-[0-9a-f]{32}")

ReferenceName = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]
ItemKey = Annotated[str, Field(pattern=r"^[0-9a-f]{15}$")]
TrailEntry = Annotated[str, Field(max_length=600, pattern=r"^([0-9a-f]{15}|u-[0-9a-f]{32})?~")]


class Engine(str, Enum):
    """The ranking engine: both where possible, the model only, or poses and rules only."""

    AUTO = "auto"
    LEARNED = "learned"
    SYMBOLIC = "symbolic"

    def __str__(self) -> str:
        return self.value


class Sides(str, Enum):
    """Whose left a text means: the person's own, or the viewer's."""

    OWN = "own"
    SEEN = "seen"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Step:
    """One step of a search in several steps: from which picture (item id, "" for another picture) with which text."""

    reference: str
    text: str

    @property
    def entry(self) -> str:
        """As it stands in an address."""
        return f"{self.reference}~{self.text}"


class SearchRequest(Config):
    """A validated query; every field has a default, so an address contains only what differs."""

    model_config = ConfigDict(extra="ignore")  # addresses carry what other sites append

    ref: ReferenceName = Field(
        "", description="Reference picture: an item's id or path, or the ref that an upload returned."
    )
    text: str = Field("", max_length=MAX_TEXT, description="What to change, such as 'raise the left arm'.")
    weight: float = Field(0.5, ge=0, le=1, description="Text against picture; 0.5 = as the engine balances them.")
    mirror: bool = Field(False, description="Mirror the reference, and left and right in the text.")
    sides: Sides = Field(Sides.OWN, description="Whose left the text means: the person's own, or as seen.")
    engine: Engine = Field(Engine.AUTO, description="What ranks: auto (the best that can answer), learned, symbolic.")
    k: int = Field(24, ge=1, le=MAX_K, description="How many results.")
    where: list[str] = Field([], max_length=100, description="Filters COLUMN=VALUE.")
    like: list[ItemKey] = Field([], max_length=20, description="Item ids to come closer to.")
    unlike: list[ItemKey] = Field([], max_length=20, description="Item ids to get away from.")
    trail: list[TrailEntry] = Field([], max_length=MAX_TRAIL, description="Earlier steps REF~TEXT, shown but not used.")

    @field_validator("where", "like", "unlike", "trail", mode="before")
    @classmethod
    def _without_blanks(cls, values: Any) -> Any:
        return [v for v in values if v != ""] if isinstance(values, list) else values

    @field_validator("text")
    @classmethod
    def _plain(cls, text: str) -> str:
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())

    @field_validator("engine", mode="before")
    @classmethod
    def _known(cls, engine: Any) -> Any:
        if engine == "blend":
            raise ValueError(BLEND_GONE)
        return engine

    @classmethod
    def of(cls, query: Iterable[tuple[str, str]]) -> SearchRequest:
        """The request of an address' query, which has been found valid."""
        values: dict[str, Any] = {}
        for name, value in query:
            field = cls.model_fields.get(name)
            values[name] = [*values.get(name, []), value] if field and field.default == [] else value
        return cls.parse(values, "query")

    @property
    def conditions(self) -> dict[str, tuple[str, ...]]:
        """The filters: column -> allowed values."""
        return parse_where(self.where)

    @property
    def asks(self) -> bool:
        """Whether there is anything to search for."""
        return bool(self.ref or self.text or self.like)

    @property
    def by_key(self) -> bool:
        """The reference is named by an item's or upload's key."""
        return _KEY.fullmatch(self.ref) is not None

    @property
    def steps(self) -> list[Step]:
        """The parsed trail."""
        return [Step(*entry.split("~", 1)) for entry in self.trail]

    def url(self, **changes: Any) -> str:
        """The page's address with some values changed; what equals the default is left out."""
        values = {**self.model_dump(mode="json"), **changes}
        shown = {name: v for name, v in values.items() if v != type(self).model_fields[name].default}
        query = urlencode({n: str(v).lower() if isinstance(v, bool) else v for n, v in shown.items()}, doseq=True)
        return f"/?{query}" if query else "/"

    def clip_list(self, kind: str) -> str:
        """The address of the results as a list of clips. :param kind: csv or edl."""
        return f"/api/clips.{kind}{self.url()[1:]}"

    def onward(self, key: str) -> str:
        """The address that continues from a result: it becomes the reference, and this query a step of the trail."""
        step = Step(self.ref, self.text).entry
        return self.url(ref=key, text="", like=[], unlike=[], trail=[*self.trail, step][-MAX_TRAIL:])

    def back_to(self, number: int) -> str:
        """The address of an earlier step of the trail."""
        step = self.steps[number]
        return self.url(ref=step.reference, text=step.text, like=[], unlike=[], trail=self.trail[:number])
