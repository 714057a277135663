"""Request bodies of an embeddings endpoint.

A picture, alone or with a text, is a conversation, as vLLM's pooling runner takes it: an instruction as the system
message, then the user's content; one conversation per request. Texts of models without conversations (CLIP, SigLIP) go
as a list of inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autocompose.corpus.pictures.gate import bare
from autocompose.describe.mllm.asking.sent_pictures import encode
from autocompose.describe.mllm.asks import Picture as Sent
from autocompose.describe.mllm.sending.completion import PICTURE, estimate_tokens
from autocompose.model.embed import Picture
from autocompose.model.embedders.embedder import decoded
from autocompose.model.embedders.endpoint.requests import Request
from autocompose.model.embedders.options import EmbedderOptions


class Bodies:
    """Makes the requests for one model.

    :param model: its name on the server.
    """

    def __init__(self, model: str, options: EmbedderOptions) -> None:
        self.options = options
        self._common = {"model": model, "encoding_format": "base64", **options.body}

    def conversation(self, prompt: str, picture: Picture | None = None, text: str = "") -> Request:
        """One vector for a picture, a text, or both; the picture is opened when the request is sent."""
        tokens = estimate_tokens(prompt + text) + PICTURE * (picture is not None)
        return Request(lambda: {**self._common, "messages": self._messages(prompt, picture, text)}, 1, tokens)

    def _messages(self, prompt: str, picture: Picture | None, text: str) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        if picture is not None:
            content.append({"type": "image_url", "image_url": {"url": self._sent(picture).url}})
        if text:
            content.append({"type": "text", "text": text})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if prompt:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": prompt}]})
        if self.options.body.get("continue_final_message"):  # some models end with a turn of their own, left open
            messages.append({"role": "assistant", "content": [{"type": "text", "text": ""}]})
        return messages

    def inputs(self, texts: Sequence[str], prompt: str = "") -> Request:
        """A vector for each text; the prompt stands before each."""
        lines = [prompt + text for text in texts]
        return Request(lambda: {**self._common, "input": lines}, len(lines), sum(map(estimate_tokens, lines)))

    def _sent(self, picture: Picture) -> Sent:
        image = bare(decoded(picture, 2 * self.options.picture_side))
        image.thumbnail((self.options.picture_side, self.options.picture_side))
        return encode(image, self.options.picture_format)
