"""Optimisers of the training loop: AdamW, or Muon for the matrices and AdamW for the rest.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) moves a matrix by its orthogonalised momentum, so
that all its directions learn equally fast. A convolution counts as a matrix: output channels by the rest.
``torch.optim.Muon`` does the same, but always in bf16, which takes 22 times as long on a processor that emulates it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from autocompose.core.distributed import as_one, rank, world

MOMENTUM = 0.95
ROUNDS = 5
LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315  # of the polynomial that each round applies to the singular values
SMALLEST = 1e-7


def matrices(module: nn.Module) -> list[Tensor]:
    """Weights of linear layers, convolutions and attention that are trained: not embeddings, biases or norms."""
    weights: list[Tensor | None] = []
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            weights.append(part.weight)
        elif isinstance(part, nn.MultiheadAttention):
            weights.append(part.in_proj_weight)
    return [p for p in weights if p is not None and p.requires_grad]


@torch.no_grad()
def orthogonalised(matrix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns: five rounds of a quintic Newton-Schulz iteration.

    Singular values in about 0.01 to 1 of the norm end within 0.7 to 1.2; smaller ones rise less.

    :param matrix: ``(M, N)``. :param dtype: of the products and of the result.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T.to(dtype) if tall else matrix.to(dtype)
    x = x / x.norm().clamp(min=SMALLEST)
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=CUBIC, alpha=QUINTIC), x, beta=LINEAR)
    return x.T if tall else x


class Muon:
    """Muon for ``matrices(module)`` and AdamW for its other parameters, behind one optimiser interface.

    Orthogonalising costs as much as a quarter of a small network's step; processes that train together divide it:
    each updates its own matrices and sends them to the others.

    :param learning_rate: of both; a step of Muon is scaled to the size of one of AdamW.
    :param dtype: of the orthogonalisation. bf16 is enough where the processor supports it.
    """

    def __init__(
        self,
        module: nn.Module,
        learning_rate: float,
        weight_decay: float,
        eps: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.matrices = matrices(module)
        chosen = {id(p) for p in self.matrices}
        others = [p for p in module.parameters() if p.requires_grad and id(p) not in chosen]
        self.weight_decay, self.dtype = weight_decay, dtype
        self.views = [_matrix(p.detach(), p) for p in self.matrices]
        self.owner = _owners([view.shape for view in self.views], world())
        self.momentum: dict[int, Tensor] = {}
        settings: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay, "eps": eps}
        self.adamw = torch.optim.AdamW(others, fused=True, **settings) if others else None
        self.param_groups: list[dict[str, Any]] = [{"params": [*others, *self.matrices], "lr": learning_rate}]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step at the rate of ``param_groups``."""
        rate = self.param_groups[0]["lr"]
        if self.adamw is not None:
            for group in self.adamw.param_groups:
                group["lr"] = rate
            self.adamw.step()
        for number, parameter in enumerate(self.matrices):
            if self.owner[number] == rank() and parameter.grad is not None:
                self._move(number, _matrix(parameter.grad, parameter), rate)
        if world() > 1:
            self._exchange()

    def _move(self, number: int, gradient: Tensor, rate: float) -> None:
        """Nesterov momentum, orthogonalised; scaled to the step of AdamW with the same rate."""
        view = self.views[number]
        momentum = self.momentum.setdefault(number, torch.zeros_like(view))
        momentum.lerp_(gradient, 1 - MOMENTUM)
        step = orthogonalised(gradient.lerp(momentum, MOMENTUM), self.dtype)
        view.mul_(1 - rate * self.weight_decay)
        view.add_(step, alpha=-rate * 0.2 * max(view.shape) ** 0.5)

    def _exchange(self) -> None:
        """Every process receives the matrices that another has updated."""
        for process in range(world()):
            views = [view for view, owner in zip(self.views, self.owner, strict=True) if owner == process]
            if views:
                as_one(views, partial(dist.broadcast, src=process))

    def state_dict(self) -> dict[str, Any]:
        """States of both; where several processes train, all must ask for it."""
        momentum = self.momentum
        if world() > 1:
            parts: list[dict[int, Tensor]] = [{} for _ in range(world())]
            dist.all_gather_object(parts, momentum)
            momentum = {n: values for part in parts for n, values in part.items()}
        return {"adamw": self.adamw.state_dict() if self.adamw is not None else None, "momentum": momentum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``, whatever the number of processes was."""
        if self.adamw is not None:
            self.adamw.load_state_dict(state["adamw"])
        self.momentum = {
            number: values.clone().to(self.views[number].device)
            for number, values in state["momentum"].items()
            if self.owner[number] == rank()
        }


def _owners(shapes: list[torch.Size], processes: int) -> list[int]:
    """Assigns each matrix to a process: the costliest first, each to the least busy process."""
    load, owners = [0] * processes, [0] * len(shapes)
    cost = [shape.numel() * min(shape) for shape in shapes]
    for number in sorted(range(len(shapes)), key=lambda n: -cost[n]):
        owners[number] = load.index(min(load))
        load[owners[number]] += cost[number]
    return owners


def _matrix(values: Tensor, weight: Tensor) -> Tensor:
    """``(O, ...)`` as ``(O, N)``, columns in the order in which ``weight`` lies in memory."""
    last = weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return (values.permute(0, 2, 3, 1) if last else values).flatten(1)
