"""A real embeddings endpoint: llama.cpp's, with a tiny random model. It embeds texts only, and says so."""

from __future__ import annotations

import importlib.util
import json
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from autocompose.core.errors import AnnotationError
from autocompose.model.embedders.naming import open_embedder
from autocompose.model.embedders.options import EmbedderOptions
from tests.describe.mllm.llama_server import llama_server
from tests.describe.mllm.test_servers import free_port

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="no llama.cpp"),
]
TEXTS = ["raise your left arm", "a person sits", "bend the right knee", "up", "down"]


def alone(url: str, text: str) -> list[float]:
    """As the server embeds a text by itself; texts of one list, or sent at once, get other vectors from this one."""
    body = json.dumps({"model": "tiny", "input": text, "encoding_format": "float"}).encode()
    request = urllib.request.Request(f"{url}/embeddings", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"][0]["embedding"]


def test_texts_are_those_of_the_server_and_pictures_are_refused_in_one_line(tmp_path: Path) -> None:
    with llama_server(tmp_path, free_port(), embedding=True) as url:
        options = EmbedderOptions.parse({"text_weight": 1.0, "limits": {"slots": 1}})
        found = open_embedder(f"{url}#tiny", options).embed_texts(TEXTS)
        np.testing.assert_allclose(found, [alone(url, text) for text in TEXTS], atol=1e-5)
        with pytest.raises(AnnotationError, match="takes no pictures"):
            open_embedder(f"{url}#tiny").embed_texts(["a"])
