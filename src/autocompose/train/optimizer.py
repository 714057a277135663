"""Optimisers of the training loop: AdamW, or Muon for the matrices and AdamW for the rest.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) moves a matrix by its orthogonalised momentum, so
that all its directions learn equally fast. A convolution is a matrix too: output channels by everything they see.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


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

    :param learning_rate: of both; a step of Muon is scaled to the size of one of AdamW.
    """

    def __init__(self, module: nn.Module, learning_rate: float, weight_decay: float, eps: float) -> None:
        self.matrices = matrices(module)
        chosen = {id(p) for p in self.matrices}
        others = [p for p in module.parameters() if p.requires_grad and id(p) not in chosen]
        # torch's Muon takes matrices only, so it gets views of the weights
        self.views = [nn.Parameter(_matrix(p.detach(), p)) for p in self.matrices]
        shared: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
        self.parts: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.AdamW(others, eps=eps, fused=True, **shared),
            torch.optim.Muon(self.views, adjust_lr_fn="match_rms_adamw", **shared),
        )
        self.param_groups: list[dict[str, Any]] = [{"params": [*others, *self.matrices], "lr": learning_rate}]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    def step(self) -> None:
        """One step at the rate of ``param_groups``."""
        for view, parameter in zip(self.views, self.matrices, strict=True):
            view.grad = None if parameter.grad is None else _matrix(parameter.grad, parameter)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.param_groups[0]["lr"]
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """States of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict()``."""
        for part, values in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(values)


def _matrix(values: Tensor, weight: Tensor) -> Tensor:
    """``(O, ...)`` as ``(O, N)``, columns in the order in which ``weight`` lies in memory."""
    last = weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    return (values.permute(0, 2, 3, 1) if last else values).flatten(1)
