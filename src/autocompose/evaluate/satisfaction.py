"""Satisfaction: of the first results of a search, the share that does what the text requests.

Recall asks for the one picture that a text was written about; in a gallery of unrelated poses many others may do what
it says. Rule texts are decided by the planner's own statements: each pose of the gallery is measured against the
reference by pair codes, and fulfils the text when each code that the text says has changed in its direction. No parser
takes part. Texts that no rules have written are decided by the audit (all checkable claims supported), which shares its
parser with the symbolic search: report those apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autocompose.bodies.pose_frame import own_frame, yaw_of
from autocompose.describe.audit.judge import agreement
from autocompose.describe.audit.measure import Poses
from autocompose.describe.reading.parse import parse
from autocompose.describe.rules.changes import ROW_NAMES, Figures, find_changes, measure_poses
from autocompose.describe.rules.changes import Poses as Measures
from autocompose.describe.rules.options import RuleOptions
from autocompose.describe.rules.statement import Statement
from autocompose.describe.rules.texts import describe

FIRST = (5, 10)  # results that are looked at
FEWEST = 5  # poses that must be able to fulfil a question's text
NEAR = 80  # a question's target is one of so many poses nearest to its reference: texts say little of a large change
TRIES = 20  # draws for each question that is asked for
_ROW = {name: row for row, name in enumerate(ROW_NAMES)}
_STRAIGHT = {"knee": "leg", "elbow": "arm"}


@dataclass(frozen=True)
class DecidedQuestion:
    """A text, the gallery row of its reference, and ``(N,)`` bool: which poses fulfil it (the reference never)."""

    text: str
    reference: int
    fulfils: np.ndarray


def rule_options(statements: int) -> RuleOptions:
    """Texts with a limited number of statements about the change, without noise."""
    values = {"noise": 0.0, "rotation": False, "absolute": "none", "trunk": True, "max_parts": statements}
    return RuleOptions.parse({**values, "bank": "coach"})


def rule_questions(joints: np.ndarray, count: int, statements: int = 1, seed: int = 0) -> list[DecidedQuestion]:
    """Up to ``count`` queries whose text at least five poses of a gallery satisfy.

    :param joints: ``(N, 22, 3)`` metres, SMPL-22: the true poses, whatever the search will see.
    """
    rng, options = np.random.default_rng(seed), rule_options(statements)
    joints = own_frame(np.asarray(joints, float), yaw_of(np.asarray(joints, float)))
    measures, flat = measure_poses(Figures(joints), options), joints.reshape(len(joints), -1)
    questions: list[DecidedQuestion] = []
    for key in range(TRIES * count):
        row = int(rng.integers(len(joints)))
        near = np.argsort(np.square(flat - flat[row]).sum(1))[1 : NEAR + 1]
        target = int(rng.choice(near))
        description = describe(joints[[row]], joints[[target]], seed, 1, options, [key])[0]
        if description.texts:
            fulfils = fulfilled(description.said[0], measures, row, options)
            if fulfils.sum() >= FEWEST:
                questions.append(DecidedQuestion(description.texts[0], row, fulfils))
        if len(questions) == count:
            break
    return questions


def fulfilled(said: Sequence[Statement], measures: Measures, row: int, options: RuleOptions) -> np.ndarray:
    """``(N,)`` bool: from one pose to each, every code of the statements changes in the direction that they say.

    :param measures: of N poses, without states; ``row``: the one to start from.
    """
    n = measures.pair.shape[1]
    pair, upper, yaw = (np.repeat(m[..., [row]], n, -1) for m in (measures.pair, measures.upper, measures.yaw))
    start = Measures(pair, upper, None, yaw)
    levels = find_changes(start, measures, np.zeros(n, np.uint64), 0, options).levels
    holds = np.ones(n, bool)
    for statement in said:
        for code in statement.codes:
            level = levels[_ROW[code]]
            if code.startswith("bend:"):  # silent where "straighten" says the same
                side, _, joint = code.removeprefix("bend:").partition("_")
                level = np.where(levels[_ROW[f"straighten:{side}_{_STRAIGHT[joint]}"]] > 0, 1, level)
            holds &= np.sign(level) == np.sign(statement.level)
    holds[row] = False
    return holds


def claim_questions(texts: Sequence[str], references: Sequence[int], joints: np.ndarray) -> list[DecidedQuestion]:
    """Those of some texts that at least five poses fulfil: the audit supports all claims that it can check.

    :param references: gallery row of each text's reference. :param joints: as for ``rule_questions``.
    """
    poses, questions = Poses(joints), []
    for text, row in zip(texts, references, strict=True):
        fulfils = fulfilled_claims(text, int(row), poses)
        if fulfils is not None and fulfils.sum() >= FEWEST:
            questions.append(DecidedQuestion(text, int(row), fulfils))
    return questions


def fulfilled_claims(text: str, row: int, poses: Poses) -> np.ndarray | None:
    """``(N,)`` bool: from one pose to each, the audit supports all claims of a text that it can check.

    :param row: the pose to start from, which does not fulfil anything.
    :return: None when the text has no claim that can be checked.
    """
    agrees = [agreement(replace(c, degree=None), poses.row(row), poses)[0] for c in parse(text)]
    checked = [a for a in agrees if not np.isnan(a).all()]
    if not checked:
        return None
    fulfils: np.ndarray = np.all([a >= 1 for a in checked], 0)
    fulfils[row] = False
    return fulfils


def satisfaction(
    questions: Sequence[DecidedQuestion], scores: Callable[[DecidedQuestion], np.ndarray]
) -> dict[str, float]:
    """Percent of the first 5 and 10 results that satisfy the text; chance level; and number of queries.

    :param scores: ``(N,)`` for a question, higher is better; the reference is left out of the results.
    """
    hits = {k: 0.0 for k in FIRST}
    for question in questions:
        values = np.array(scores(question), float)
        values[question.reference] = -np.inf
        order = np.argsort(-values, kind="stable")
        for k in FIRST:
            hits[k] += float(question.fulfils[order[:k]].mean())
    n = max(1, len(questions))
    chance = sum(float(q.fulfils.sum()) / (len(q.fulfils) - 1) for q in questions)
    return {
        **{f"satisfaction_at{k}": 100 * hit / n for k, hit in hits.items()},
        "chance": 100 * chance / n,
        "n_questions": len(questions),
    }
