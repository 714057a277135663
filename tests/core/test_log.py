from __future__ import annotations

import io
import json
import sys

import pytest

from autocompose.core.log import Tally, escape_output, json_line, say

NAME = "zo\u00eb \u30c0\u30f3\u30b9 \U0001f483 caf\udce9"


@pytest.mark.parametrize(("encoding", "shown"), [
    ("ascii", r"zo\xeb \u30c0\u30f3\u30b9 \U0001f483 caf\udce9"),
    ("utf-8", "zo\u00eb \u30c0\u30f3\u30b9 \U0001f483 caf\\udce9"),
])  # fmt: skip
def test_what_a_stream_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    escape_output()
    print(NAME)
    say(NAME)
    for stream in streams.values():
        stream.flush()
        assert stream.buffer.getvalue().decode(encoding) == shown + "\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_is_json_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    print(json_line({"path": NAME}))
    stream.flush()
    assert json.loads(stream.buffer.getvalue().decode(encoding)) == {"path": NAME}  # type: ignore[attr-defined]


def test_tally_counts_everything() -> None:
    tally = Tally("files")
    tally.keep(2)
    tally.drop("damaged", "x.bvh")
    assert tally.line() == "files: 3 in, 2 kept; dropped 1: damaged"
