"""A model behind an OpenAI-compatible embeddings endpoint: ``URL#NAME``."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from autocompose.core.errors import AnnotationError, ConfigError
from autocompose.core.files import value_hash
from autocompose.core.log import bar, say
from autocompose.describe.mllm.recipe import Endpoint
from autocompose.model.embedders.embedder import Embedder, RefusedInputsError, TextCache, unit
from autocompose.model.embedders.endpoint.bodies import Bodies
from autocompose.model.embedders.endpoint.requests import Post, Request, Requests
from autocompose.model.embedders.options import EmbedderOptions

if TYPE_CHECKING:
    from autocompose.model.embed import Picture

SHOWN_SINCE = 20  # requests from which on a bar shows the progress
PAIR, SAME = ("Raise the left arm.", "A person sits on a chair."), 0.01  # half precision changes less than that
PROBE = Image.new("RGB", (64, 64), (128, 128, 128))


class EndpointModel(Embedder):
    """A model on a server, such as vLLM's pooling runner.

    :param source: ``URL#NAME``: the address of the interface (``http://127.0.0.1:8000/v1``) and the model's name there.
    :param consent: pictures may be sent to a host that is not this machine.
    :param post: replaces the client (tests).
    :raises ConfigError: not such an address, or there is no key.
    """

    def __init__(
        self, source: str, options: EmbedderOptions | None = None, consent: bool = False, post: Post | None = None
    ) -> None:
        self.options, self.name, self.consent = options or EmbedderOptions(), source, consent
        url, _, self.model = source.partition("#")
        if not self.model:
            raise ConfigError(f"{source}: no model's name; expected URL#NAME, such as http://127.0.0.1:8000/v1#NAME")
        self.endpoint = Endpoint(base_url=url, key_env=self.options.key_env)
        self.host = self.endpoint.host
        self.destination = "" if self.endpoint.loopback else f"{self.host} ({self.model})"
        self.requests = Requests(self.endpoint, self.options.limits, post)
        self._bodies = Bodies(self.model, self.options)
        self.text_weight = self.options.text_weight
        made = [self.model, self.options.document_prompt, self.options.body]
        sent = [self.options.picture_side, self.options.picture_format]
        self.fingerprint = value_hash(["endpoint", *made, *sent])[:16]
        self._texts = TextCache(self._embed_new_texts)
        self._finding, self._dim = threading.Lock(), 0
        self._joint: bool | None = None
        self._listed: int | None = None

    def __reduce__(self) -> tuple[type[EndpointModel], tuple[Any, ...]]:
        """Another process has connections of its own."""
        return EndpointModel, (self.name, self.options, self.consent)

    @property
    def settings(self) -> dict[str, Any]:
        """The options that differ from the defaults."""
        return self.options.changed()

    @property
    def joint(self) -> bool:
        """The server takes a picture with a text, and no weight of a sum is set; found out by asking it once."""
        if self.options.text_weight is not None:
            return False
        with self._finding:
            if self._joint is None:
                self._joint = self._takes_both()
            return self._joint

    def _takes_both(self) -> bool:
        both, alone = (self._bodies.conversation("", PROBE, text) for text in ("a person", ""))
        reply = self._send([both])[0]
        if not isinstance(reply, str):
            return True
        if isinstance(refusal := self._send([alone])[0], str):
            raise AnnotationError(f"{self.name}: takes no pictures ({refusal}); serve a multimodal embedder")
        return False

    @property
    def query_settings(self) -> str:
        """The prompts of queries."""
        return f"{self.options.composed_prompt}\n{self.options.query_prompt}"

    def embed_images(self, images: Sequence[Picture]) -> np.ndarray:
        """``(N, D)`` un-normalised, as the server sends them."""
        prompt = self.options.document_prompt or ""
        return self._vectors([self._bodies.conversation(prompt, image) for image in images])

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` un-normalised; each is computed once."""
        return self._texts(texts)

    def _embed_new_texts(self, texts: list[str]) -> np.ndarray:
        if self.joint:
            return self._vectors([self._bodies.conversation(self.options.text_prompt, text=text) for text in texts])
        size, prompt = self._list_size() if len(texts) > 1 else 1, self.options.query_prompt or ""
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        return self._vectors([self._bodies.inputs(part, prompt) for part in parts])

    def _list_size(self) -> int:
        """Texts in one request: 1 where the server embeds a list differently from each text alone, as some do."""
        with self._finding:
            if self._listed is None:
                requests = [self._bodies.inputs(list(texts)) for texts in (PAIR, PAIR[:1], PAIR[1:])]
                listed, *alone = self._send(requests)
                rows = [row for row in (listed, *alone) if not isinstance(row, str)]
                same = len(rows) == 3 and bool(np.allclose(unit(rows[0]), unit(np.concatenate(rows[1:])), atol=SAME))
                if not same:
                    say(f"{self.host} embeds a list of texts differently from each alone; they are sent one by one")
                self._listed = self.options.batch_size if same else 1
            return self._listed

    def compose_pictures(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """``(N, D)`` normalised: pictures and texts together, or their weighted sum."""
        if not self.joint:
            return super().compose_pictures(images, texts)
        prompt = self.options.composed_prompt
        pairs = zip(images, texts, strict=True)
        return unit(self._vectors([self._bodies.conversation(prompt, image, text) for image, text in pairs]))

    def _vectors(self, requests: Sequence[Request]) -> np.ndarray:
        """:raises RefusedInputsError: the server refuses some; AnnotationError: it cannot be used."""
        results = self._send(requests)
        dims = {result.shape[1] for result in results if not isinstance(result, str)} | ({self._dim} - {0})
        if len(dims) > 1:
            lengths = " and ".join(map(str, sorted(dims)))
            raise AnnotationError(f"{self.name}: vectors of {lengths} numbers; is another model behind this address?")
        self._dim = next(iter(dims), 0)
        blank = (np.full((r.count, self._dim), np.nan, np.float32) for r in requests)
        rows = [b if isinstance(f, str) else f for f, b in zip(results, blank, strict=True)]
        features = np.concatenate(rows) if rows else np.empty((0, self.dim), np.float32)
        said = [result if isinstance(result, str) else "" for result in results]
        reasons = [why for why, request in zip(said, requests, strict=True) for _ in range(request.count)]
        if refused := {row: why for row, why in enumerate(reasons) if why}:
            raise RefusedInputsError(features, refused)
        return features

    def _send(self, requests: Sequence[Request]) -> list[np.ndarray | str]:
        self._require_consent()
        if len(requests) < SHOWN_SINCE:
            return self.requests.send(requests)
        with bar() as progress:
            task = progress.add_task(f"asking {self.host}", total=len(requests))
            return self.requests.send(requests, lambda: progress.advance(task))

    def _require_consent(self) -> None:
        if self.destination and not self.consent:
            raise ConfigError(
                f"pictures would be sent to {self.destination}; pass --yes to index or evaluate when that is right"
            )
