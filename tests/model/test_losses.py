"""The losses against slow, obvious versions."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.model.combiner import ElementwiseSum
from autocompose.model.losses import Hop, contrastive_loss, cycle, cyclic_loss


def slow_contrastive(queries, pictures, ids):
    total = 0.0
    for i, query in enumerate(queries):
        columns = [j for j in range(len(pictures)) if j == i or ids is None or ids[j] != ids[i]]
        scores = {j: 100 * float(np.dot(query, pictures[j]) / np.linalg.norm(pictures[j])) for j in columns}
        top = max(scores.values())
        total -= scores[i] - top - math.log(sum(math.exp(v - top) for v in scores.values()))
    return total / len(queries)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 8), st.booleans())
def test_contrastive_loss_equals_the_slow_version(seed, n, masked):
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(n, 6))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    pictures, ids = rng.normal(size=(n, 6)), rng.integers(0, n, n)
    fast = contrastive_loss(torch.tensor(queries), torch.tensor(pictures), torch.tensor(ids) if masked else None)
    assert float(fast) == pytest.approx(slow_contrastive(queries, pictures, ids if masked else None), abs=1e-9)


def test_the_way_back_starts_from_the_prediction_and_masks_equal_references():
    torch.manual_seed(1)
    reference, target, text, back = (torch.randn(4, 6) for _ in range(4))
    reference[1] = reference[0]  # same reference, other target: stays a negative on the way there
    composer = ElementwiseSum()
    ids = torch.tensor([0, 0, 1, 2]), torch.tensor([5, 6, 7, 7])
    loss = cyclic_loss(composer, reference, cycle([text, back], reference, target, ids, cycle_weight=0.3))
    there = composer(reference, text)
    slow = 0.7 * slow_contrastive(there.numpy(), target.numpy(), ids[1]) + 0.3 * slow_contrastive(
        composer(there, back).numpy(), reference.numpy(), ids[0]
    )
    assert float(loss) == pytest.approx(slow, rel=1e-5)


def test_one_text_is_one_hop_of_weight_one():
    reference, target, text = (torch.randn(4, 6) for _ in range(3))
    loss = cyclic_loss(ElementwiseSum(), reference, cycle([text], reference, target))
    assert float(loss) == pytest.approx(
        slow_contrastive(F.normalize(reference + text).numpy(), target.numpy(), None), rel=1e-5
    )


def test_a_third_hop_goes_on_from_the_second():
    torch.manual_seed(2)
    reference, target, other, *texts = (torch.randn(4, 6) for _ in range(6))
    hops = [*cycle(texts[:2], reference, target), Hop(texts[2], other, weight=0.25)]
    place, slow = reference, 0.0
    for text, picture, weight in zip(texts, (target, reference, other), (0.5, 0.5, 0.25), strict=True):
        place = F.normalize(place + text)
        slow += weight * slow_contrastive(place.numpy(), picture.numpy(), None)
    assert float(cyclic_loss(ElementwiseSum(), reference, hops)) == pytest.approx(slow, rel=1e-5)
