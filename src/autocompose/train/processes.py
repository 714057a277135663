"""Several processes that train one model: each takes its share of a batch, gradients are averaged.

``torchrun`` and ``accelerate launch`` start the processes; ``join`` makes them find each other. In one process every
function here is the identity.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from autocompose.core.errors import DependencyError
from autocompose.core.log import console
from autocompose.model.losses import rank, world

T = TypeVar("T")


def join() -> torch.device:
    """Connect to the other processes if a launcher started several; the device of this one.

    From then on only the first process speaks.

    :raises DependencyError: started by a launcher, but accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        try:
            from accelerate import PartialState
        except ImportError:
            raise DependencyError("accelerate", "train", "training in several processes") from None
        device = PartialState().device
        console.quiet = rank() > 0
        return device
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def first_process_first() -> Iterator[None]:
    """The first process runs the block before the others do: what it caches, they read."""
    if world() > 1 and rank() > 0:
        dist.barrier()
    yield
    if world() > 1 and rank() == 0:
        dist.barrier()


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes."""
    if world() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
        parameter.grad /= world()


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a scalar."""
    if world() == 1:
        return value
    total = value.to("cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(total)
    return total.cpu() / world()


def share_weights(module: nn.Module) -> None:
    """Give every process the first one's parameters and buffers."""
    if world() > 1:
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, src=0)


def share_value(value: T) -> T:
    """The first process's value."""
    if world() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
