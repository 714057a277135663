"""Search without a trained model: the claims of a text, applied to the reference's 3D pose, score every candidate.

The text comes first: each claim costs a candidate up to 12 for each side (``claim_cost``). Keeping the rest comes
second: ``K``, the sum over the coordinates that no claim mentions of min((change / spread)^2, 6), costs
(0.8 + (claims - 1)) log(1 + K / 5), so that it decides between poses that fulfil the text and cannot make up for one
that does not. docs/symbolic.md has the formula with its sources and what was measured.

``ceiling`` does the same with the pair codes of the true joints: the result of a search that measures bodies without
error and knows every code behind the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autocompose.bodies.kinematics import forward
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import InputError
from autocompose.core.log import track
from autocompose.describe.audit.measure import Poses
from autocompose.describe.audit.rules import Test
from autocompose.describe.reading.claims import LIMB_PARTS, Claim
from autocompose.describe.reading.parse import parse
from autocompose.evaluate.claim_cost import claim_cost, margin_of, readings_of
from autocompose.evaluate.measured import Measured
from autocompose.evaluate.pose_coordinates import freedom

CHANGE_WORST = 6.0  # no coordinate counts more in K
KEEP, KEEP_MORE = 0.8, 1.0  # weight of the rest beside one claim, and for each further one
KEEP_UNIT = 5.0  # K that a likely target has
KEEP_DOUBT = 2.0  # share of the joints' variance: what estimates change by chance
BALANCED = 0.5  # the weight at which text and rest count as above
ARM_HANGS = 1.35  # radians from the T-pose


def rank(
    text: str,
    reference_joints: np.ndarray,
    gallery_joints: np.ndarray,
    weight: float = BALANCED,
    reference_uncertainty: np.ndarray | None = None,
    gallery_uncertainty: np.ndarray | None = None,
) -> np.ndarray:
    """Score the poses of a gallery for a text that changes a reference pose.

    :param reference_joints: ``(22, 3)`` metres, SMPL-22, scene frame.
    :param gallery_joints: ``(N, 22, 3)``.
    :param weight: 0 = likeness to the reference only, 0.5 = balanced, 1 = text only.
    :param reference_uncertainty, gallery_uncertainty: ``(22,)`` and ``(N, 22)`` expected distances of the joints from
        the true ones in metres, as ``estimate`` gives them; None: the poses are known.
    :return: ``(N,)`` float32, higher is better, at most 0. A text without claims ranks by likeness to the reference.
    :raises PoseError: joints or uncertainties of a wrong shape or not finite; InputError: weight not from 0 to 1.
    """
    reference = Measured.one(reference_joints, reference_uncertainty)
    return PoseQuery.of(text, reference, weight).scores(Measured(Poses(gallery_joints), gallery_uncertainty))


def rank_all(
    texts: Sequence[str],
    references: Sequence[int],
    gallery: Poses,
    weight: float = BALANCED,
    uncertainty: np.ndarray | None = None,
) -> np.ndarray:
    """Score the whole gallery for many queries whose references are in the gallery.

    :param references: gallery row of each text's reference.
    :param uncertainty: ``(N, 22)`` of the gallery's joints, see ``rank``.
    :return: ``(Q, N)`` float32 scores, higher is better.
    """
    measured, scores = Measured(gallery, uncertainty), np.empty((len(texts), len(gallery)), np.float32)
    queries = zip(texts, references, strict=True)
    for i, (text, row) in enumerate(track(queries, "symbolic search", len(texts))):
        scores[i] = PoseQuery.of(text, measured.row(row), weight).scores(measured)
    return scores


def rank_states(text: str, joints: np.ndarray, gallery_uncertainty: np.ndarray | None = None) -> np.ndarray:
    """Score poses for a text that describes one: states and relations ("hands on the hips") as they are, directions
    ("a leg out to the side") against somebody who stands with hanging arms.

    :param joints: ``(N, 22, 3)`` metres, SMPL-22, scene frame. :param gallery_uncertainty: see ``rank``.
    :return: ``(N,)`` float32, higher is better, at most 0; all 0 for a text without claims.
    :raises PoseError: joints or uncertainties of a wrong shape or not finite.
    """
    return PoseQuery.of(text).scores(Measured(Poses(joints), gallery_uncertainty))


@dataclass(frozen=True)
class PoseQuery:
    """A query about poses: parsed, measured, and ready to score many poses.

    :param reference: one pose; of those who stand when ``states``.
    :param states: the text describes a pose; there is no reference.
    """

    claims: tuple[Claim, ...]
    reference: Measured
    weight: float = BALANCED
    states: bool = False

    @classmethod
    def of(cls, text: str, reference: Measured | None = None, weight: float = BALANCED) -> PoseQuery:
        """The parameters are those of ``rank``; without a reference, the text describes a pose.

        :raises InputError: weight not from 0 to 1.
        """
        return cls.of_claims(parse(text), reference, weight)

    @classmethod
    def of_claims(cls, claims: Sequence[Claim], reference: Measured | None, weight: float = BALANCED) -> PoseQuery:
        """The same for a text that has been read."""
        claims = tuple(claims)
        if reference is None:
            return cls(claims, Measured(Poses(_standing())), 1.0, states=True)
        if not 0 <= weight <= 1:
            raise InputError(f"weight {weight:g}: expected 0 (reference only) to 1 (text only)")
        return cls(claims if weight > 0 else (), reference, weight)

    @property
    def margin(self) -> float:
        """Tolerances beyond a claim's limit, see ``claim_cost.MARGINS``."""
        return margin_of(len(self.claims))

    @property
    def text_share(self) -> float:
        """Weight of the claims' costs."""
        return min(1.0, self.weight / BALANCED)

    @property
    def rest_share(self) -> float:
        """Weight of log(1 + K / 5)."""
        balance = 1.0 if not self.claims and not self.states else min(1.0, (1 - self.weight) / BALANCED)
        return balance * (KEEP + KEEP_MORE * max(0, len(self.claims) - 1))

    def readings(self, claim: Claim) -> list[list[Test]]:
        """The readings of a claim: alternatives for each side."""
        return stated_readings(claim) if self.states else readings_of(claim)

    def scores(self, gallery: Measured) -> np.ndarray:
        """``(N,)`` float32, at most 0."""
        total = np.zeros(len(gallery), np.float32)
        for claim in self.claims:
            cost = claim_cost(claim, self.readings(claim), self.reference, gallery, self.margin)
            total -= 0 if cost is None else self.text_share * cost
        if self.rest_share:
            total -= self.rest_share * np.log1p(changed(self.claims, self.reference, gallery) / KEEP_UNIT)
        return total.astype(np.float32)


def stated_readings(claim: Claim) -> list[list[Test]]:
    """The readings of a claim about one pose: those that look at it alone where there are any, else all."""
    if claim.action in ("up", "down") and claim.part in LIMB_PARTS and claim.how == "move":
        claim = replace(claim, how="place")  # "with both arms up": above the shoulders
    return [[test for test in side if not test.change] or side for side in readings_of(claim)]


def changed(claims: Sequence[Claim], reference: Measured, gallery: Measured) -> np.ndarray:
    """``(N,)`` float32: K, how much the coordinates that no claim mentions differ from the reference."""
    variance = KEEP_DOUBT * (gallery.coordinate_variances + reference.coordinate_variances)
    cost = np.square(gallery.coordinates - reference.coordinates) / (np.square(freedom(claims)) + variance)
    total: np.ndarray = np.minimum(np.nan_to_num(cost, copy=False), CHANGE_WORST).sum(1)
    return total


def _standing() -> np.ndarray:
    rotations = np.zeros((1, len(SMPL22), 3))
    for side, sign in (("left", -1), ("right", 1)):
        rotations[0, SMPL22.index(f"{side}_shoulder"), 2] = sign * ARM_HANGS
    return forward(rotations)[0]


def ceiling(codes: np.ndarray, text_codes: np.ndarray) -> np.ndarray:
    """Score candidates by how well their codes from the reference agree with the codes that the text was made of.

    :param codes: ``(N, C)`` integer levels of each candidate measured from the reference, 0 = no change.
    :param text_codes: ``(C,)`` levels of the true target, from which the text was made.
    :return: ``(N,)`` float32, higher is better: minus the summed distance of levels.
    :raises InputError: shapes do not fit.
    """
    if codes.ndim != 2 or text_codes.shape != codes.shape[1:]:
        raise InputError(f"ceiling: codes {codes.shape} and text_codes {text_codes.shape}, expected (N, C) and (C,)")
    return -np.abs(codes.astype(np.int32) - text_codes.astype(np.int32)).sum(1).astype(np.float32)
