"""Poses of a corpus's pictures as the search sees them: estimated, never read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autocompose.bodies.skeleton import turn
from autocompose.core.files import write_npz
from autocompose.core.log import track
from autocompose.corpus.format import Corpus
from autocompose.corpus.pictures.gate import open_image
from autocompose.estimate.estimator import Estimator, Person
from autocompose.model.encoder import Encoder
from autocompose.model.features import image_features
from autocompose.model.small2.pose_net import PoseNet, joints_of, uncertainty_of

SAVE_EVERY = 100  # pictures


@dataclass(frozen=True)
class Estimates:
    """The most prominent person of N pictures.

    :param joints: ``(N, 22, 3)`` float32 metres, scene frame. :param uncertainty: ``(N, 22)`` metres.
    :param detected: ``(N,)`` bool; the joints are zeros where no person was found.
    """

    joints: np.ndarray
    uncertainty: np.ndarray
    detected: np.ndarray


def estimates(encoder: Encoder, corpus: Corpus, names: Sequence[str], cache: Path) -> Estimates:
    """The poses that an image side has seen itself, where it is a pose estimator; otherwise ``estimated``.

    :param cache: a folder; the features of the pictures are kept there too.
    """
    if not isinstance(encoder.visual, PoseNet):
        return estimated(corpus, names, cache / "estimates.npz")
    trunk = image_features(encoder, [corpus.image_path(name) for name in names], cache, trunk=True).plain
    return Estimates(joints_of(trunk).numpy(), uncertainty_of(trunk).numpy(), trunk[:, -1].numpy() > 0)


def estimated(corpus: Corpus, names: Sequence[str], cache: Path) -> Estimates:
    """Estimate poses that ``cache`` lacks; an interrupted run continues.

    :raises ImageError: a picture cannot be opened.
    """
    known = _read(cache)
    missing = [name for name in names if name not in known]
    estimator = Estimator.load() if missing else None
    for i, name in enumerate(track(missing, "estimating poses", len(missing)), 1):
        assert estimator is not None
        people = estimator.people([open_image(corpus.image_path(name))])[0]
        known[name] = _row(people)
        if i % SAVE_EVERY == 0 or i == len(missing):
            write_npz(cache, {"names": np.array(list(known)), "poses": np.stack(list(known.values()))})
    poses = np.stack([known[name] for name in names])
    return Estimates(poses[..., :3], poses[..., 3], poses[:, 0, 3] >= 0)


def _row(people: Sequence[Person]) -> np.ndarray:
    """``(22, 4)`` joints and uncertainty; uncertainty -1: nobody."""
    row = np.zeros((22, 4), np.float32)
    row[:, 3] = people[0].uncertainty if people else -1
    row[:, :3] = turn(people[0].joints, people[0].heading) if people else 0
    return row


def _read(cache: Path) -> dict[str, np.ndarray]:
    if not cache.exists():
        return {}
    with np.load(cache, allow_pickle=False) as file:
        return dict(zip(file["names"].tolist(), file["poses"], strict=True))
