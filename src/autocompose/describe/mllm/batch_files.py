"""The OpenAI batch file format: open questions out, answers in, at half the price and within a day.

A file holds at most 50,000 lines and 200 MB; with pictures inside, the bytes are what counts.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autocompose.core.errors import AnnotationError, InputError
from autocompose.core.files import write_bytes
from autocompose.core.log import Tally
from autocompose.core.run_folder import RunFolder
from autocompose.describe.mllm.asks import Answer, Ask, Dialect
from autocompose.describe.mllm.job import Job
from autocompose.describe.mllm.rounds import Rounds
from autocompose.describe.mllm.sending.client import MAX_WORDS
from autocompose.describe.mllm.sending.completion import NoAnswerError, read_completion

MAX_LINES, MAX_BYTES = 50_000, 200_000_000
DISCOUNT = 0.5
HOST = "batch"


def export_batch(job: Job, folder: Path, max_bytes: int = MAX_BYTES, max_lines: int = MAX_LINES) -> list[Path]:
    """Write the open questions of a job as batch files ``requests-001.jsonl`` ...

    :return: the files; none when everything is answered.
    :raises AnnotationError: the folder holds request files already (their answers should be imported first).
    :raises InputError: the folder holds something else.
    """
    own = RunFolder(folder, "batch", "a folder of batch files")
    if own.made_with() is not None and own.record() is None:
        own.clear()  # left by an interrupted export, so never sent
    old = sorted(folder.glob("requests-*.jsonl"))
    if old:
        raise AnnotationError(f"{old[0]}: import the answers to these requests, then remove them or use another folder")
    own.check(own.made_with() or {})
    own.path.unlink(missing_ok=True)
    files: list[Path] = []
    with Rounds(job) as rounds:
        dialect = rounds.dialect()
        lines = (_line(ask, dialect) for ask in rounds.open_questions())
        for block in _blocks(lines, max_bytes, max_lines):
            files.append(folder / f"requests-{len(files) + 1:03d}.jsonl")
            own.start({}, [files[-1].name])
            write_bytes(files[-1], block)
    if files:
        own.finish({})
    return files


def _blocks(lines: Iterator[bytes], max_bytes: int, max_lines: int) -> Iterator[bytes]:
    block: list[bytes] = []
    size = 0
    for line in lines:
        if block and (size + len(line) > max_bytes or len(block) == max_lines):
            yield b"".join(block)
            block, size = [], 0
        block.append(line)
        size += len(line)
    if block:
        yield b"".join(block)


def _line(ask: Ask, dialect: Dialect) -> bytes:
    request = {"custom_id": ask.key, "method": "POST", "url": "/v1/chat/completions", "body": ask.body(dialect)}
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def import_batch(job: Job, files: list[Path]) -> Tally:
    """Store the answers of batch output and error files; order and repetition do not matter.

    Invalid lines are counted and named; the others are imported.

    :raises InputError: a file cannot be read, or none of its lines is one of a batch output file.
    """
    tally = Tally("answers")
    with Rounds(job) as rounds:
        for path in files:
            _import(rounds, path, tally)
        for _ in rounds.open_questions():
            pass  # finishes the pairs whose last answer has come
    return tally


def _import(rounds: Rounds, path: Path, tally: Tally) -> None:
    broken: list[int] = []
    sound = 0
    for number, line in _lines(path):
        record = _record(line)
        if record is None:
            broken.append(number)
            continue
        sound += 1
        key = record["custom_id"]
        answer, words = _answer(record, rounds.prompt_tokens(key))
        if not rounds.record(key, answer, HOST, words, DISCOUNT):
            tally.drop("unknown or answered before", key)
        elif answer is None:
            tally.drop("rejected by the server", words)
        else:
            tally.keep()
    if broken and not sound:
        raise InputError(f"{path}:{broken[0]}: not a line of a batch output file; expected custom_id and response")
    for number in broken:
        tally.drop("not a line of a batch output file", f"{path}:{number}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not empty."""
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def _record(line: bytes) -> dict[str, Any] | None:
    """A line of a batch output or error file, else None."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    key = record.get("custom_id") if isinstance(record, dict) else None
    if not isinstance(key, str) or not key.isascii() or not {"response", "error"} & record.keys():
        return None
    return record


def _answer(record: dict[str, Any], prompt_tokens: int) -> tuple[Answer | None, str]:
    """The answer of a line, or None and the error message of the service."""
    response = record.get("response")
    body = response.get("body") if isinstance(response, dict) else None
    if record.get("error") or not isinstance(response, dict) or response.get("status_code") not in (200, "200"):
        return None, json.dumps(record.get("error") or body or "no response")[:MAX_WORDS]
    try:
        return read_completion(body, prompt_tokens), ""
    except NoAnswerError as error:
        return None, ascii(str(error))[:MAX_WORDS]
