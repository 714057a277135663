"""Several processes that train one model: each takes its share of a batch, gradients are averaged.

``torchrun`` and ``accelerate launch`` start the processes and ``join`` makes them find each other; or a program starts
helpers on its own machine with ``together``. In one process every function here is the identity.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from autocompose.core.errors import AutocomposeError, ConfigError, DependencyError, InputError
from autocompose.core.log import console
from autocompose.core.workers import end_with_parent

S = TypeVar("S")
T = TypeVar("T")
PATIENCE = timedelta(minutes=30)  # the first process may encode or validate for long while the others wait


def world() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, 0 for the first."""
    return dist.get_rank() if world() > 1 else 0


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
def together(count: int, work: Callable[..., Any], *args: Any) -> Iterator[None]:
    """Train in this process, the first, with ``count - 1`` helpers on this machine, which call ``work(*args)``.

    The cores are shared out; small steps gain more from two processes than from two threads, which wait for each other
    at every operation. Results depend on ``count``, not on the number of cores.

    :param work: can be pickled, and trains what the block trains.
    :raises InputError: a helper met an error of ours (a picture of its share is broken, say); its line.
    """
    if count == 1:
        yield
        return
    threads = torch.get_num_threads()
    share = max(1, threads // count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        helpers = [
            get_context("spawn").Process(target=_help, args=(n, count, share, folder, work, args), daemon=True)
            for n in range(1, count)
        ]
        try:
            for helper in helpers:
                helper.start()
            torch.set_num_threads(share)
            _meet(folder, 0, count)
            yield
            dist.barrier()
        except RuntimeError:  # a helper is gone; if it said why, that is the error
            for reason in sorted(folder.glob("*.error")):
                raise InputError(reason.read_text("utf-8")) from None
            raise
        finally:
            for helper in helpers:
                helper.terminate()
            if dist.is_initialized():
                dist.destroy_process_group()
            torch.set_num_threads(threads)


def _meet(folder: Path, number: int, count: int) -> None:
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", PATIENCE, rank=number, world_size=count)


def _help(number: int, count: int, threads: int, folder: Path, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Body of a helper process: silent, and ends with the process that started it."""
    end_with_parent()
    console.quiet = True
    torch.set_num_threads(threads)
    _meet(folder, number, count)
    try:
        work(*args)
        dist.barrier()
    except AutocomposeError as error:
        (folder / f"{number}.error").write_text(str(error), "utf-8")
        raise SystemExit(1) from None


@contextmanager
def first_process_first() -> Iterator[None]:
    """The first process runs the block before the others, so that they read what it caches."""
    if world() > 1 and rank() > 0:
        dist.barrier()
    yield
    if world() > 1 and rank() == 0:
        dist.barrier()


def in_shares(items: Sequence[S], work: Callable[[Sequence[S]], Tensor]) -> Tensor:
    """``work(items)``, one row for each item; each process does a part of it, and all have the whole afterwards.

    :param work: gives ``(len(part), D)`` on the CPU, whatever other items there are.
    """
    if world() == 1:
        return work(items)
    size = -(-len(items) // world())
    mine = work(items[rank() * size : (rank() + 1) * size])
    parts: list[Tensor | None] = [None] * world()
    dist.all_gather_object(parts, mine)
    return torch.cat([part for part in parts if part is not None and len(part)])


def require_shares(batch_size: int) -> None:
    """Make sure that the processes can share a batch equally.

    :raises ConfigError: they cannot.
    """
    if batch_size % world():
        raise ConfigError(f"batch_size {batch_size}: not a multiple of the {world()} processes")


@torch.no_grad()
def as_one(tensors: Sequence[Tensor], send: Callable[[Tensor], Any]) -> None:
    """Send tensors in one message instead of hundreds.

    :param send: changes their joined values in place, as the functions of ``torch.distributed`` do.
    """
    joined = torch.cat([tensor.flatten() for tensor in tensors])
    send(joined)
    for tensor, values in zip(tensors, joined.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(values.view(tensor.shape))


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes."""
    if world() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    as_one(gradients, _mean)


def _mean(values: Tensor) -> None:
    dist.all_reduce(values)
    values /= world()


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


def gather(values: Tensor) -> Tensor:
    """Rows of all processes in rank order, with gradient; the identity in one process.

    Each process contributes equally many rows.
    """
    return values if world() == 1 else _Gather.apply(values)


class _Gather(torch.autograd.Function):
    """What a row of one process does to the losses of all of them comes back to it as one sum."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        rows = [torch.empty_like(values) for _ in range(world())]
        dist.all_gather(rows, values.contiguous())
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous()
        dist.all_reduce(total)
        return total.chunk(world())[rank()]
