"""Work spread over processes, with the same results in the same order for any number of them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
# Libraries that would start threads of their own in every process, which then fight for the cores.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_KEPT: dict[int, Executor] = {}


def each(work: Callable[[A], B], items: Iterable[A], workers: int | None = None) -> Iterator[B]:
    """``work(item)`` for each item, results in the order of the items.

    :param work: a function that can be pickled; pure, so that the number of processes changes nothing.
    :param workers: processes; default: one per core. 1 works in this process.
    """
    items = list(items)
    wanted = workers or os.cpu_count() or 1
    workers = min(wanted, len(items))
    if workers <= 1:
        yield from map(work, items)
        return
    size = max(1, min(8, len(items) // (workers * 4)))
    # few items need few processes, unless there are some that wait for work
    with _one_thread_each(), kept_processes(wanted if wanted in _KEPT else workers) as pool:
        yield from pool.map(work, items, chunksize=size)


def ahead(work: Callable[[A], B], items: Iterable[A], pool: Executor | None, most: int) -> Iterator[tuple[A, B]]:
    """Each item with ``work(item)``, in order, for items that come one by one and are large.

    :param pool: processes; None works in this one. :param most: items that are held at once.
    """
    if pool is None:
        yield from ((item, work(item)) for item in items)
        return
    waiting: deque[tuple[A, Future[B]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) >= most:
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
