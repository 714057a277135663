"""Whose folder it is."""

from autocompose.train.history import claim, difference


def test_differences_are_told_by_key():
    assert difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}) == [
        "a.c = 2 instead of 3",
        "d = None instead of 4",
    ]


def test_claiming_twice_with_tuples_is_the_same_run(tmp_path):
    assert claim(tmp_path, {"layers": (1, 2)}) is False
    assert claim(tmp_path, {"layers": (1, 2)}) is False
