"""The HTML pages: templates and their content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from autocompose.corpus.videos.formats import media_type
from autocompose.gallery.answer import Answer, Hit, Reference
from autocompose.gallery.item import Item, key_to_id
from autocompose.gallery.request import Engine, SearchRequest, Sides
from autocompose.gallery.server.overlay import overlay
from autocompose.gallery.understand import SUGGESTIONS, Reading, understand
from autocompose.gallery.values import Value
from autocompose.web.guard import as_sentence

if TYPE_CHECKING:
    from autocompose.gallery.reranked import Reranking
    from autocompose.gallery.search import Gallery

SHOWN_SUGGESTIONS = 4
SAMPLE = 18
MAX_SUMMARY = 3


@lru_cache(1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("autocompose.gallery.server", "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(about=about, score=score, overlay=overlay, plays=lambda item: media_type(item.path))
    environment.filters.update(as_sentence=as_sentence)
    return environment


def render(template: str, **values: Any) -> str:
    """A template as text; all values are escaped."""
    return _environment().get_template(template).render(**values)


def about(item: Item, limit: int = MAX_SUMMARY) -> str:
    """An item's metadata in a few words."""
    said = {item.path, f"{item.path}#{item.moment.person}"} if item.moment else set()  # of a moment, its label says it
    values = [
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in item.meta.items()
        if value not in said
    ]
    if item.moment and item.moment.person:
        values.insert(0, f"person {item.moment.person}")
    return " · ".join(values[:limit])


def score(value: float) -> str:
    """A cosine or fused rank with three digits, a cost with one; with a real minus sign."""
    return (f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}").replace("-", "−")


@dataclass(frozen=True)
class Page:
    """Everything that the search page shows.

    :param answer: None before the first query and after an error.
    :param error: what went wrong, for the user.
    :param offer: who could put the first results in order; None: nobody.
    """

    gallery: Gallery
    params: SearchRequest
    answer: Answer | None = None
    error: str | None = None
    offer: Reranking | None = None

    def html(self) -> str:
        """The whole page."""
        return render("page.html", page=self, params=self.params, answer=self.answer, engines=Engine, sides=Sides)

    @cached_property
    def count(self) -> int:
        """Items of the gallery."""
        return self.gallery.store.count()

    @property
    def title(self) -> str:
        """Name of the gallery."""
        return self.gallery.folder.resolve().name

    @property
    def reference(self) -> Item | None:
        """The reference if it is an item; also after an error."""
        if self.answer is None and self.params.ref and not self.params.ref.startswith("u-"):
            return next(iter(self.gallery.store.get([key_to_id(self.params.ref)])), None)
        origin = self.answer.reference if self.answer is not None else None
        return origin.item if origin else None

    @property
    def drawn(self) -> Item | Reference | None:
        """The overlay on the reference's picture."""
        return self.reference or (self.answer.reference if self.answer else None)

    @property
    def reference_pose(self) -> str:
        """Description of what is known about the reference's pose."""
        if self.reference:
            return self.reference.about_pose
        origin = self.answer.reference if self.answer else None
        return "" if origin is None else f"pose {origin.kind}" if origin.pose else origin.why

    @property
    def skeletons(self) -> bool:
        """Whether there is a skeleton to show."""
        drawn = [overlay(self.drawn), *(overlay(hit.item) for hit in (self.answer.hits if self.answer else ()))]
        return any(marks and marks.bones for marks in drawn)

    @property
    def reference_picture(self) -> str | None:
        """Address of the reference's picture."""
        return self.picture(self.params.ref) if self.params.ref else None

    def picture(self, ref: str) -> str:
        """Address of the small picture of an item or upload."""
        return f"/uploads/{ref}" if ref.startswith("u-") else f"/thumbs/{ref}"

    @cached_property
    def has_videos(self) -> bool:
        """Whether the gallery holds moments of videos."""
        return "video" in self.gallery.store.columns()

    @property
    def has_moments(self) -> bool:
        """Whether a result is a moment of a video."""
        return self.answer is not None and any(hit.item.moment for hit in self.answer.hits)

    def only(self, item: Item, column: str) -> str:
        """The address of the same search among the moments of an item's video or person."""
        others = [one for one in self.params.where if one.partition("=")[0].strip() != column]
        return self.params.url(where=[*others, f"{column}={item.meta[column]}"])

    @cached_property
    def reading(self) -> Reading:
        """How the text was understood."""
        return self.answer.reading if self.answer else understand(self.params.text)

    @cached_property
    def suggestions(self) -> tuple[str, ...]:
        """Example phrases; different ones after each query."""
        start = len(self.params.text) + len(self.params.trail)
        return tuple(SUGGESTIONS[(start + i) % len(SUGGESTIONS)] for i in range(SHOWN_SUGGESTIONS))

    @cached_property
    def filters(self) -> list[tuple[str, list[tuple[str, Value, bool]]]]:
        """Column, and for each of its values: the condition, the value, and whether it is chosen."""
        return [
            (name, [(f"{name}={value}", value, f"{name}={value}" in self.params.where) for value in values])
            for name, values in self.gallery.store.columns().items()
            if len(values) > 1
        ]

    @property
    def settings(self) -> int:
        """How many of the settings under "fine-tune" differ from their default."""
        default = type(self.params)()
        names = ("weight", "mirror", "sides", "engine")
        changed = sum(getattr(self.params, name) != getattr(default, name) for name in names)
        return changed + len(self.params.where)

    @property
    def choices(self) -> str:
        """Number of results marked as more or less like this."""
        count = len(self.params.like) + len(self.params.unlike)
        return "1 choice" if count == 1 else f"{count} choices"

    @cached_property
    def samples(self) -> list[Item]:
        """Sample references; the same for everybody until the gallery changes."""
        return self.gallery.store.sample(SAMPLE, self.count)

    def bar(self, hit: Hit) -> int:
        """Length of a score bar, 8 to 100: the best result is full, the others by their distance to it."""
        scores = [h.score for h in self.answer.hits] if self.answer is not None else [hit.score]
        spread = max(scores) - min(scores)
        return 100 if spread < 1e-6 else round(8 + 92 * (hit.score - min(scores)) / spread)
