"""Batches made ahead in another thread, and copies to a GPU that nobody waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order; up to ``depth`` are made while an earlier one is used.

    An error that an item raises is raised where that item would have come.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, source, _END) for _ in range(depth))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(thread.submit(next, source, _END))
            yield item  # type: ignore[misc]


def sent(values: Tensor, device: torch.device) -> Tensor:
    """``values`` on the device; to a GPU from pinned memory, without waiting for the copy to end."""
    if device.type != "cuda":
        return values.to(device)
    with torch.cuda.device(device):  # each thread has a current GPU of its own
        return values.pin_memory().to(device, non_blocking=True)
