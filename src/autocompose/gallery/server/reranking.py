"""Re-ranking over HTTP: only when somebody asks for it, never by opening an address."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response

from autocompose.core.errors import AnnotationError, BusyError, InputError, StorageError
from autocompose.gallery.answer import Answer
from autocompose.gallery.request import SearchRequest
from autocompose.gallery.reranked import Reranking
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.pages import Page
from autocompose.gallery.server.replies import REFUSALS, SearchQuery
from autocompose.rerank.settings import Reranker

log = logging.getLogger("autocompose.server")
AT_ONCE = 4  # each holds a thread while the model thinks
Ask = Callable[[SearchRequest], tuple[SearchRequest, Answer]]
"""Runs a search; the request with the reference's key in place of its path, and the answer."""


class _Turns:
    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def one(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise BusyError("the model is busy with other requests; try again in a few seconds")
        try:
            yield
        finally:
            self._free.release()


def add_reranking(app: FastAPI, gallery: Gallery, ask: Ask, reranker: Reranker) -> None:
    """Add ``POST /api/rerank`` and the page's button. Whoever sends such a request consents to what it sends."""
    turns = _Turns()
    who = reranker.recipe.model

    def reranked(request: SearchRequest) -> tuple[Reranking, Answer | None]:
        """The plain answer, and the re-ranked one; None where the model could not be asked."""
        request, answer = ask(request)
        reranking = Reranking(gallery, request, answer, reranker)
        with turns.one():
            try:
                return reranking, reranking.run(yes=True)
            except (AnnotationError, StorageError) as error:
                log.error("%s", error)  # may name folders of this machine
                return reranking, None

    @app.post("/api/rerank", responses=REFUSALS, response_model=dict[str, Any])
    def rerank(request: SearchQuery) -> Response:
        """The results of a search, the first of them put in order by a multimodal LLM, to which they are sent."""
        answer = reranked(request)[1]
        if answer is None:
            raise BusyError(f"{who} could not be asked; the server's log says why")
        return JSONResponse(answer.record())

    @app.post("/rerank", response_class=HTMLResponse, include_in_schema=False)
    def page(request: SearchQuery) -> HTMLResponse:
        if not request.asks:
            raise InputError("nothing to search for; give a reference picture, a text, or both")
        plain, answer = reranked(request)
        if answer is None:
            answer = plain.noted(f"{who} could not be asked, so the order is as it was.")
        shown = Page(gallery, plain.request, answer)
        return HTMLResponse(shown.html(), headers={"HX-Push-Url": plain.request.url()})
