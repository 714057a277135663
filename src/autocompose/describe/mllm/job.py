"""One annotation of a corpus as a value: questions, model, pairs, and the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autocompose.core.errors import ConfigError, ImageError, NothingLeftError
from autocompose.core.log import Tally, nothing_left
from autocompose.core.records import Split
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.asking.dialogue import Outcome, Stages, Steps
from autocompose.describe.mllm.asking.prompts import Prompts, load_prompts
from autocompose.describe.mllm.asking.sent_pictures import Pictures
from autocompose.describe.mllm.asks import Dialect, Item
from autocompose.describe.mllm.frames import QUESTION_FRAMES, Frame
from autocompose.describe.mllm.judging import pose_checks as geometry
from autocompose.describe.mllm.recipe import Endpoint, Limits, Recipe, jsonable
from autocompose.describe.mllm.recording.described import Wording
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.sending.costs import Costs, load_costs, money
from autocompose.describe.mllm.sending.dialects import remembered

EDITS = (Edit.PLAIN, Edit.REVERSE, Edit.MIRROR, Edit.MIRROR_REVERSE)
IMPERFECT = {"short": "with fewer wordings than asked for", "long": "with a wording over 77 CLIP tokens"}
UNFINISHED = ("budget", "rate-limit", "unreachable", "interrupted")


@dataclass
class Summary:
    """Summary of a run.

    :param stopped: ``done``, or why the run ended before everything was done.
    :param requests: requests sent in this run, the probe included.
    :param occupancy: share of busy slots between the first and the last request.
    :param spent: dollars and tokens of the journal; ``prices``: how old the prices are.
    :param imperfect: described variants with too few or too long wordings.
    :param left: variants not yet described.
    """

    stopped: str = "done"
    done: int = 0
    imperfect: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    requests: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    occupancy: float = 0.0
    spent: tuple[float, int] = (0.0, 0)
    prices: str = ""
    left: int = 0

    def count(self, outcome: Outcome) -> None:
        """Count a finished item."""
        if outcome.state == "done":
            self.done += 1
            self.imperfect.update([outcome.kind] if outcome.kind else [])
        else:
            self.failed[outcome.kind] += 1

    def line(self) -> str:
        """One line for the console."""
        some = ", ".join(f"{n} {IMPERFECT[kind]}" for kind, n in self.imperfect.most_common())
        described = f"{self.done} described{f' ({some})' if some else ''}"
        failed = "".join(f", {n} failed ({kind})" for kind, n in self.failed.most_common())
        cost = f"{money(self.spent[0], self.prices)}, {self.spent[1]:,} tokens in this journal"
        return f"{described}{failed}, {self.skipped} known before; {self.requests} requests; {cost}"

    def advice(self) -> str:
        """What an unfinished run needs to continue."""
        finished = self.done + sum(self.failed.values()) + self.skipped
        cost, tokens = (self.left * part / max(1, finished) for part in self.spent)
        dollars = f"{money(cost, self.prices)} or " if cost else ""
        more = f"about {dollars}{tokens:,.0f} tokens more finish the other {self.left}"
        return {
            "budget": f"the budget is reached; {more}",
            "rate-limit": "the server has refused every request for too long; lower --slots or wait",
            "unreachable": "the server has gone away; start it again",
        }.get(self.stopped, self.stopped)

    def nothing(self, root: Path, recipe: Recipe) -> NothingLeftError | None:
        """The error of a finished run that described nothing, with advice; None otherwise."""
        if self.done or self.skipped or self.stopped != "done":
            return None
        if not self.failed:
            advice = "no pair was chosen; see --split and --pairs, and whether the corpus has pairs"
        elif "length" in self.failed:
            advice = f"answers were cut; let them be longer: --answer-tokens {4 * recipe.max_tokens}"
        elif "profile" in self.failed:
            advice = "people seen from the side have no sides in the picture; --frame auto asks such pairs in words"
        else:
            advice = "'describe status' counts the reasons; 'describe retry --failed' asks again"
        tally = Tally("variants")
        for kind, count in self.failed.items():
            tally.drop(kind, n=count)
        return nothing_left(root, [tally], advice)


@dataclass
class Job:
    """One annotation of a corpus: questions, model and pairs.

    :param splits: only these; default: all splits of the corpus.
    :param edits: which of the four variants to write.
    :param first: only the first N pairs of each split.
    :param prices: a custom price table.
    """

    corpus: Corpus
    recipe: Recipe
    endpoint: Endpoint = field(default_factory=Endpoint)
    limits: Limits = field(default_factory=Limits)
    splits: tuple[Split, ...] = ()
    edits: tuple[Edit, ...] = EDITS
    first: int | None = None
    prices: Path | None = None

    def __post_init__(self) -> None:
        self.prompts: Prompts = load_prompts(self.recipe.prompts)
        self.prompts_hash = self.prompts.hash(self.recipe.frame, self.recipe.side_view)
        self.version = self.recipe.version(self.prompts_hash)
        self.pictures = Pictures(self.corpus, self.recipe)
        frames = QUESTION_FRAMES if self.recipe.frame is Frame.AUTO else (self.recipe.frame,)
        recipes = {frame: self.recipe.model_copy(update={"frame": frame}) for frame in frames}
        self.stages = {frame: Stages(recipe, self.prompts) for frame, recipe in recipes.items()}
        self.costs: Costs = load_costs(self.recipe.model, self.endpoint.loopback, self.prices)
        self.rows = self.corpus.poses.index() if self.corpus.poses else {}
        if self.recipe.frame is Frame.PICTURE and (aid := self.recipe.speaks_of_sides):
            raise ConfigError(f"{aid} mentions the person's sides; use it with --frame colour or --frame words")
        if self.limits.max_cost is not None and self.costs.price is None:
            raise ConfigError(
                f"--max-cost: the price of {self.recipe.model} is unknown; pass --prices, or use --max-tokens"
            )

    def items(self) -> Iterator[Item]:
        """The units of work, pair by pair; duplicate pairs count once."""
        seen: set[tuple[str, str]] = set()
        for split in self.splits or tuple(self.corpus.pairs):
            for pair in self.corpus.split(split)[: self.first]:
                if (pair.reference, pair.target) in seen:
                    continue
                seen.add((pair.reference, pair.target))
                for edit in self.recipe.to_ask(self.edits):
                    yield Item(pair.reference, pair.target, edit, split)

    def frame_of(self, item: Item) -> Frame:
        """The frame of an item's question (of the first one, where the recipe says ``auto``)."""
        if self.recipe.frame is not Frame.AUTO:
            return self.recipe.frame
        if all(self.pictures.knows(name) for name in (item.reference, item.target)):
            return Frame.COLOUR
        return Frame.WORDS if self.recipe.speaks_of_sides else Frame.PICTURE

    def prepared(self, item: Item, frame: Frame) -> dict[str, Any]:
        """The arguments of ``Stages.describe`` for an item and a frame.

        :raises ImageError: a picture cannot be opened.
        """
        hand = self.pictures.left_hand_side(item) if self.recipe.self_check else None
        hints: tuple[str, ...] = ()
        if self.recipe.grounded and self.corpus.poses is not None:
            hints = geometry.hints(self.corpus.poses, item, self.rows, frame, self.recipe.grounded == "depth")
        moved = self.corpus.poses is not None and geometry.moved(self.corpus.poses, item, self.rows)
        return {"pictures": self.pictures.of(item, frame), "edit": item.edit.value, "hints": hints, "left_hand": hand,
                "moved": moved}  # fmt: skip

    def steps(self, item: Item) -> Steps:
        """Describe one item: yields questions, receives answers, returns the outcome.

        Its pictures are prepared before the first question is yielded, which is slow.
        """
        frame = self.frame_of(item)
        outcome = yield from self._in_frame(item, frame)
        if outcome.kind == "profile" and self.recipe.frame is Frame.AUTO and frame is Frame.PICTURE:
            outcome = yield from self._in_frame(item, Frame.WORDS)
        return outcome

    def _in_frame(self, item: Item, frame: Frame) -> Steps:
        try:
            arguments = self.prepared(item, frame)
        except ImageError as error:
            return Outcome("failed", "parts", "picture", str(error))
        return replace((yield from self.stages[frame].describe(**arguments)), frame=frame)


def enter(job: Job, journal: Journal) -> int:
    """Enter this process as a run of the job (``Journal.start``); the journal also records the date of the prices."""
    lost = journal.start(job.version, {**jsonable(job.recipe), "prompts": job.prompts_hash})
    dates = journal.get("prices") or []
    if job.costs.date and job.costs.date not in dates:
        journal.put("prices", [*dates, job.costs.date])
    return lost


def stored(job: Job, item: Item, outcome: Outcome) -> dict[str, Any]:
    """An outcome in the form of the journal: texts with flags and, where poses are known, their audit.

    Flags: ``long``, more than 77 CLIP tokens; ``crossed``, limbs cross in a question about sides of the picture.
    """
    poses = geometry.joints_of(job.corpus.poses, item, job.rows) if job.corpus.poses else None
    crossed = bool(outcome.texts) and outcome.frame is Frame.PICTURE and job.pictures.crossed(item)
    wordings = []
    for text in outcome.texts:
        flags = (("long",) if text in outcome.long else ()) + (("crossed",) if crossed else ())
        wordings.append(Wording(text, flags, geometry.audit(text, poses) if poses is not None else ()))
    return {
        "stage": outcome.stage, "kind": outcome.kind, "detail": outcome.detail, "parts": outcome.parts,
        "texts": [wording.record() for wording in wordings], "repaired": outcome.repaired,
    }  # fmt: skip


def dialect_name(job: Job) -> str:
    """The journal's key for the dialect of a server."""
    return f"dialect:{job.endpoint.host}:{job.recipe.model}"


def known_dialect(journal: Journal, job: Job) -> Dialect | None:
    """The dialect of the job's server, if an earlier probe has determined it."""
    return remembered(journal, dialect_name(job))
