from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocompose.core.errors import InputError
from autocompose.core.files import read_json, write_json
from autocompose.core.reading.jsontext import parse_json, to_json
from autocompose.core.reading.plain import read_file
from tests.fixtures.permissions import closed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_encoding_of_json_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.json").write_bytes('{"name": "zoë 人"}'.encode(encoding))
    assert read_json(tmp_path / "x.json") == {"name": "zoë 人"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
        ("9" * 5000, "too many digits"),
        ('{"a": 1,}', "not valid JSON at line 1, column"),
        ("", "not valid JSON at line 1, column 1"),
        ("3", "expected an object, got a number"),
        ("null", "expected an object, got null"),
        ('"x"', "expected an object, got a text"),
        ("[]", "expected an object, got a list"),
    ],
)
def test_what_is_no_object_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=rf"x\.json.*{words}"):
        read_json(tmp_path / "x.json", dict)


def test_what_json_does_not_have_is_counted_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    text = '{"a": NaN, "b": [-Infinity, 1e999, 1.5], "a": 2, "c": {"d": 1, "d": 1}}'
    for _ in range(2):
        assert parse_json(text, "odd.json") == {"a": 2, "b": [None, None, 1.5], "c": {"d": 1}}
    said = capsys.readouterr().err
    assert said.count("odd.json: 3 numbers are NaN or infinite") == 1
    assert said.count("odd.json: 2 keys stand twice in one object ('d', 'a')") == 1


def test_nothing_that_is_no_json_is_written(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": float("nan"), "b": [float("inf"), (1.5, -float("inf"))], "ü": 1})
    text = (tmp_path / "x.json").read_text("utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refuse) == {"a": None, "b": [None, [1.5, None]], "ü": 1}
    assert "ü" in text


def test_half_a_surrogate_is_written_as_an_escape(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": "\ud800 ü"})
    assert read_json(tmp_path / "x.json") == {"a": "\ud800 ü"}


def test_a_value_too_deep_to_write_is_one_line() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InputError, match="nested too deeply"):
        to_json(value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(VALUES, st.sampled_from([None, 1]))
def test_what_is_written_is_read(value: object, indent: int | None) -> None:
    assert parse_json(to_json(value, indent), "x") == value


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to("round")
    for path, words in (
        (tmp_path, "is a folder, expected a file"),
        (tmp_path / "none", "file not found"),
        (tmp_path / "x" / "y", "a part of its path is a file"),
        (tmp_path / ("n" * 300), "its name is too long"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "round", "go round in circles"),
        (Path("/dev/zero"), "not a regular file"),
    ):
        with pytest.raises(InputError, match=words):
            read_file(path)
    with closed(tmp_path / "x"), pytest.raises(InputError, match="x: no permission to read it"):
        read_file(tmp_path / "x")
    with pytest.raises(InputError, match="more than 0 bytes"):
        read_file(tmp_path / "x", 0)
