"""Ray Data with a fake model on a local Ray of two workers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autocompose.core.errors import DependencyError
from autocompose.corpus.format import Corpus
from autocompose.describe.mllm.asks import Ask, Dialect, Picture
from autocompose.describe.mllm.ray_engine import FAILED, annotate_with_ray, chat_row
from tests.describe.mllm.fakes import job


def test_without_ray_the_extra_is_named(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(DependencyError, match=r"autocompose\[ray\]"):
        annotate_with_ray(job(corpus))


def test_rows_for_vllm_hold_messages_and_schema() -> None:
    ask = Ask("parts", "s", ("look", Picture(b"x", "image/jpeg")), {"type": "object"}, "m", 50, 0.5)
    row = chat_row({"key": ask.key, "body": json.dumps(ask.body(Dialect()))})
    assert row["messages"][1]["content"][1]["type"] == "image_url"
    assert row["sampling_params"] == {
        "max_tokens": 50, "temperature": 0.5, "structured_outputs": {"json": {"type": "object"}},
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_two_ray_workers_with_a_fake_model(corpus: Corpus) -> None:
    from tests.simulator.annotator import Annotator, Errors

    assert corpus.poses is not None
    poses = corpus.poses

    class Model:
        """Answers rows; the first row that each worker sees fails."""

        def __init__(self) -> None:
            self.annotator = Annotator(poses, Errors())
            self.seen = 0

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            self.seen += 1
            if self.seen == 1:
                return {"key": row["key"], "generated_text": "", FAILED: "out of memory"}
            answer = self.annotator.answer(json.loads(row["body"]))["content"]
            return {"key": row["key"], "generated_text": answer, FAILED: ""}

    summary = annotate_with_ray(job(corpus), lambda rows: rows.map(Model, concurrency=2))
    assert summary.done + summary.failed["rejected"] == 16 and summary.failed["rejected"] >= 2
    assert summary.done >= 8
