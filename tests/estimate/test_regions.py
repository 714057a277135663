"""Regions and crops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autocompose.estimate.regions import Region, cut

numbers = st.floats(-500, 500)


@given(numbers, numbers, st.floats(1, 1000), st.floats(-math.pi, math.pi), numbers, numbers)
def test_to_picture_and_back(x, y, side, angle, u, v):
    region = Region((x, y), side, angle)
    points = np.array([[u, v]]) / 100
    assert np.allclose(region.to_crop(region.to_picture(points)), points, atol=1e-6)


def test_the_rim_is_above_the_hips_in_the_crop():
    hips, rim = np.array([50.0, 60.0]), np.array([80.0, 20.0])
    region = Region.around(hips, rim)
    assert np.allclose(region.to_crop(hips), [0.5, 0.5])
    assert np.allclose(region.to_crop(rim), [0.5, 0.5 - 1 / 2.5])  # 1.25 times the circle's diameter


def gradient(width, height):
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_crops_show_what_the_region_says(angle, mirrored):
    region = Region((100.0, 90.0), 64.0, angle)
    crop = cut(gradient(200, 180), region, 32, mirrored=mirrored)[0].numpy() * 255
    steps = (np.arange(32) + 0.5) / 32
    u, v = np.meshgrid(1 - steps if mirrored else steps, steps)
    truth = region.to_picture(np.stack([u, v], -1))
    assert np.abs(crop[:2].transpose(1, 2, 0) - (truth - 0.5)).max() < 1.6  # values are whole numbers


def test_large_regions_are_smoothed():
    """Stripes of one pixel become grey, not black or white."""
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = cut(Image.fromarray(stripes), Region((512.0, 512.0), 1000.0), 64)
    inside = crop[..., 8:-8, 8:-8]
    assert inside.min() > 0.4 and inside.max() < 0.6


def test_outside_the_picture_is_black():
    crop = cut(Image.new("RGB", (20, 20), "white"), Region((0.0, 0.0), 40.0), 32)
    assert crop[0, :, :15, :15].max() == 0 and crop[0, :, 18:, 18:].min() == 1


@pytest.mark.parametrize("size", [(1, 1), (20000, 50), (3, 4000)])
def test_odd_pictures(size):
    for side in (1.0, 100.0, 9000.0):
        assert cut(Image.new("RGB", size), Region((size[0] / 2, -30.0), side, 1.0), 16).shape == (1, 3, 16, 16)
