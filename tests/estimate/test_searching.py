"""Overlaps, doubles, and who is a person."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autocompose.estimate.finding import merged, overlaps
from autocompose.estimate.marking import Marks, Views, refined
from autocompose.estimate.searching import distinct, is_person


def boxes(seed, count):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 80, (count, 2))
    return np.concatenate([low, low + rng.uniform(1, 40, (count, 2))], 1)


def slow_overlap(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(area) - width * height)


@given(st.integers(0, 1000))
def test_overlaps(seed):
    some = boxes(seed, 6)
    assert np.allclose(overlaps(some[0], some), [slow_overlap(some[0], other) for other in some])


@given(st.integers(0, 1000), st.integers(1, 12))
def test_merging_keeps_every_answer_in_one_group(seed, count):
    some = boxes(seed, count)
    score = np.random.default_rng(seed).uniform(0.5, 1, count)
    detections = merged(score, some, np.zeros((count, 4, 2)))
    assert 1 <= len(detections) <= count
    assert detections[0].score == pytest.approx(score.max())
    assert [one.score for one in detections] == sorted((one.score for one in detections), reverse=True)
    for one in detections:
        assert (some.min(0)[:2] - 1e-9 <= one.box[:2]).all() and (one.box[2:] <= some.max(0)[2:] + 1e-9).all()


def marks(x=0.0, peak=0.8, presence=0.9, seed=0):
    points = np.random.default_rng(seed).uniform(0, 100, (39, 2)) + np.array([x, 0])
    one = np.ones(33)
    return Marks(points, np.zeros(39), np.zeros((33, 3)), one, one, peak * one, presence)


def views(**values):
    return Views(marks(**values), marks(**values))


def test_doubles():
    clear, dim, neighbour = views(peak=0.9), views(peak=0.7, x=5), views(x=60)
    assert distinct([dim, clear, neighbour]) in ([clear, neighbour], [neighbour, clear])


def test_a_person_is_there_clear_and_the_same_in_both_views():
    assert is_person(views())
    assert not is_person(views(presence=0.3))
    assert not is_person(views(peak=0.2))
    assert is_person(views(peak=0.2), sure=True)
    assert not is_person(views(presence=0.3), sure=True)
    assert not is_person(Views(marks(), marks(seed=1)))
    assert not is_person(Views(marks(), replace(marks(), presence=0.1)))


def slow_refined(points, heatmaps):
    size = heatmaps.shape[1]
    result, peaks = points.copy(), np.zeros(len(points))
    for k, (x, y) in enumerate(points):
        column, row = int(np.floor(x * size)), int(np.floor(y * size))
        if not (0 <= column < size and 0 <= row < size):
            continue
        total = moment_x = moment_y = 0.0
        for r in range(max(0, row - 3), min(size, row + 4)):
            for c in range(max(0, column - 3), min(size, column + 4)):
                weight = 1 / (1 + np.exp(-heatmaps[k, r, c]))
                total, moment_x, moment_y = total + weight, moment_x + weight * c, moment_y + weight * r
                peaks[k] = max(peaks[k], weight)
        if peaks[k] >= 0.5:
            result[k] = moment_x / total / size, moment_y / total / size
    return result, peaks


@given(st.integers(0, 500))
def test_refinement_by_heatmaps(seed):
    rng = np.random.default_rng(seed)
    points, heatmaps = rng.uniform(-0.1, 1.1, (5, 2)), rng.normal(-2, 1.2, (5, 16, 16))
    points_refined, peaks = refined(torch.from_numpy(points), torch.from_numpy(heatmaps))
    truth, highest = slow_refined(points, heatmaps)
    assert np.allclose(points_refined.numpy(), truth, atol=1e-6) and np.allclose(peaks.numpy(), highest, atol=1e-6)
