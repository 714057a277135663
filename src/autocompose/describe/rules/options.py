"""Settings of the rule-based descriptions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocompose.core.config import Config
from autocompose.describe.rules.token_limit import CLIP_TOKENS


class RuleOptions(Config):
    """How texts are written; the defaults follow PoseFix as published.

    :param noise: width of the measurement noise; 1 = as published, 0 = none.
    :param skip_pair, skip_single: probability to leave out an eligible code that is not rare (not in the first text).
    :param rotation: the poses of a pair share one scene, so a change of yaw is told.
    :param absolute: states of the goal pose: ``all`` (as published), ``filtered`` (only on limbs that move), ``none``.
    :param trunk: also tell how the trunk leans and twists.
    :param head: also tell how the head turns and nods; needs joint rotations.
    :param max_tokens: longest text in CLIP tokens, start and end token included (at least 40, so
        that any single statement fits); None = unlimited.
    :param max_parts: most statements in a text; None = as many as fit.
    """

    noise: float = Field(1.0, ge=0, le=2)
    skip_pair: float = Field(0.15, ge=0, lt=1)
    skip_single: float = Field(0.15, ge=0, lt=1)
    rotation: bool = True
    absolute: Literal["all", "filtered", "none"] = "all"
    trunk: bool = False
    head: bool = False
    max_tokens: int | None = Field(CLIP_TOKENS, ge=40)
    max_parts: int | None = Field(None, ge=1)
    bank: Literal["coach", "human", "independent"] = "coach"
