"""The networks in PyTorch answer as LiteRT does with the original files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from autocompose.core.errors import CheckpointError
from autocompose.estimate.detector import SIDE as DETECTOR_SIDE
from autocompose.estimate.landmarks import SHAPES, SIDE, LandmarkNet
from autocompose.estimate.layers import pointwise
from autocompose.estimate.weights import SHIPPED, load_networks


@pytest.fixture(scope="module")
def networks():
    return load_networks()


@pytest.fixture(scope="module")
def vectors():
    with np.load(Path(__file__).with_name("vectors.npz")) as file:
        return dict(file)


def as_tensor(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)


def test_detector(networks, vectors):
    with torch.inference_mode():
        logits, boxes = networks[0](as_tensor(vectors["small"]) / 127.5 - 1)
    sure = vectors["logits"] > -2
    assert sure.any(axis=1).all()
    assert np.abs(logits.numpy() - vectors["logits"])[sure].max() < 0.02
    # pixels; the committed boxes are rounded to half precision
    apart = np.abs(boxes.flatten(2).numpy() - vectors["boxes"].astype(np.float32))[sure]
    assert apart.max() < 0.01 * DETECTOR_SIDE


def test_landmarks(networks, vectors):
    with torch.inference_mode():
        output = networks[1](as_tensor(vectors["crops"]) / 255)
    points = vectors["points"].reshape(-1, 39, 5)
    assert np.abs(output.points[..., :3].numpy() - points[..., :3]).max() < 0.01 * SIDE
    assert np.abs(output.points[..., 3:].numpy() - points[..., 3:]).max() < 0.02
    assert np.abs(output.world.flatten(1).numpy() - vectors["world"]).max() < 1e-3  # metres
    assert np.abs(torch.sigmoid(output.presence).numpy() - vectors["presence"][:, 0]).max() < 1e-3
    heat = output.heatmaps.flatten(2)
    assert np.abs(heat.amax(2).numpy() - vectors["heat_peak"]).max() < 0.05
    assert (heat.argmax(2).numpy() == vectors["heat_place"]).mean() > 0.97


def test_a_crop_does_not_depend_on_its_neighbours_beyond_rounding(networks, vectors):
    crops = as_tensor(vectors["crops"]) / 255
    with torch.inference_mode():
        both = networks[1](crops).world
        alone = torch.cat([networks[1](crop[None]).world for crop in crops])
    assert (both - alone).abs().max() < 1e-5


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_a_pointwise_convolution(memory):
    conv = torch.nn.Conv2d(5, 7, 1)
    x = torch.randn(2, 5, 3, 4).contiguous(memory_format=memory)
    assert torch.allclose(pointwise(x, conv), conv(x), atol=1e-6)


@pytest.mark.parametrize("name", SHAPES)
def test_every_variant_runs(name):
    with torch.inference_mode():
        output = LandmarkNet(SHAPES[name]).eval()(torch.zeros(1, 3, SIDE, SIDE))
    assert output.points.shape == (1, 39, 5) and output.world.shape == (1, 39, 3)
    assert output.heatmaps.shape == (1, 39, 64, 64)


def test_the_file_is_small_and_says_where_it_comes_from():
    assert SHIPPED.stat().st_size < 13e6
    notice = SHIPPED.with_name("NOTICE.txt").read_text("utf-8")
    assert "Apache License" in notice and "@mediapipe/pose" in notice
    assert "Apache License" in SHIPPED.with_name("LICENSE.txt").read_text("utf-8")


def test_files_that_are_no_weights(tmp_path):
    missing, text, other = (tmp_path / name for name in ("missing", "text", "other"))
    text.write_text("version https://git-lfs.github.com/spec/v1\n")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, other)
    for path in (missing, text, other, tmp_path):
        with pytest.raises(CheckpointError, match="convert_blazepose") as error:
            load_networks(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    save_file({"detector.a": torch.zeros(1)}, other, {"network": "full"})
    with pytest.raises(CheckpointError, match="does not fit"):
        load_networks(other)
