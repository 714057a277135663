"""Combiner and losses against slow, obvious versions."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.losses import composed_loss, contrastive_loss


def test_combiner_has_the_published_parameter_names():
    names = {name.rsplit(".", 1)[0] for name in Combiner(8, 16, 24).state_dict()}
    assert names == {
        "text_projection_layer",
        "image_projection_layer",
        "combiner_layer",
        "output_layer",
        "dynamic_scalar.0",
        "dynamic_scalar.3",
    }


def test_combiner_follows_the_formula():
    torch.manual_seed(0)
    combiner = Combiner(8, 16, 24).eval()
    w = {k: v.detach() for k, v in combiner.state_dict().items()}
    image, text = torch.randn(5, 8), torch.randn(5, 8)

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    both = torch.cat([linear("text_projection_layer", text).relu(), linear("image_projection_layer", image).relu()], 1)
    s = 1 / (1 + torch.exp(-linear("dynamic_scalar.3", linear("dynamic_scalar.0", both).relu())))
    out = linear("output_layer", linear("combiner_layer", both).relu()) + s * text + (1 - s) * image
    torch.testing.assert_close(combiner(image, text), out / out.norm(dim=1, keepdim=True))


def test_dropout_only_while_training():
    combiner = Combiner(8, 16, 24)
    x = torch.randn(4, 8)
    assert not torch.equal(combiner.train()(x, x), combiner(x, x))
    assert torch.equal(combiner.eval()(x, x), combiner(x, x))


def test_sum_is_normalised():
    image, text = torch.randn(3, 4), torch.randn(3, 4)
    torch.testing.assert_close(ElementwiseSum()(image, text), F.normalize(image + text))


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
    reference[1] = reference[0]  # same reference, other target: stays a negative in the forward term
    composer = ElementwiseSum()
    ids = torch.tensor([0, 0, 1, 2]), torch.tensor([5, 6, 7, 7])
    loss = composed_loss(
        composer,
        reference=reference,
        target=target,
        text=text,
        back_text=back,
        reference_ids=ids[0],
        target_ids=ids[1],
        cycle_weight=0.3,
    )
    there = composer(reference, text)
    slow = 0.7 * slow_contrastive(there.numpy(), target.numpy(), ids[1]) + 0.3 * slow_contrastive(
        composer(there, back).numpy(), reference.numpy(), ids[0]
    )
    assert float(loss) == pytest.approx(slow, rel=1e-5)


def test_without_back_text_only_the_forward_term():
    reference, target, text = (torch.randn(4, 6) for _ in range(3))
    loss = composed_loss(ElementwiseSum(), reference=reference, target=target, text=text)
    assert float(loss) == pytest.approx(
        slow_contrastive(F.normalize(reference + text).numpy(), target.numpy(), None), rel=1e-5
    )


def test_a_combiner_that_starts_as_the_sum_answers_nearly_like_it():
    torch.manual_seed(0)
    combiner = Combiner(16, 32, 64, dropout=0.0).start_as_sum().eval()
    image, text = torch.randn(50, 16), torch.randn(50, 16)
    likeness = (combiner(image, text) * ElementwiseSum()(image, text)).sum(1)
    assert likeness.min() > 0.95
    assert (Combiner(16, 32, 64)(image, text) * ElementwiseSum()(image, text)).sum(1).min() < likeness.min()
