import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autocompose.core.workers import each, kept_processes


def double(value):
    return 2 * value


def threads(_):
    return os.environ["OMP_NUM_THREADS"], os.getpid()


def stay(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


def alive(pid):
    """A process that has not ended; one that nobody has waited for yet has."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def fail(value):
    if value == 3:
        raise ValueError("three")
    return value


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_for_any_number_of_processes(workers):
    assert list(each(double, range(9), workers)) == [2 * n for n in range(9)]


def test_processes_are_others_and_have_one_thread_each():
    before = os.environ.get("OMP_NUM_THREADS")
    found = list(each(threads, range(4), 2))
    assert {count for count, _ in found} == {"1"}
    assert os.getpid() not in {pid for _, pid in found}
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_an_error_reaches_the_caller():
    with pytest.raises(ValueError, match="three"):
        list(each(fail, range(5), 2))


def test_processes_are_shared_in_a_block_and_ended_behind_it():
    def pids():
        return {pid for _, pid in each(threads, range(8), 2)}

    with kept_processes(2) as outer:
        first = pids()
        with pytest.raises(ValueError, match="three"):
            list(each(fail, range(5), 2))
        with kept_processes(2) as inner:
            second = pids()
        assert inner is outer and len(first | second) <= 2
        with kept_processes(3) as larger:
            assert list(each(double, range(2), 3)) == [0, 2]
            assert len(larger._processes) > 0, "few items start no processes of their own"
        assert list(each(double, range(3), 3)) == [0, 2, 4]  # another number of processes: its own
    assert not pids() & (first | second)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at Linux's list of processes")
def test_a_killed_program_leaves_no_processes_behind(tmp_path):
    script = f"from tests.core.test_workers import *\nlist(each(stay, [{str(tmp_path)!r}] * 2, 2))"
    guard = f"if __name__ == '__main__':\n    exec({script!r})"
    program = tmp_path.with_suffix(".py")
    program.write_text(guard)
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen([sys.executable, str(program)], env={**os.environ, "PYTHONPATH": root}, cwd=root)
    while len(list(tmp_path.iterdir())) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert all(map(alive, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))
