"""What is made ahead is what would have been made: same order, same numbers, errors in their place."""

import threading

import pytest
import torch

from autocompose.train.prefetch import ahead, sent
from tests.train.test_compose_stages import stage


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_the_same_items_in_the_same_order(depth):
    assert list(ahead(range(20), depth)) == list(range(20))
    assert list(ahead([], depth)) == []
    assert list(ahead([None, 0], depth)) == [None, 0]


def test_items_are_made_in_another_thread_before_they_are_asked_for():
    made = threading.Semaphore(0)

    def items():
        for _ in range(3):
            made.release()
            yield threading.get_ident()

    taken = ahead(items(), 2)
    assert next(taken) != threading.get_ident()
    assert made.acquire(timeout=30)
    assert made.acquire(timeout=30)  # the second, which nobody has asked for


def test_an_error_comes_where_its_item_would_have():
    def items():
        yield 1
        yield 2
        raise ValueError("third")

    taken = ahead(items(), 2)
    assert [next(taken), next(taken)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(taken)


def test_leaving_early_leaves_no_thread():
    before = threading.active_count()
    taken = ahead(range(10**9), 2)
    next(taken)
    taken.close()
    assert threading.active_count() == before


def test_losses_are_the_same_with_batches_made_ahead():
    whole = stage()
    plain = [whole(batch).item() for batch in whole.batches(0)]
    assert len(plain) == 4
    assert [whole(batch).item() for batch in ahead(whole.batches(0))] == plain


def test_on_a_cpu_sending_copies_nothing():
    values = torch.ones(2)
    assert sent(values, torch.device("cpu")) is values
