import os

import pytest

from autocompose.core.pool import each


def double(value):
    return 2 * value


def threads(_):
    return os.environ["OMP_NUM_THREADS"], os.getpid()


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
