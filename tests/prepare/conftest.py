from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.prepare.rendering import renders
from autocompose.prepare.rendering.renders import PoseSet


def stub(poses: PoseSet, images: Path, size: int, style: object, seed: int, smplh: Path | None) -> None:
    """A small picture that depends on the pose only, instead of a rendered body."""
    for i, name in enumerate(poses.names):
        values = np.resize((poses.rotations[i].ravel() * 40 + 128).clip(0, 255), (size, size, 3))
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(images / name)


@pytest.fixture
def fast_render(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the renderer; everything around it stays real."""
    monkeypatch.setattr(renders, "_render_batch", stub)
