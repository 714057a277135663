from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.prepare.rendering import renders
from autocompose.prepare.rendering.renders import PoseSet


def stub(poses: PoseSet, size: int, style: object, seed: int, smplh: Path | None) -> list[bytes]:
    """A small picture that depends on the pose only, instead of a rendered body."""
    pictures = []
    for i in range(len(poses.names)):
        values = np.resize((poses.rotations[i].ravel() * 40 + 128).clip(0, 255), (size, size, 3))
        buffer = io.BytesIO()
        Image.fromarray(values.astype(np.uint8)).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    return pictures


@pytest.fixture
def fast_render(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the renderer; everything around it stays real."""
    monkeypatch.setattr(renders, "_render_batch", stub)
