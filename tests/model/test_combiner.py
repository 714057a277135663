"""The Combiner against a slow, obvious version."""

import torch
import torch.nn.functional as F

from autocompose.model.combiner import Combiner, ElementwiseSum


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


def test_a_combiner_that_starts_as_the_sum_answers_nearly_like_it():
    torch.manual_seed(0)
    combiner = Combiner(16, 32, 64, dropout=0.0).start_as_sum().eval()
    image, text = torch.randn(50, 16), torch.randn(50, 16)
    likeness = (combiner(image, text) * ElementwiseSum()(image, text)).sum(1)
    assert likeness.min() > 0.95
    assert (Combiner(16, 32, 64)(image, text) * ElementwiseSum()(image, text)).sum(1).min() < likeness.min()
