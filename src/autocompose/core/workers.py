"""Work spread over processes, with the same results in the same order for any number of them.

Inside ``core.ray_workers.on_ray`` the processes are those of a Ray cluster.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Protocol, TypeVar

A = TypeVar("A")
B = TypeVar("B")
H = TypeVar("H")
# Libraries that would start threads of their own in every process, which then fight for the cores.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_KEPT: dict[int, Executor] = {}


class Cluster(Protocol):
    """Processes elsewhere."""

    def map(self, work: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
        """``work(item)`` for each item, in order; ``work`` is sent to each process once."""


_CLUSTERS: list[Cluster] = []  # the last one works


def each(work: Callable[[A], B], items: Iterable[A], workers: int | None = None) -> Iterator[B]:
    """``work(item)`` for each item, results in the order of the items.

    :param work: a function that can be pickled; pure, so that the number of processes changes nothing.
    :param workers: processes; default: one per core. 1 works in this process.
    """
    items = list(items)
    if _CLUSTERS:
        yield from _CLUSTERS[-1].map(work, items)
        return
    wanted = workers or os.cpu_count() or 1
    workers = min(wanted, len(items))
    if workers <= 1:
        yield from map(work, items)
        return
    size = max(1, min(8, len(items) // (workers * 4)))
    # few items need few processes, unless there are some that wait for work
    with _one_thread_each(), kept_processes(wanted if wanted in _KEPT else workers) as pool:
        yield from pool.map(work, items, chunksize=size)


def each_with(held: H, work: Callable[[H, A], B], items: Iterable[A], workers: int = 1) -> Iterator[B]:
    """``work(held, item)`` for each item, as ``each``; for ``held`` that is slow to load, such as a model.

    :param held: sent to each process once.
    """
    items = list(items)
    if _CLUSTERS:
        yield from _CLUSTERS[-1].map(partial(work, held), items)
        return
    if workers <= 1:
        yield from (work(held, item) for item in items)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _hold, (partial(work, held), workers)) as pool:
        yield from pool.map(_with_held, items)


_held: Callable[[Any], Any]  # of a worker process, set once by _hold


def _hold(work: Callable[[Any], Any], processes: int) -> None:
    global _held
    import torch

    end_with_parent()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))  # its variables are read when it is imported
    _held = work


def _with_held(item: Any) -> Any:
    return _held(item)


@contextmanager
def on_cluster(cluster: Cluster) -> Iterator[None]:
    """All ``each`` and ``each_with`` in this block work there, whatever number of processes they name."""
    _CLUSTERS.append(cluster)
    try:
        yield
    finally:
        _CLUSTERS.remove(cluster)


def is_elsewhere() -> bool:
    """Whether ``each`` works on a cluster."""
    return bool(_CLUSTERS)


def ahead(work: Callable[[A], B], items: Iterable[A], pool: Executor | None, limit: int) -> Iterator[tuple[A, B]]:
    """Pairs of item and ``work(item)``, in order, for a stream of large items.

    :param pool: of processes; None does the work in this one. :param limit: how many items are held at once.
    """
    if pool is None:
        yield from ((item, work(item)) for item in items)
        return
    waiting: deque[tuple[A, Future[B]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) >= limit:
            first, result = waiting.popleft()
            yield first, result.result()
    while waiting:
        first, result = waiting.popleft()
        yield first, result.result()


@contextmanager
def kept_processes(workers: int | None = None) -> Iterator[Executor]:
    """All ``each`` in this block share processes, because starting one (torch, body model) takes seconds.

    Blocks inside another one with as many processes share them as well. They start when they are first needed.
    """
    workers = workers or os.cpu_count() or 1
    if workers in _KEPT:
        yield _KEPT[workers]
        return
    # spawn: forked copies of a process that has torch's threads can hang
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        _KEPT[workers] = pool
        try:
            yield pool
        finally:
            del _KEPT[workers]


def end_with_parent() -> None:
    """A killed program leaves no processes behind that wait for work for ever."""
    parent = parent_process()
    assert parent is not None, "only processes that another one started call this"

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in this block use one thread each; this process keeps its own."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
