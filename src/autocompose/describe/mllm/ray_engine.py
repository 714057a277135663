"""Offline annotation through Ray Data: many GPUs, vLLM without a server, the same prompts and the same journal.

A vLLM server with ``describe mllm --base-url`` reaches the same throughput with less machinery; this is for clusters
that run Ray anyway. Answers are written to the journal by the driver, block by block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from autocompose.core.errors import DependencyError
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, SchemaMode
from autocompose.describe.mllm.job import Job, Summary
from autocompose.describe.mllm.rounds import answer_in_rounds
from autocompose.describe.mllm.sending.client import MAX_WORDS
from autocompose.describe.mllm.sending.completion import NoAnswerError, read_completion

if TYPE_CHECKING:
    from ray.data import Dataset

Processor = Callable[["Dataset"], "Dataset"]
BLOCK = 64
FAILED = "__inference_error__"
"""Column in which Ray reports a row that failed (``should_continue_on_error``)."""


def annotate_with_ray(job: Job, processor: Processor | None = None) -> Summary:
    """Run a job with a Ray Data processor.

    :param processor: rows with ``key`` and ``body`` (a chat request as JSON) -> rows with ``key`` and
        ``generated_text`` (and ``num_input_tokens``, ``num_generated_tokens`` where known); default: vLLM with
        ``job.recipe.model``.
    :raises DependencyError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise DependencyError("ray", "ray", "--on ray") from None
    process = processor or vllm_processor(job.recipe.model)

    def engine(asks: list[Ask]) -> Iterator[list[tuple[str, Answer | None, str]]]:
        tokens = {ask.key: job.costs.tokens(ask)[0] for ask in asks}
        rows = [{"key": ask.key, "body": json.dumps(ask.body(Dialect(SchemaMode.ENFORCED)))} for ask in asks]
        block: list[tuple[str, Answer | None, str]] = []
        for row in process(ray.data.from_items(rows)).iter_rows():
            block.append(_answer(row, job.recipe.model, tokens[row["key"]]))
            if len(block) == BLOCK:
                yield block
                block = []
        if block:
            yield block

    return answer_in_rounds(job, engine, "ray")


def _answer(row: dict[str, Any], model: str, prompt_tokens: int) -> tuple[str, Answer | None, str]:
    if row.get(FAILED):
        return row["key"], None, str(row[FAILED])[:MAX_WORDS]
    usage = {"prompt_tokens": row.get("num_input_tokens"), "completion_tokens": row.get("num_generated_tokens")}
    choice = {"message": {"content": row["generated_text"]}, "finish_reason": row.get("finish_reason")}
    try:
        return row["key"], read_completion({"choices": [choice], "usage": usage, "model": model}, prompt_tokens), ""
    except NoAnswerError as error:
        return row["key"], None, str(error)[:MAX_WORDS]


def vllm_processor(model: str) -> Processor:
    """Ray's vLLM processor; a row that fails is reported, not fatal."""
    try:
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig
    except ImportError:
        raise DependencyError("ray[llm]", "ray", "--on ray with vLLM") from None
    config = vLLMEngineProcessorConfig(
        model_source=model, should_continue_on_error=True, engine_kwargs={"limit_mm_per_prompt": {"image": 2}}
    )
    return build_processor(config, preprocess=chat_row, postprocess=lambda row: row)


def chat_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row for Ray's vLLM processor: messages and sampling parameters with the JSON schema."""
    body = json.loads(row["body"])
    sampling: dict[str, Any] = {"max_tokens": body["max_tokens"]}
    if "temperature" in body:
        sampling["temperature"] = body["temperature"]
    sampling["structured_outputs"] = {"json": body["response_format"]["json_schema"]["schema"]}
    return {"key": row["key"], "messages": body["messages"], "sampling_params": sampling}
