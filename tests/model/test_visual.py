import pytest
import torch
from pydantic import ValidationError

from autocompose.model.encoder import Encoder
from autocompose.model.small import SmallSizes, small_config
from autocompose.model.visual import JointPool, JointPoolNet

SIZES = JointPool(width=8, blocks=(1, 1, 1), tokens=16, hidden=16, joints=5, values=3)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return JointPoolNet(SIZES, 64, 12).eval()


def test_shapes(net):
    features, points = net.look(torch.randn(3, 3, 64, 64))
    assert features.shape == (3, 12)
    assert points.shape == (3, 5, 2)
    assert torch.equal(net(torch.zeros(1, 3, 64, 64)), net.look(torch.zeros(1, 3, 64, 64))[0])


def test_points_are_places_of_the_picture(net):
    points = net.look(100 * torch.randn(4, 3, 64, 64))[1]
    assert points.abs().max() < 1


def test_attention_on_one_place_gives_that_place(net):
    """The obvious way: force the attention onto place 2 of a 4 x 4 map, the third of the first row."""
    with torch.no_grad():
        weight, bias = net.attention.weight.clone(), net.attention.bias.clone()
        place = net.place.clone()
        net.place.zero_()
        net.place[0, 2, 0] = 1e4
        net.attention.weight.zero_()
        net.attention.weight[:, 0] = 1.0
        context, net.context = net.context, torch.nn.ModuleList()
        points = net.look(torch.randn(1, 3, 64, 64))[1]
        net.context = context
        net.attention.weight.copy_(weight)
        net.attention.bias.copy_(bias)
        net.place.copy_(place)
    assert torch.allclose(points, torch.tensor([0.25, -0.75]).expand(1, 5, 2), atol=1e-3)


def test_an_encoder_can_have_this_image_side():
    sizes = SmallSizes(image_size=64, pool=SIZES, dim=12, text_width=16, text_layers=1, text_heads=2)
    encoder = Encoder(small_config(sizes), seed=3)
    again = Encoder(encoder.config, seed=3)
    assert isinstance(encoder.visual, JointPoolNet)
    assert encoder.image_size == 64
    assert encoder.fingerprint() == again.fingerprint()
    assert encoder.encode_image(torch.zeros(2, 3, 64, 64)).shape == (2, 12)


def test_unknown_sizes_are_refused():
    with pytest.raises(ValidationError):
        JointPool(stages=3)
