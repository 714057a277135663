"""The workers of a Ray cluster: heavy steps as Ray Data pipelines, with the results of one process.

A pipeline sends shards of work to actors, each of which loads its model once, and brings results back in order; the
program that has started it is the only one that writes. It consumes results as fast as it writes them, and Ray keeps
the actors from running further ahead than its memory allows. A killed actor is started again with the shards that it
had; a killed program continues as it does without Ray, from what has been written.
"""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from autocompose.core.errors import AutocomposeError, ConfigError, DependencyError
from autocompose.core.log import say
from autocompose.core.machine import cores
from autocompose.core.workers import on_cluster

A = TypeVar("A")
B = TypeVar("B")
MAX_BLOCKS = 5_000  # tasks of a pipeline; more shards than that share tasks
BLOCK_BYTES = 1 << 20  # of results that are sent on at a time
RETRIES = 4  # of a shard whose worker dies


@dataclass(frozen=True)
class RayWorkers:
    """Workers of the cluster that this process is connected to.

    :param count: actors; None = as many as there is room for. Each asks for ``cpus`` and ``gpus``, which may be parts
        of one.
    """

    count: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def map(self, work: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
        """See ``core.workers.Cluster``.

        :raises AutocomposeError: raised by ``work``, or workers die again and again.
        """
        if not items:
            return
        import ray
        from ray.exceptions import RayError

        rows = [{"item": pickle.dumps(item)} for item in items]
        with _quiet_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # max_task_retries goes the old way: the new one has no name for it
            data = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_BLOCKS)).map(
                _Worker,  # type: ignore[arg-type]  # a class, which makes Ray start actors
                fn_constructor_args=(pickle.dumps(work),),
                compute=ray.data.ActorPoolStrategy(size=min(self.count or 1, len(rows))),
                num_cpus=self.cpus,
                num_gpus=self.gpus,
                max_task_retries=RETRIES,
            )
        del rows
        try:
            for row in data.iter_rows():
                result = pickle.loads(row["result"])
                if row["failed"]:
                    raise result
                yield result
        except RayError as error:
            cause = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise AutocomposeError(
                f"Ray cannot go on: {type(error).__name__}: {cause[0][:300]}; run the same command again, or without "
                "--on ray to see where it fails"
            ) from None


class _Worker:
    """An actor. What it does arrives once; items and results are bytes, which Ray leaves as they are."""

    def __init__(self, work: bytes) -> None:
        self.work: Callable[[Any], Any] = pickle.loads(work)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": pickle.dumps(self.work(pickle.loads(row["item"]))), "failed": False}
        except Exception as error:  # raised again by the program that waits for the results
            return {"result": _pickled(error), "failed": True}


def _pickled(error: Exception) -> bytes:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # an exception that its message alone does not make
        data = pickle.dumps(AutocomposeError(str(error)))
    return data


@contextmanager
def _quiet_context() -> Iterator[None]:
    """Pipelines that are made in this block keep the order, send small blocks, and print nothing."""
    from ray.data import DataContext

    context = DataContext.get_current()
    wanted = {"enable_progress_bars": False, "print_on_execution_start": False, "target_max_block_size": BLOCK_BYTES}
    before = {name: getattr(context, name) for name in wanted}
    order, context.execution_options.preserve_order = context.execution_options.preserve_order, True
    for name, value in wanted.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        context.execution_options.preserve_order = order
        for name, value in before.items():
            setattr(context, name, value)


@contextmanager
def on_ray(workers: RayWorkers | None = None) -> Iterator[RayWorkers]:
    """All ``core.workers.each`` in this block work on Ray.

    Which cluster is Ray's own matter: the one that this process is connected to, else that of ``RAY_ADDRESS``, else
    one on this machine for the time of the block.

    :raises DependencyError: Ray is not installed. ConfigError: more workers than the cluster has room for.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
        import ray.data
    except ImportError:
        raise DependencyError("ray", "ray", "--on ray") from None
    workers = workers or RayWorkers()
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    started = not ray.is_initialized()
    if started:
        own: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False}
        there = {} if os.environ.get("RAY_ADDRESS") else own
        ray.init(log_to_driver=False, logging_level=logging.WARNING, **there)
    try:
        workers = _placed(workers, ray.cluster_resources())
        with on_cluster(workers):
            yield workers
    finally:
        if started:
            ray.shutdown()


def _placed(workers: RayWorkers, there: dict[str, float]) -> RayWorkers:
    """Workers that the cluster has room for; Ray would wait for ever for what it does not have."""
    room = []
    for name, each in (("CPU", workers.cpus), ("GPU", workers.gpus)):
        if each > there.get(name, 0):
            raise ConfigError(f"--on ray: a worker asks for {each:g} {name}, the cluster has {there.get(name, 0):g}")
        room += [int(there[name] / each)] if each else []
    if workers.count and workers.count > min(room):
        say(f"the cluster has room for {min(room)} of the {workers.count} workers")
    return replace(workers, count=min([workers.count or min(room), *room]))
