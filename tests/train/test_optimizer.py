"""Muon: views of the weights, orthogonal steps, and a state from which it continues."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from autocompose.core.distributed import rank, together
from autocompose.train.optimizer import Muon, matrices, orthogonalised


def network(channels_last: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 36, 6),
        nn.Linear(6, 2),
    )
    return layers.to(memory_format=torch.channels_last) if channels_last else layers


def train(model: nn.Module, optimizer: Muon, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        images = torch.randn(16, 3, 8, 8, generator=generator)
        optimizer.zero_grad()
        (model(images) - images.mean((2, 3))[:, :2]).square().mean().backward()
        optimizer.step()


def test_matrices_are_weights_of_layers_and_nothing_else():
    model = nn.ModuleDict(
        {
            "net": network(),
            "words": nn.Embedding(5, 4),
            "attention": nn.MultiheadAttention(4, 2),
            "norm": nn.LayerNorm(4),
        }
    )
    model["net"][5].requires_grad_(False)
    chosen = {id(p) for p in matrices(model)}
    names = {name for name, p in model.named_parameters() if id(p) in chosen}
    assert names == {"net.0.weight", "net.4.weight", "attention.in_proj_weight", "attention.out_proj.weight"}


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_matrix_moves_in_all_directions_nearly_alike(channels_last):
    """Five rounds of Newton-Schulz bring singular values of the gradient that lie far apart to within a factor of 4."""
    model = network(channels_last)
    before = copy.deepcopy(model.state_dict())
    optimizer = Muon(model, 0.01, 0.0, 1e-8)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
        if parameter.ndim > 1:
            left, _, right = torch.linalg.svd(parameter.grad.flatten(1), full_matrices=False)
            spread = torch.logspace(0, -1.3, left.shape[1])
            parameter.grad.copy_((left * spread @ right).view(parameter.shape))
    optimizer.step()
    for name, parameter in model.named_parameters():
        step = (parameter.detach() - before[name]).flatten(1) if parameter.ndim > 1 else parameter - before[name]
        assert step.abs().max() > 0, name
        if parameter.ndim > 1:
            values = torch.linalg.svdvals(step) / (0.01 * 0.2 * max(step.shape) ** 0.5)
            assert values.min() > 0.3 and values.max() < 1.6 and values.max() < 4 * values.min(), (name, values)


SHAPES = [(5, 5), (4, 19), (19, 4), (1, 7), (7, 1)]


def slowly_orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """What the iteration does to each singular value, one after the other, in double precision."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.square().sum().sqrt()
    for i in range(len(values)):
        for _ in range(5):
            values[i] = 3.4445 * values[i] - 4.7750 * values[i] ** 3 + 2.0315 * values[i] ** 5
    return (left @ torch.diag(values) @ right).float()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-5), (torch.bfloat16, 0.1)])
def test_orthogonalising_is_a_polynomial_of_the_singular_values(shape, dtype, error):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalised(matrix, dtype)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), slowly_orthogonalised(matrix), atol=error, rtol=0)
    assert not orthogonalised(torch.zeros(shape), dtype).any()


def test_in_bf16_it_moves_as_torchs_own():
    """``torch.optim.Muon`` knows bf16 only; three steps of a layer are the same to the last bit."""
    ours, theirs = nn.Linear(9, 4, bias=False), nn.Linear(9, 4, bias=False)
    theirs.load_state_dict(ours.state_dict())
    optimizer = Muon(ours, 0.01, 0.1, 1e-8, torch.bfloat16)
    known = torch.optim.Muon(theirs.parameters(), lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        gradient = torch.randn(4, 9, generator=generator)
        for layer, moved in ((ours, optimizer), (theirs, known)):
            layer.weight.grad = gradient.clone()
            moved.step()
    assert torch.equal(ours.weight, theirs.weight)


class Watched(TorchDispatchMode):
    """Remembers the types of all tensors that anything is computed of."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.update(part.dtype for part in tree_leaves(args) if isinstance(part, torch.Tensor))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_fp32_nothing_is_computed_in_another_type(dtype):
    """On a processor that emulates bf16 one product of it costs as much as dozens in fp32."""
    model = network()
    with Watched() as watched:
        train(model, Muon(model, 0.01, 0.1, 1e-8, dtype), 1)
    assert {kind for kind in watched.seen if kind.is_floating_point} == {torch.float32, dtype}


def test_the_order_of_memory_changes_nothing():
    """One step: the columns of a convolution's matrix are another order of the same columns."""
    plain, last = network(), network(channels_last=True)
    for model in (plain, last):
        torch.manual_seed(2)
        optimizer = Muon(model, 0.01, 0.1, 1e-8)
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape))
        optimizer.step()
    for name, weight in plain.state_dict().items():
        torch.testing.assert_close(last.state_dict()[name], weight, atol=5e-4, rtol=0)


def test_it_continues_from_its_state_bit_by_bit():
    whole, first = network(), network()
    optimizer = Muon(whole, 0.01, 0.1, 1e-8)
    train(whole, optimizer, 3)
    train(whole, optimizer, 3)
    stopped = Muon(first, 0.01, 0.1, 1e-8)
    train(first, stopped, 3)
    second = network()
    second.load_state_dict(first.state_dict())
    again = Muon(second, 0.01, 0.1, 1e-8)
    again.load_state_dict(copy.deepcopy(stopped.state_dict()))
    train(second, again, 3)
    for name, weight in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], weight), name


def train_and_stop(folder: Path) -> None:
    """Three steps of both processes, all with the same gradients, then three more from the state that was kept."""
    model = network()
    optimizer = Muon(model, 0.01, 0.1, 1e-8)
    train(model, optimizer, 3)
    state, again = optimizer.state_dict(), network()
    again.load_state_dict(model.state_dict())
    second = Muon(again, 0.01, 0.1, 1e-8)
    second.load_state_dict(state)
    train(again, second, 3)
    told = {"weights": again.state_dict(), "owners": optimizer.owner, "momentum": sorted(state["momentum"])}
    torch.save(told, folder / f"{rank()}.pt")


def test_processes_share_the_matrices_and_move_them_as_one_does(tmp_path):
    whole = network()
    optimizer = Muon(whole, 0.01, 0.1, 1e-8)
    train(whole, optimizer, 3)
    train(whole, optimizer, 3)
    with together(2, train_and_stop, tmp_path):
        train_and_stop(tmp_path)
    told = [torch.load(tmp_path / f"{number}.pt") for number in (0, 1)]
    assert set(told[0]["owners"]) == {0, 1}
    assert told[0]["momentum"] == told[1]["momentum"] == [0, 1, 2]  # whoever saves has that of all
    for name, weight in whole.state_dict().items():
        assert torch.equal(told[0]["weights"][name], told[1]["weights"][name]), name
        torch.testing.assert_close(told[0]["weights"][name], weight, atol=1e-3, rtol=0, msg=name)


def test_a_state_holds_the_momentum_of_every_matrix(tmp_path):
    """Momentum is kept by matrix, not by process."""
    model = network()
    optimizer = Muon(model, 0.01, 0.1, 1e-8)
    train(model, optimizer, 2)
    state = optimizer.state_dict()
    assert sorted(state["momentum"]) == [0, 1, 2]
    torch.save(state, tmp_path / "state.pt")
    torch.load(tmp_path / "state.pt", weights_only=True)


def test_the_rate_is_that_of_its_one_group():
    model = network()
    optimizer = Muon(model, 0.01, 0.0, 1e-8)
    before = copy.deepcopy(model.state_dict())
    optimizer.param_groups[0]["lr"] = 0.0
    train(model, optimizer, 1)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
