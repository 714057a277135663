"""Batch files, and the rounds that they and Ray share."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from autocompose.core.errors import AnnotationError, InputError
from autocompose.core.run_folder import RunFolder
from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.asks import Answer, Ask
from autocompose.describe.mllm.batch_files import export_batch, import_batch
from autocompose.describe.mllm.export import export_texts
from autocompose.describe.mllm.rounds import answer_in_rounds
from tests.describe.mllm.fakes import QUICK, Fake, job
from tests.describe.mllm.wild import completion
from tests.simulator.annotator import Annotator


def answered(files: list[Path], annotator: Annotator, out: Path) -> Path:
    """What a batch service returns: the lines in another order."""
    lines = []
    for request in (json.loads(line) for path in files for line in path.read_text("utf-8").splitlines()):
        assert (request["method"], request["url"]) == ("POST", "/v1/chat/completions")
        body = {
            "model": "sim-1",
            "choices": [{"index": 0, "finish_reason": "stop", "message": annotator.answer(request["body"])}],
            "usage": {"prompt_tokens": 300, "completion_tokens": 60},
        }
        response = {"status_code": 200, "body": body}
        lines.append(json.dumps({"custom_id": request["custom_id"], "response": response, "error": None}))
    random.Random(0).shuffle(lines)
    out.write_text("\n".join(lines) + "\n", "utf-8")
    return out


def test_two_batches_describe_a_corpus(corpus: Corpus, tmp_path: Path) -> None:
    assert corpus.poses is not None
    annotator = Annotator(corpus.poses, Fake(corpus).annotator.errors)
    rounds = 0
    while files := export_batch(job(corpus), tmp_path / f"round{rounds}"):
        tally = import_batch(job(corpus), [answered(files, annotator, tmp_path / "answers.jsonl")])
        assert tally.kept and not tally.dropped
        rounds += 1
    assert 2 <= rounds <= 4
    assert export_texts(corpus.root)["mirror"].kept == 4
    assert annotate(job(corpus), fake := Fake(corpus)).skipped == 16 and [a.stage for a in fake.asks] == ["probe"]


def test_files_are_cut_by_bytes_and_lines(corpus: Corpus, tmp_path: Path) -> None:
    (whole,) = export_batch(job(corpus), tmp_path / "a")
    longest = max(len(line) for line in whole.read_bytes().splitlines(keepends=True))
    by_bytes = export_batch(job(corpus), tmp_path / "b", max_bytes=3 * longest)
    assert len(by_bytes) > 1 and all(path.stat().st_size <= 3 * longest for path in by_bytes)
    by_lines = export_batch(job(corpus), tmp_path / "c", max_lines=5)
    assert [len(p.read_bytes().splitlines()) for p in by_lines] == [5, 5, 5, 1]
    for files in (by_bytes, by_lines):
        assert b"".join(p.read_bytes() for p in files) == whole.read_bytes()


def test_requests_still_out_are_not_exported_over(corpus: Corpus, tmp_path: Path) -> None:
    export_batch(job(corpus), tmp_path / "a")
    with pytest.raises(AnnotationError, match="import the answers"):
        export_batch(job(corpus), tmp_path / "a")


def test_a_folder_of_the_user_gets_no_requests(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="not empty and not a folder of batch files made by this program"):
        export_batch(job(corpus), tmp_path)


def test_the_next_round_may_go_into_the_same_folder(corpus: Corpus, tmp_path: Path) -> None:
    assert corpus.poses is not None
    files = export_batch(job(corpus), tmp_path / "a")
    answers = answered(files, Annotator(corpus.poses, Fake(corpus).annotator.errors), tmp_path / "a/answers.jsonl")
    import_batch(job(corpus), [answers])
    for path in files:
        path.unlink()
    assert export_batch(job(corpus), tmp_path / "a") and answers.exists()


def test_an_export_that_was_cut_short_is_begun_again(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: RunFolder, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        export_batch(job(corpus), tmp_path / "a", max_lines=5)
    monkeypatch.undo()
    again = export_batch(job(corpus), tmp_path / "a", max_lines=8)
    assert len(again) == 2 and len(list((tmp_path / "a").glob("requests-*.jsonl"))) == 2


def test_importing_twice_stores_once_and_costs_once(corpus: Corpus, tmp_path: Path) -> None:
    files = export_batch(job(corpus), tmp_path / "a")
    answers = answered(files, Fake(corpus).annotator, tmp_path / "answers.jsonl")
    first, second = (import_batch(job(corpus), [answers]) for _ in range(2))
    assert first.kept == 16 and second.kept == 0 and second.dropped == {"unknown or answered before": 16}


def test_error_lines_fail_their_pairs(corpus: Corpus, tmp_path: Path) -> None:
    (path,) = export_batch(job(corpus), tmp_path / "a")
    keys = [json.loads(line)["custom_id"] for line in path.read_text("utf-8").splitlines()]
    errors = tmp_path / "errors.jsonl"
    errors.write_text(
        json.dumps({"custom_id": keys[0], "response": {"status_code": 400, "body": {"error": "bad"}}, "error": None})
        + "\n"
        + json.dumps({"custom_id": keys[1], "response": None, "error": {"code": "batch_expired"}}),
        "utf-8",
    )
    assert import_batch(job(corpus), [errors]).dropped == {"rejected by the server": 2}
    assert len(export_batch(job(corpus), tmp_path / "b")[0].read_bytes().splitlines()) == 14


@pytest.mark.parametrize(
    "line", ["not json", "[]", '{"response": {}}', '{"custom_id": ["x"], "response": {"status_code": 200}}', "{" * 9999]
)
def test_a_file_of_another_kind_is_named_with_its_line(corpus: Corpus, tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"\n{line}\n", "utf-8")
    with pytest.raises(InputError, match=r"x\.jsonl:2: not a line of a batch output file"):
        import_batch(job(corpus), [path])


def test_lines_that_are_none_are_named_and_the_rest_goes_on(corpus: Corpus, tmp_path: Path) -> None:
    files = export_batch(job(corpus), tmp_path / "a")
    answers = answered(files, Fake(corpus).annotator, tmp_path / "answers.jsonl")
    good = answers.read_bytes().splitlines()
    keys = [json.loads(line)["custom_id"] for line in good]
    odd = [
        {"custom_id": keys[0], "response": "none", "error": None},
        {"custom_id": keys[1], "response": {"status_code": 200, "body": ["none"]}},
        {"custom_id": keys[2], "response": {"status_code": 200, "body": {"choices": 7}}},
        {"custom_id": keys[3], "response": {"status_code": 200, "body": completion({"content": 7}), "error": None}},
        {"custom_id": "\ud800", "response": {"status_code": 200, "body": completion({"content": ""})}},
    ]
    lines = [b"\xef\xbb\xbf" + good[4], b"\xff\xfe caf\xe9", b"\x00", *(json.dumps(o).encode() for o in odd), *good[5:]]
    answers.write_bytes(b"\r\n".join(lines))
    tally = import_batch(job(corpus), [answers])
    assert tally.kept == 13
    assert tally.dropped == {"rejected by the server": 3, "not a line of a batch output file": 3}
    assert tally.examples["not a line of a batch output file"] == [f"{answers}:{n}" for n in (2, 3, 8)]


def test_counts_below_zero_do_not_defeat_the_budget(corpus: Corpus, tmp_path: Path) -> None:
    files = export_batch(job(corpus), tmp_path / "a")
    answers = answered(files, Fake(corpus).annotator, tmp_path / "answers.jsonl")
    said = answers.read_text("utf-8").replace('"prompt_tokens": 300', '"prompt_tokens": -1000000')
    answers.write_text(said.replace('"completion_tokens": 60', '"completion_tokens": -60'), "utf-8")
    import_batch(job(corpus), [answers])
    limits = QUICK.model_copy(update={"max_tokens": 20_000})
    summary = annotate(job(corpus, limits), Fake(corpus))
    assert summary.stopped == "budget" and summary.spent[1] > 16 * 2 * 500  # pictures are counted too


def test_drafts_of_reasoning_models_stay_out(corpus: Corpus, tmp_path: Path) -> None:
    files = export_batch(job(corpus), tmp_path / "a")
    answers = answered(files, Fake(corpus).annotator, tmp_path / "answers.jsonl")
    lines = [json.loads(line) for line in answers.read_text("utf-8").splitlines()]
    for line in lines:
        message = line["response"]["body"]["choices"][0]["message"]
        message["content"] = '<think>{"movements": [{"part": "head", "change": "nod"}]}</think>' + message["content"]
    answers.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    import_batch(job(corpus), [answers])
    (second,) = export_batch(job(corpus), tmp_path / "b")
    assert second.read_text("utf-8").count("Movements:") == 16 and "nod" not in second.read_text("utf-8")


def test_rounds_end_when_the_engine_gives_no_answers(corpus: Corpus) -> None:
    def dead(asks: list[Ask]) -> Any:
        yield []

    assert answer_in_rounds(job(corpus), dead, "x").stopped == "unreachable"


def test_an_engine_that_dies_loses_at_most_its_block(corpus: Corpus) -> None:
    fake = Fake(corpus)

    def dying(asks: list[Ask]) -> Any:
        yield [(ask.key, answer(ask), "") for ask in asks[:5]]
        raise RuntimeError("engine died")

    def answer(ask: Ask) -> Answer:
        fake.asks.append(ask)
        return Answer(fake.annotator.answer(ask.body(_dialect()))["content"], "stop", "", 1, 1)

    def _dialect() -> Any:
        from autocompose.describe.mllm.asks import Dialect

        return Dialect()

    with pytest.raises(RuntimeError):
        answer_in_rounds(job(corpus), dying, "x")
    first = len(fake.asks)
    summary = answer_in_rounds(job(corpus), lambda asks: iter([[(a.key, answer(a), "") for a in asks]]), "x")
    assert first == 5 and summary.done == 16
    keys = [ask.key for ask in fake.asks]
    assert len(keys) == len(set(keys))
