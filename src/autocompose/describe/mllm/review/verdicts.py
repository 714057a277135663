"""Verdicts of reviewers in the annotation journal, stored beside the model's texts."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

from autocompose.core.errors import AnnotationError, InputError
from autocompose.core.text_fields import Edit
from autocompose.corpus.format import load_corpus
from autocompose.corpus.names import name_fault
from autocompose.describe.audit import judge_pair
from autocompose.describe.mllm.judging.answers import stray_characters
from autocompose.describe.mllm.judging.pose_checks import joints_of
from autocompose.describe.mllm.recipe import journal_path
from autocompose.describe.mllm.recording.described import Described, Review, Variant
from autocompose.describe.mllm.recording.journal import Journal
from autocompose.describe.mllm.recording.journal_reading import described, put_review, reviews
from autocompose.describe.reading import parse

VERDICTS = ("accept", "edit", "reject")
LONGEST = 1000


class Reviews:
    """The described variants of a corpus, and one reviewer's verdicts.

    :param share: show only this share of the pairs, the same for every reviewer.
    :raises InputError: there is no journal; AnnotationError: it holds no described pair.
    """

    def __init__(self, root: Path, reviewer: str, share: float = 1.0) -> None:
        self.corpus, self.reviewer = load_corpus(root), _name(reviewer)
        self.journal = Journal(journal_path(root), must_exist=True)
        self.version = self.journal.version()
        done = [annotation for annotation in described(self.journal, self.version) if annotation.state == "done"]
        order = {edit: i for i, edit in enumerate(Edit)}
        self.rows = sorted(
            (annotation for annotation in done if drawn(*annotation.variant[:2], share)),
            key=lambda annotation: (*annotation.variant[:2], order[annotation.item.edit]),
        )
        if not self.rows:
            raise AnnotationError(f"{root}: {_none(share, len(done))}")
        self.names = {name for row in self.rows for name in row.variant[:2]}
        self._poses = self.corpus.poses.index() if self.corpus.poses else {}

    def __enter__(self) -> Reviews:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()

    def variant(self, number: int) -> dict[str, Any]:
        """One variant for the page: pictures as shown, parts, texts with claims and this reviewer's verdicts.

        :raises InputError: no such variant.
        """
        row = self._row(number)
        reference, target, edit = row.variant
        shown = (target, reference) if edit.reverses else (reference, target)
        mine = {r.number: r for r in self._mine() if r.variant == row.variant}
        texts = []
        for i, wording in enumerate(row.wordings):
            verdict = mine.get(i)
            texts.append({
                "text": wording.text, "flags": list(wording.flags), "claims": self._claims(row, wording.text),
                "verdict": verdict.verdict if verdict else "", "edited": verdict.text if verdict else "",
            })  # fmt: skip
        return {
            "number": number, "edit": edit.value, "reference": shown[0], "target": shown[1], "mirrored": edit.mirrors,
            "parts": [list(part) for part in row.parts], "texts": texts,
        }  # fmt: skip

    def picture_path(self, name: str) -> Path:
        """The file of a picture of the reviewed pairs.

        :raises InputError: not one of them, or it does not lie below the corpus' pictures. The journal is a file like
            any other, so its names are not trusted.
        """
        folder = self.corpus.image_path("").resolve()
        known = name in self.names and not name_fault(name)  # first: not every text can be a path
        if not known or not (path := (folder / name).resolve()).is_relative_to(folder):
            raise InputError(f"{name!a}: no picture of the reviewed pairs")
        return path

    def first_open(self) -> int:
        """The first variant with a text that this reviewer has not judged, or the very first variant."""
        counts = Counter(review.variant for review in self._mine())
        for i, row in enumerate(self.rows):
            if counts[row.variant] < len(row.wordings):
                return i
        return 0

    def judge(self, number: int, text: int, verdict: str, edited: str = "") -> None:
        """Store a verdict; a later one replaces the reviewer's earlier one.

        :param edited: the corrected text, for ``edit``.
        :raises InputError: no such variant or text, unknown verdict, or an edit without a usable text.
        """
        row = self._row(number)
        if not 0 <= text < len(row.wordings):
            raise InputError(f"variant {number} has no text {text}")
        edited = " ".join(edited.split()) if verdict == "edit" else ""
        if verdict not in VERDICTS:
            raise InputError(f"verdict {verdict!r}; expected one of {', '.join(VERDICTS)}")
        if verdict == "edit" and not 0 < len(edited) <= LONGEST:
            raise InputError(f"an edited text needs 1 to {LONGEST} characters, got {len(edited)}")
        if stray_characters(edited):
            raise InputError("the edited text contains invalid characters; type it again")
        put_review(self.journal, self.version, Review(row.variant, text, self.reviewer, verdict, edited, time.time()))

    def judged(self) -> int:
        """How many texts this reviewer has judged."""
        return len(self._mine())

    def agreement(self) -> dict[str, Any]:
        """Verdicts per reviewer, and Cohen's kappa of every two reviewers over the texts that both have judged."""
        given: dict[str, dict[tuple[Variant, int], str]] = {}
        for r in reviews(self.journal, self.version):
            given.setdefault(r.reviewer, {})[r.variant, r.number] = r.verdict
        pairs = {}
        for a, b in combinations(sorted(given), 2):
            both = list(given[a].keys() & given[b].keys())
            pairs[f"{a}, {b}"] = {
                "texts": len(both), "kappa": cohens_kappa([given[a][k] for k in both], [given[b][k] for k in both]),
            }  # fmt: skip
        return {"verdicts": {name: dict(Counter(v.values())) for name, v in sorted(given.items())}, "pairs": pairs}

    def _row(self, number: int) -> Described:
        if not 0 <= number < len(self.rows):
            raise InputError(f"no variant {number}; there are {len(self.rows)}")
        return self.rows[number]

    def _mine(self) -> list[Review]:
        return reviews(self.journal, self.version, self.reviewer)

    def _claims(self, row: Described, text: str) -> list[dict[str, str]]:
        """The text's claims and the audit's verdicts; a verdict is '' without poses."""
        poses = joints_of(self.corpus.poses, row.item, self._poses) if self.corpus.poses else None
        claims = parse(text)
        if poses is None:
            return [{"claim": str(claim), "verdict": ""} for claim in claims]
        return [
            {"claim": str(j.claim), "verdict": "sides swapped?" if j.swap else str(j.verdict)}
            for j in judge_pair(claims, *poses)
        ]


def _name(reviewer: str) -> str:
    """The name with invalid characters replaced, so that any file can store it."""
    return reviewer.strip().encode("utf-8", "replace").decode() or "reviewer"


def _none(share: float, done: int) -> str:
    """Why there is nothing to review, and what to do."""
    if done:
        return f"none of {done} described variants falls into --share {share:g}; raise it, 1 shows all"
    return "no described pair to review; run 'autocompose describe mllm' first"


def drawn(reference: str, target: str, share: float) -> bool:
    """Whether a pair belongs to the share, the same in every process."""
    digest = hashlib.sha256(f"{reference}\0{target}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def cohens_kappa(one: list[str], other: list[str]) -> float | None:
    """Agreement beyond chance of two lists of verdicts, -1..1; None for empty lists.

    When both lists repeat one and the same verdict, the value is 1 by convention.
    """
    if not one:
        return None
    n = len(one)
    same = sum(a == b for a, b in zip(one, other, strict=True)) / n
    counts = Counter(one), Counter(other)
    chance = sum(counts[0][v] * counts[1][v] for v in counts[0]) / n**2
    return 1.0 if chance == 1 else (same - chance) / (1 - chance)
