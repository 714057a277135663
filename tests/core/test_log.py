from __future__ import annotations

import io
import json
import sys
import threading

import pytest

from autocompose.core import log
from autocompose.core.errors import NothingLeftError
from autocompose.core.log import Limit, Tally, bar, escape_output, nothing_left, say, track
from autocompose.core.reading.jsontext import json_line

NAME = "zo\u00eb \u30c0\u30f3\u30b9 \U0001f483 caf\udce9"


def test_without_a_terminal_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(track(range(3), "things")) == [0, 1, 2]
    assert capsys.readouterr().err == ""  # nothing before ten seconds have passed
    monkeypatch.setattr(log, "EVERY", 0.0)
    assert list(track(range(3), "things")) == [0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["things: 1 of 3", "things: 2 of 3", "things: 3 of 3"]
    assert lines[0].endswith("about 0 s left")
    assert list(track(iter("ab"), "letters")) == ["a", "b"]
    assert capsys.readouterr().err.startswith("letters: 1, 0 s\n")
    with bar() as progress:
        task = progress.add_task("steps", total=1200)
        progress.advance(task, 1000)
    assert capsys.readouterr().err.startswith("steps: 1,000 of 1,200, ")


def test_items_count_their_size_and_an_inner_display_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log, "EVERY", 0.0)
    for batch in track([[1, 2], [3]], "pictures", 3, len):
        assert list(track(batch, "inner")) == batch
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["pictures: 2 of 3", "pictures: 3 of 3"]
    next(track([1, 2], "left early"))  # the display ends with the loop
    assert list(track([1], "next")) == [1]
    assert capsys.readouterr().err.startswith("next: 1 of 1")


def test_other_processes_and_threads_are_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log, "EVERY", 0.0)
    thread = threading.Thread(target=lambda: list(track(range(3), "things")))
    thread.start()
    thread.join()
    monkeypatch.setenv("RANK", "1")
    list(track(range(3), "things"))
    assert capsys.readouterr().err == ""


def test_nothing_left_names_all_reasons_and_the_mildest_step() -> None:
    people, poses = Tally("people"), Tally("poses")
    for height in (12, 64, 30):
        people.drop("smaller than 80 pixels", limit=Limit("--height", 80, height))
    people.drop("out of focus")
    poses.drop("too alike", limit=Limit("--high", 0.9, 0.98765))
    poses.drop("too small", limit=Limit("--height", 80, 61))
    error = nothing_left("out", [people, poses], "add pictures")
    assert isinstance(error, NothingLeftError)
    assert str(error) == (
        "out: nothing is left (people: 4 in, 0 kept; dropped 3: smaller than 80 pixels; dropped 1: out of focus; "
        "poses: 2 in, 0 kept; dropped 1: too alike; dropped 1: too small); --height 64 instead of 80 keeps the first; "
        "--high 0.988 instead of 0.9 keeps the first; add pictures"
    )


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


def test_a_tally_adds_up() -> None:
    tally = Tally("pairs")
    tally.keep(5)
    for i in range(12):
        tally.drop("no text", f"entry {i}")
    tally.drop("blank", n=3)
    tally.drop("never happened", n=0)
    assert tally.line() == "pairs: 20 in, 5 kept; dropped 12: no text; dropped 3: blank"
    record = tally.record()
    assert record["kept"] + sum(record["dropped"].values()) == 20
    assert record["examples"]["no text"] == [f"entry {i}" for i in range(10)]
