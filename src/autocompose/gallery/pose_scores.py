"""How well poses match a query: the only caller of ``evaluate.symbolic``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from autocompose.gallery.pose import Pose
from autocompose.gallery.storage.store import Posed

BALANCED = 0.5  # the weight with which text and reference count as the engine does by itself


def scores_states() -> bool:
    """Whether poses can be scored for a text alone."""
    from autocompose.evaluate import symbolic

    return hasattr(symbolic, "rank_states")


def moves_balance() -> bool:
    """Whether poses can be scored with another weight than ``BALANCED``."""
    from autocompose.evaluate import symbolic

    return _takes(symbolic.rank, "weight")


def pose_scores(text: str, reference: Pose | None, posed: Posed, weight: float) -> np.ndarray:
    """Score poses for a text that changes a reference pose, or that describes the pose by itself.

    :param reference: None: the text alone. Without a text, poses score by likeness to it.
    :param weight: text against reference, 0 to 1.
    :return: ``(N,)`` float32, higher is better, at most 0.
    """
    from autocompose.evaluate import symbolic

    if reference is None:
        states: Callable[..., np.ndarray] = getattr(symbolic, "rank_states")  # noqa: B009  see scores_states
        return _called(states, text, posed.joints, gallery_uncertainty=posed.uncertainty)
    doubts = {"reference_uncertainty": reference.doubts, "gallery_uncertainty": posed.uncertainty}
    return _called(symbolic.rank, text, reference.joints, posed.joints, weight=weight, **doubts)


def _called(function: Callable[..., np.ndarray], *arguments: Any, **more: Any) -> np.ndarray:
    """Call a scoring function with those extra arguments that it accepts."""
    return function(*arguments, **{name: value for name, value in more.items() if _takes(function, name)})


def _takes(function: Callable[..., np.ndarray], name: str) -> bool:
    return name in inspect.signature(function).parameters
