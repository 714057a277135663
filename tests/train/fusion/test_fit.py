"""Weights from a corpus: poses are estimated once, kinds of text are joined, the card is written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from autocompose.corpus.format import Corpus
from autocompose.evaluate.metrics import QueryRows
from autocompose.model.features import ImageFeatures
from autocompose.model.small2.pose_net import TRUNK, PoseNet, PoseSizes, trunk_of
from autocompose.train.fusion import estimates
from autocompose.train.fusion.estimates import estimated
from autocompose.train.fusion.fit import Scored, joint_fit


class Eyes:
    """Sees somebody in bright pictures; counts what it was shown."""

    shown = 0
    breaks_at = 99

    @classmethod
    def load(cls) -> Eyes:
        return cls()

    def people(self, pictures: list[Image.Image]) -> list[list[SimpleNamespace]]:
        Eyes.shown += 1
        if Eyes.shown > Eyes.breaks_at:
            raise KeyboardInterrupt
        level = float(np.asarray(pictures[0]).mean())
        joints, doubts = np.full((22, 3), level, np.float32), np.full(22, 0.1, np.float32)
        person = SimpleNamespace(joints=joints, heading=90.0, uncertainty=doubts)
        return [[person] if level > 100 else []]


def test_poses_are_estimated_once_and_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "Estimator", Eyes)
    monkeypatch.setattr(estimates, "SAVE_EVERY", 2)
    monkeypatch.setattr(Eyes, "shown", 0)
    (tmp_path / "images").mkdir()
    names = [f"{level}.png" for level in (150, 20, 200, 250, 130)]
    for name in names:
        Image.new("RGB", (4, 4), (int(name[:-4]),) * 3).save(tmp_path / "images" / name)
    corpus, cache = Corpus(tmp_path, {}, {}), tmp_path / "poses-val.npz"
    monkeypatch.setattr(Eyes, "breaks_at", 3)
    with pytest.raises(KeyboardInterrupt):
        estimated(corpus, names, cache)
    monkeypatch.setattr(Eyes, "breaks_at", 99)
    poses = estimated(corpus, names, cache)
    assert Eyes.shown == 4 + 3  # two were kept
    assert poses.detected.tolist() == [True, False, True, True, True]
    # scene frame: who turned to their own left has what was before them (z) at the left of the picture (x)
    np.testing.assert_allclose(poses.joints[:, 0, 0], [150, 0, 200, 250, 130], rtol=1e-6)
    np.testing.assert_allclose(poses.joints[:, 0, 2], [-150, 0, -200, -250, -130], rtol=1e-6)
    np.testing.assert_array_equal(estimated(corpus, names[::-1], cache).joints, poses.joints[::-1])
    assert Eyes.shown == 7


def test_a_model_that_estimates_poses_looks_at_a_picture_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joints = torch.rand(2, 22, 3)
    joints[:, 0] = 0
    seen = trunk_of(joints, torch.zeros(2), torch.full((2, 22), 0.1))
    made = torch.cat([seen, torch.zeros(1, TRUNK)])
    monkeypatch.setattr(estimates, "image_features", lambda *_, trunk: ImageFeatures(made) if trunk else None)
    monkeypatch.setattr(estimates, "Estimator", None)  # not asked
    encoder = SimpleNamespace(visual=PoseNet(PoseSizes(hidden=16), 64, 8))
    poses = estimates.estimates(encoder, Corpus(tmp_path, {}, {}), ["a", "b", "c"], tmp_path)  # type: ignore[arg-type]
    assert poses.detected.tolist() == [True, True, False]
    np.testing.assert_allclose(poses.joints[:2], joints, atol=1e-6)
    np.testing.assert_allclose(poses.uncertainty[:2, 1:], 0.1, atol=1e-6)


def test_kinds_of_text_are_fitted_together() -> None:
    rng = np.random.default_rng(0)

    def scored(n: int) -> Scored:
        target = rng.integers(1, 20, n)
        cosines = rng.normal(0, 0.1, (n, 20))
        cosines[np.arange(n), target] += 0.3
        symbolic = -rng.gamma(2, 1, (n, 20)).astype(np.float32)
        return Scored(cosines, symbolic, QueryRows(np.zeros(n, np.int64), target, None))

    parts = [scored(60), scored(200)]
    weights = joint_fit(parts)
    assert weights.cosine > 4 and weights.symbolic == 1
    report = parts[0].report(weights)
    assert report["auto"]["recall_at1"] >= report["symbolic"]["recall_at1"]
