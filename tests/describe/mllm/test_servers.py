"""Two real OpenAI-compatible vision servers on loopback, with tiny random models: the plumbing, not the words."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from autocompose.core.records import Split
from autocompose.corpus.format import Corpus, load_corpus
from autocompose.describe.mllm.annotate import annotate
from autocompose.describe.mllm.asking.dialogue import advance
from autocompose.describe.mllm.asking.prompts import BUILT_IN
from autocompose.describe.mllm.asking.sent_pictures import Pictures
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Fault, FaultKind, Picture, SchemaMode
from autocompose.describe.mllm.export import Rules, export_texts
from autocompose.describe.mllm.recipe import Endpoint, Limits, Recipe
from autocompose.describe.mllm.sending.client import Client
from autocompose.describe.mllm.sending.probe import probe
from tests.describe.mllm.fakes import job
from tests.describe.mllm.llama_server import llama_server

LIMITS = Limits(slots=4, deadline=60, backoff=0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def call(url: str, ask: Ask, dialect: Dialect | None = None) -> Answer:
    async def run() -> Answer:
        async with Client(Endpoint(base_url=url), 4, 60) as client:
            return await client(ask, dialect or Dialect())

    return asyncio.run(run())


def probed(url: str, model: str) -> Dialect:
    async def run() -> Dialect:
        async with Client(Endpoint(base_url=url), 4, 60) as client:
            steps = probe(model, 0.7)
            found = advance(steps)
            while not isinstance(found, Dialect):
                found = advance(steps, await client(*found))
            return found

    return asyncio.run(run())


def question(*content: str | Picture, model: str, tokens: int = 200) -> Ask:
    schema = {
        "type": "object",
        "properties": {"part": {"type": "string", "enum": ["head", "hips"]}},
        "required": ["part"],
    }
    return Ask("parts", "Name a part.", content or ("Which?",), schema, model, tokens, 0.7)


def head_prompts(folder: Path) -> Path:
    """A user's own prompt set in which even a random model can only say sensible things about the head."""
    shutil.copytree(BUILT_IN / "v1", folder)
    path = folder / "parts.words.schema.json"
    schema = json.loads(path.read_text("utf-8"))
    fields = schema["properties"]["movements"]["items"]["properties"]
    fields["part"]["enum"], fields["change"]["enum"] = ["head"], ["lower it", "raise it and look up", "tilt it forward"]
    path.write_text(json.dumps(schema), "utf-8")
    path = folder / "texts.schema.json"
    schema = json.loads(path.read_text("utf-8"))
    schema["properties"]["texts"]["items"]["enum"] = [
        "Lower your head.", "Let your chin sink to the chest.", "Please look down at the floor with your head.",
        "Nod forward, so that your face points to the ground.",
    ]  # fmt: skip
    path.write_text(json.dumps(schema), "utf-8")
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("xllamacpp", reason="no xllamacpp wheel for this machine (tests only)")
    pytest.importorskip("gguf")
    with llama_server(tmp_path_factory.mktemp("llama"), free_port()) as url:
        yield url


@pytest.mark.server
def test_llama_cpp_enforces_schemas(llama: str) -> None:
    assert probed(llama, "tiny").schema is SchemaMode.ENFORCED
    answers = [json.loads(call(llama, question(model="tiny")).raw) for _ in range(5)]
    assert all(answer["part"] in ("head", "hips") for answer in answers)


@pytest.mark.server
def test_pictures_arrive_at_llama_cpp(llama: str, corpus: Corpus) -> None:
    pair = corpus.pairs[Split.TRAIN][0]
    made = Pictures(corpus, Recipe(model="tiny"))
    one, two = (made._encoded(name, False, False) for name in (pair.reference, pair.target))
    tokens = [call(llama, question("Which?", *shown, model="tiny")).prompt_tokens for shown in ((), (one,), (one, two))]
    per_picture = (56 // 14) ** 2
    assert tokens[1] - tokens[0] >= per_picture and tokens[2] - tokens[1] >= per_picture


@pytest.mark.server
def test_llama_cpp_rejects_a_broken_picture_and_a_long_prompt(llama: str) -> None:
    for ask in (
        question("Which?", Picture(b"no picture", "image/jpeg"), model="tiny"),
        question("x" * 9000, model="tiny"),
    ):
        with pytest.raises(Fault) as caught:
            call(llama, ask)
        assert caught.value.kind is FaultKind.ITEM_FAILED


@pytest.mark.server
def test_a_whole_run_against_llama_cpp(llama: str, corpus: Corpus, tmp_path: Path) -> None:
    prompts = head_prompts(tmp_path / "own")
    recipe = {"model": "tiny", "frame": "words", "prompts": str(prompts), "max_tokens": 400, "texts": 1}
    summary = annotate(job(corpus, LIMITS, Endpoint(base_url=llama), **recipe))
    assert summary.done + sum(summary.failed.values()) == 16
    assert summary.done >= 4, summary.failed
    db = sqlite3.connect(corpus.root / "annotation.sqlite")
    attempts = db.execute("SELECT COUNT(*), MIN(prompt_tokens), MAX(model) FROM attempts WHERE kind = 'ok'").fetchone()
    db.close()
    assert attempts[0] == summary.requests and attempts[1] > 0 and "gguf" in attempts[2]
    tallies = export_texts(corpus.root, Rules(min_agreement=0))
    written = load_corpus(corpus.root).pairs[Split.TRAIN]
    assert sum(bool(p.texts.get(f)) for p in written for f in tallies) == summary.done
    again = annotate(job(corpus, LIMITS, Endpoint(base_url=llama), **recipe))
    assert again.requests == 0 and again.skipped == 16


@pytest.mark.server
def test_noise_from_llama_cpp_never_becomes_a_text(llama: str, corpus: Corpus) -> None:
    small = replace(job(corpus, LIMITS, Endpoint(base_url=llama), model="tiny", max_tokens=120), first=1)
    summary = annotate(small)
    assert summary.done == 0 and sum(summary.failed.values()) == 4


def transformers_command() -> str | None:
    """``transformers serve``: here, or in another environment that AUTOCOMPOSE_TRANSFORMERS names."""
    named = os.environ.get("AUTOCOMPOSE_TRANSFORMERS")
    if named or importlib.util.find_spec("transformers") is None:
        return named
    return shutil.which("transformers")


@contextmanager
def transformers_server(folder: Path) -> Iterator[tuple[str, str]]:
    command = transformers_command()
    if command is None:
        pytest.skip("transformers[serving] is not installed; set AUTOCOMPOSE_TRANSFORMERS to its command to run this")
    python = Path(command).with_name("python")
    subprocess.run([python, Path(__file__).with_name("tiny_llava.py"), folder], check=True, timeout=600)
    port = free_port()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    arguments = [command, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(6000):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2).close()
                break
            except OSError:
                assert process.poll() is None, "transformers serve ended"
                time.sleep(0.1)
        yield f"{url}/v1", str(folder)
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.slow
@pytest.mark.server
def test_transformers_serve_ignores_schemas_and_is_found_out(tmp_path: Path, corpus: Corpus) -> None:
    with transformers_server(tmp_path / "llava") as (url, model):
        assert probed(url, model).schema is SchemaMode.IGNORED
        text = call(url, question(model=model, tokens=24)).prompt_tokens
        made = Pictures(corpus, Recipe(model=model))
        shown = made._encoded(corpus.pairs[Split.TRAIN][0].reference, False, False)
        assert call(url, question("Which?", shown, model=model, tokens=24)).prompt_tokens > text
        small = replace(job(corpus, LIMITS, Endpoint(base_url=url), model=model, max_tokens=40), first=1)
        summary = annotate(small)
        assert summary.done == 0 and sum(summary.failed.values()) == 4
        assert summary.requests >= 4
