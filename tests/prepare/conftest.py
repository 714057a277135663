from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.prepare import renders
from autocompose.prepare.renders import PoseSet


def stub(poses: PoseSet) -> None:
    """A small picture that depends on the pose only, instead of a rendered body."""
    folder, size = renders._worker["images"], renders._worker["size"]
    for i, name in enumerate(poses.names):
        values = np.resize((poses.rotations[i].ravel() * 40 + 128).clip(0, 255), (size, size, 3))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(folder / name)


@pytest.fixture
def fast_render(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replaces the renderer; everything around it stays real."""

    def start(images: str, size: int, style: object, seed: int) -> None:
        renders._worker.update(images=Path(images), size=size, style=style, seed=seed)

    monkeypatch.setattr(renders, "_start", start)
    monkeypatch.setattr(renders, "_render_batch", stub)
    yield
    renders._worker.clear()
