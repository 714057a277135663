"""A Ray of this machine with two workers."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from autocompose.core.errors import AutocomposeError, DependencyError, InputError
from autocompose.core.ray_workers import RayWorkers, on_ray
from autocompose.core.workers import each, each_with, is_elsewhere
from tests.core.test_workers import double


class Heavy:
    """Counts how often it is loaded, in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return _load, (self.folder,)


def _load(folder: Path) -> Heavy:
    (folder / f"loaded-{os.getpid()}").touch()
    return Heavy(folder)


def number(heavy: Heavy, item: int) -> tuple[int, int]:
    return item, os.getpid()


def fail(item: int) -> int:
    if item == 3:
        raise InputError("three: expected another number")
    return item


def die_once(item: int, folder: Path) -> int:
    mark = folder / f"died-{item}"
    if item % 4 == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def die(item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(DependencyError, match=r"autocompose\[ray\]"), on_ray():
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
class TestOnRay:
    """One cluster for all."""

    def test_results_are_those_of_one_process_in_order(self) -> None:
        with on_ray(RayWorkers(2)):
            assert is_elsewhere()
            assert list(each(double, range(50))) == [2 * n for n in range(50)]
            assert list(each(double, [])) == []
        assert not is_elsewhere()

    def test_what_is_held_is_loaded_once_by_each_worker(self, tmp_path: Path) -> None:
        with on_ray(RayWorkers(2)):
            found = list(each_with(Heavy(tmp_path), number, range(40)))
        assert [item for item, _ in found] == list(range(40))
        assert {f"loaded-{pid}" for _, pid in found} <= {path.name for path in tmp_path.iterdir()}
        assert 1 <= len(list(tmp_path.iterdir())) <= 2

    def test_errors_of_the_work_arrive(self) -> None:
        with on_ray(RayWorkers(2)), pytest.raises(InputError, match="three: expected another number"):
            list(each(fail, range(6)))

    def test_killed_workers_are_started_again(self, tmp_path: Path) -> None:
        with on_ray(RayWorkers(2)):
            assert list(each(partial(die_once, folder=tmp_path), range(8))) == list(range(8))
        assert len(list(tmp_path.iterdir())) == 2

    def test_what_kills_every_worker_ends_in_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("autocompose.core.ray_workers.RETRIES", 1)
        with on_ray(RayWorkers(1)), pytest.raises(AutocomposeError, match="Ray cannot go on"):
            list(each(die, [1]))

    def test_more_than_the_cluster_has_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"asks for 0\.5 GPU, the cluster has 0"), on_ray(RayWorkers(1, 1, 0.5)):
            pass
