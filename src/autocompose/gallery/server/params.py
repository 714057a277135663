"""A query as it stands in a URL: the same names for the web page and for ``/api/search``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

from autocompose.gallery.item import NotThereError
from autocompose.gallery.query import Engine, Sides, Step

if TYPE_CHECKING:
    from autocompose.gallery.storage.store import Store

Reference = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]
ItemKey = Annotated[str, Field(pattern=r"^[0-9a-f]{15}$")]
Trail = Annotated[str, Field(max_length=600, pattern=r"^([0-9a-f]{15}|u-[0-9a-f]{32})?~")]


_KEY = re.compile(r"[0-9a-f]{15}|u-[0-9a-f]{32}")


class SearchParams(BaseModel):
    """What can be asked; every field has a default, so a query's URL holds only what differs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ref: Reference = Field(
        "", description="Reference picture: an item's id or path, or the ref that an upload returned."
    )
    text: str = Field("", max_length=500, description="What to change, such as 'raise the left arm'.")
    weight: float = Field(0.5, ge=0, le=1, description="Text against picture; 0.5 = as the model composes them.")
    mirror: bool = Field(False, description="Mirror the reference, and left and right in the text.")
    sides: Sides = Field(Sides.OWN, description="Whose left the text means: the person's own, or as seen.")
    engine: Engine = Field(Engine.LEARNED, description="What ranks: the model, 3D poses by rules, or both.")
    k: int = Field(24, ge=1, le=100, description="How many results.")
    where: list[str] = Field([], max_length=20, description="Filters COLUMN=VALUE.")
    like: list[ItemKey] = Field([], max_length=20, description="Item ids to come closer to.")
    unlike: list[ItemKey] = Field([], max_length=20, description="Item ids to get away from.")
    trail: list[Trail] = Field([], max_length=50, description="Earlier steps REF~TEXT, shown but not used.")

    @field_validator("where", "like", "unlike", "trail", mode="before")
    @classmethod
    def _without_blanks(cls, values: Any) -> Any:
        return [v for v in values if v != ""] if isinstance(values, list) else values

    @field_validator("text")
    @classmethod
    def _plain(cls, text: str) -> str:
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())

    @classmethod
    def of(cls, query: Iterable[tuple[str, str]]) -> SearchParams:
        """The parameters of a URL's query, which have been found valid."""
        values: dict[str, Any] = {}
        for name, value in query:
            field = cls.model_fields.get(name)
            values[name] = [*values.get(name, []), value] if field and field.default == [] else value
        return cls.model_validate(values)

    def resolved(self, store: Store) -> SearchParams:
        """The same query with the id of the reference (of the first person in it) in place of its path.

        :raises NotThereError: no picture has that path.
        """
        if not self.ref or _KEY.fullmatch(self.ref):
            return self
        items = store.find(self.ref)
        if not items:
            raise NotThereError(f"{self.ref}: no picture of this gallery has that path or id")
        return self.model_copy(update={"ref": items[0].key})

    @property
    def asks(self) -> bool:
        """Whether there is anything to search for."""
        return bool(self.ref or self.text or self.like)

    @property
    def steps(self) -> list[Step]:
        """The trail, taken apart."""
        return [Step(*entry.split("~", 1)) for entry in self.trail]

    def url(self, **changes: Any) -> str:
        """The page's address with some values changed; what equals the default is left out."""
        values = {**self.model_dump(mode="json"), **changes}
        shown = {name: v for name, v in values.items() if v != type(self).model_fields[name].default}
        query = urlencode({n: str(v).lower() if isinstance(v, bool) else v for n, v in shown.items()}, doseq=True)
        return f"/?{query}" if query else "/"

    def onward(self, key: str) -> str:
        """The address that goes on from a result: it becomes the reference, and this query a step of the trail."""
        step = f"{self.ref}~{self.text}"
        return self.url(ref=key, text="", like=[], unlike=[], trail=[*self.trail, step][-50:])

    def back_to(self, number: int) -> str:
        """The address of an earlier step of the trail."""
        step = self.steps[number]
        return self.url(ref=step.reference, text=step.text, like=[], unlike=[], trail=self.trail[:number])
