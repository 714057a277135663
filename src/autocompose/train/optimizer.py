"""Optimisers of the training loop: AdamW, or Muon for the matrices and AdamW for the rest.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) moves a matrix by its orthogonalised momentum, so
that all its directions learn equally fast. A convolution is a matrix too: output channels by everything they see.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from autocompose.core.distributed import as_one, rank, world


def matrices(module: nn.Module) -> list[Tensor]:
    """Weights of linear layers, convolutions and attention that are trained: not embeddings, biases or norms."""
    found: list[Tensor | None] = []
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            found.append(part.weight)
        elif isinstance(part, nn.MultiheadAttention):
            found.append(part.in_proj_weight)
    return [p for p in found if p is not None and p.requires_grad]


class Muon:
    """``torch.optim.Muon`` for ``matrices(module)`` and AdamW for its other parameters, behind one optimiser's face.

    Orthogonalising costs as much as a quarter of a small network's step; processes that train together share it out:
    each moves its own matrices and tells the others.

    :param learning_rate: of both; a step of Muon is scaled to the size of one of AdamW.
    """

    def __init__(self, module: nn.Module, learning_rate: float, weight_decay: float, eps: float) -> None:
        self.matrices = matrices(module)
        chosen = {id(p) for p in self.matrices}
        others = [p for p in module.parameters() if p.requires_grad and id(p) not in chosen]
        # torch's Muon takes matrices only, so it gets views of the weights
        self.views = [nn.Parameter(_matrix(p.detach(), p)) for p in self.matrices]
        self.owner = _owners([view.shape for view in self.views], world())
        mine = [view for view, owner in zip(self.views, self.owner, strict=True) if owner == rank()]
        shared: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
        self.adamw = torch.optim.AdamW(others, eps=eps, fused=True, **shared) if others else None
        self.muon = torch.optim.Muon(mine, adjust_lr_fn="match_rms_adamw", **shared) if mine else None
        self.param_groups: list[dict[str, Any]] = [{"params": [*others, *self.matrices], "lr": learning_rate}]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    def step(self) -> None:
        """One step at the rate of ``param_groups``."""
        for view, parameter in zip(self.views, self.matrices, strict=True):
            view.grad = None if parameter.grad is None else _matrix(parameter.grad, parameter)
        for part in (self.adamw, self.muon):
            if part is not None:
                for group in part.param_groups:
                    group["lr"] = self.param_groups[0]["lr"]
                part.step()
        if world() > 1:
            self._exchange()

    def _exchange(self) -> None:
        """Every process gets the matrices that another one has moved."""
        for process in range(world()):
            views = [view for view, owner in zip(self.views, self.owner, strict=True) if owner == process]
            if views:
                as_one(views, partial(dist.broadcast, src=process))

    def state_dict(self) -> dict[str, Any]:
        """States of both; where several processes train, all must ask for it."""
        states = self.muon.state if self.muon is not None else {}
        momentum = {n: states[view]["momentum_buffer"] for n, view in enumerate(self.views) if view in states}
        if world() > 1:
            parts: list[dict[int, Tensor]] = [{} for _ in range(world())]
            dist.all_gather_object(parts, momentum)
            momentum = {n: values for part in parts for n, values in part.items()}
        return {"adamw": self.adamw.state_dict() if self.adamw is not None else None, "momentum": momentum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``, whatever the number of processes was."""
        if self.adamw is not None:
            self.adamw.load_state_dict(state["adamw"])
        for number, values in state["momentum"].items():
            if self.muon is not None and self.owner[number] == rank():
                self.muon.state[self.views[number]] = {"momentum_buffer": values.clone()}


def _owners(shapes: list[torch.Size], processes: int) -> list[int]:
    """Which process moves each matrix: the costliest first, each to the one that has least to do."""
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
