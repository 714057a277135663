"""The web application: REST interface, pictures and page of one gallery."""

from __future__ import annotations

import asyncio
import logging
import os
import pathlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from PIL import Image
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

import autocompose
from autocompose.core.errors import AutocomposeError, BusyError, GalleryError, ImageError, InputError, VideoError
from autocompose.corpus.pictures.browser_jpeg import LARGE_SIDE, jpeg_bytes
from autocompose.corpus.pictures.gate import Bounds
from autocompose.gallery.answer import Answer, Reference
from autocompose.gallery.crops import MAX_SIDE
from autocompose.gallery.indexing.thumbs import read_thumb, thumb_bytes
from autocompose.gallery.item import Item, NotThereError
from autocompose.gallery.request import MAX_TEXT, SearchRequest
from autocompose.gallery.reranked import Reranking
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.batch import BatchedEmbedder
from autocompose.gallery.server.compare import compared
from autocompose.gallery.server.pages import Page, render
from autocompose.gallery.server.replies import REFUSALS, ItemKey, SearchQuery, item_of, picture_reply
from autocompose.gallery.server.reranking import add_reranking
from autocompose.gallery.server.telemetry import Metrics
from autocompose.gallery.server.uploads import MAX_BYTES, RefusedUploadError, Uploads
from autocompose.gallery.server.videos import add_videos
from autocompose.gallery.understand import understand
from autocompose.rerank.settings import Reranker
from autocompose.web.guard import LOOPBACK, Guard, error_page
from autocompose.web.limits import HeavyWork

log = logging.getLogger("autocompose.server")
WARM_TEXT, WARM_SIZE = "Raise the left arm.", (256, 256)
HEAVY_THREADS = max(2, (os.cpu_count() or 1) // 2)  # that decode pictures
HEAVY_QUEUE, PATIENCE = 64, 20.0  # requests that wait for them, and how many seconds
BOUNDS = Bounds(patience=PATIENCE)
TIDY_SECONDS = 60
RETRY_SECONDS = "5"
UploadKey = Annotated[str, Path(description="The ref that an upload returned.")]


class Uploaded(BaseModel):
    """The answer to an upload: ``ref`` is the reference to search with, for an hour.

    :param pose: ``estimated``, or ``none`` with the reason in ``why``.
    :param box: left, top, right, bottom of the most prominent person in pixels of the kept picture; None = all of it.
    """

    ref: str
    width: int
    height: int
    pose: str
    box: list[int] | None
    why: str


def create_app(
    gallery: Gallery,
    uploads: pathlib.Path,
    *,
    rate: float = 0.0,
    token: str = "",
    loopback: bool = True,
    reranker: Reranker | None = None,
) -> FastAPI:
    """The application for an open gallery, which it closes at the end.

    :param uploads: folder for uploaded pictures; shared by all workers.
    :param rate: requests per second and client, 0 = no limit.
    :param token: secret that clients must give, "" = none.
    :param loopback: answer only to the names of this machine.
    :param reranker: who puts first results in order when a user asks for it; None: nobody.
    """
    metrics = Metrics()
    model = BatchedEmbedder(gallery.model, metrics.batches.observe) if gallery.model else None
    gallery.model = model
    kept, heavy = Uploads(uploads), HeavyWork(HEAVY_THREADS, HEAVY_QUEUE, PATIENCE)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        _warm(gallery)
        metrics.items.set(gallery.store.count())
        tidying = asyncio.create_task(_tidy_for_ever(kept))
        yield
        tidying.cancel()
        heavy.close()
        if model:
            model.close()
        gallery.close()

    app = FastAPI(
        title="autocompose",
        version=autocompose.__version__,
        description="Search poses by a picture and a change.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.mount("/static", StaticFiles(directory=pathlib.Path(__file__).parent / "static"), name="static")
    _add_api(app, gallery, kept, metrics, heavy)
    _add_pictures(app, gallery, kept, heavy)
    add_videos(app, gallery, heavy, lambda request: ask(gallery, kept, with_key(gallery, request)))
    _add_pages(app, gallery, kept, reranker)
    _add_failures(app, gallery)
    app.add_middleware(
        Guard,
        observe=metrics.observe,
        rate=rate,
        token=token,
        hosts=LOOPBACK if loopback else (),
        upload_bytes=MAX_BYTES,
    )
    return app


def _warm(gallery: Gallery) -> None:
    """Load the model and the vectors before the first request comes."""
    gallery.store.refresh()
    sample = gallery.store.sample(1)
    if sample and gallery.model:
        gallery.search(reference=sample[0], text=WARM_TEXT, k=1)
        try:
            picture = gallery.open_picture(sample[0])
        except AutocomposeError:  # its file is gone; vectors and thumbnails are there, and so is the rest
            picture = Image.new("RGB", WARM_SIZE)
        if gallery.outside(picture).vector is None:  # the model does not take the people that the finder detected
            gallery.model.embed_images([picture])


async def _tidy_for_ever(uploads: Uploads) -> None:
    """Delete expired uploads, even without new uploads."""
    while True:
        try:
            await asyncio.to_thread(uploads.tidy)
        except OSError as error:
            log.error("uploads cannot be deleted: %s", error)
        await asyncio.sleep(TIDY_SECONDS)


def ask(gallery: Gallery, uploads: Uploads, request: SearchRequest) -> Answer:
    """Run the search that an address describes.

    :raises InputError: the reference is not there, or a value is refused.
    """
    if not request.ref:
        return gallery.answer(request)
    return gallery.answer(request, origin_of(gallery, uploads, request.ref))


def origin_of(gallery: Gallery, uploads: Uploads, ref: str) -> Reference:
    """The upload or item that an address' ``ref`` names, never a file on this machine.

    :raises NotThereError: there is no such thing.
    """
    return uploads.reference(ref) if ref.startswith("u-") else gallery.reference(gallery.item(ref))


def with_key(gallery: Gallery, request: SearchRequest) -> SearchRequest:
    """The same request with the id of the reference (of the first person in it) in place of its path.

    :raises NotThereError: no picture has that path.
    """
    if not request.ref or request.by_key:
        return request
    items = gallery.named(request.ref)
    if not items:
        raise NotThereError(f"{request.ref}: no picture of this gallery has that path or id")
    return request.model_copy(update={"ref": items[0].key})


def _add_api(app: FastAPI, gallery: Gallery, uploads: Uploads, metrics: Metrics, heavy: HeavyWork) -> None:
    @app.get("/api/search", responses=REFUSALS, response_model=dict[str, Any])
    def search(request: SearchQuery) -> Response:
        """Pictures like the reference, but with the change that the text describes, best first."""
        result = ask(gallery, uploads, with_key(gallery, request))
        return JSONResponse(result.record())  # plain values: nothing to validate once more

    @app.get("/api/items/{key}", responses=REFUSALS)
    def item(key: ItemKey) -> dict[str, Any]:
        """Everything known about an item, including its pose values."""
        return item_of(gallery, key).details()

    @app.get("/api/compare/{key}", responses=REFUSALS)
    def compare(key: ItemKey, ref: Annotated[str, Query(max_length=1000)], mirror: bool = False) -> dict[str, Any]:
        """How to get from the reference's pose to an item's, in words, as far as the poses let one say."""
        return compared(origin_of(gallery, uploads, ref), item_of(gallery, key), mirror)

    @app.get("/api/understand")
    def read(text: Annotated[str, Query(max_length=MAX_TEXT, description="The text.")] = "") -> dict[str, Any]:
        """How the program understands a text: parts, sides and directions."""
        return understand(text).record()

    @app.post("/api/upload", responses=REFUSALS, status_code=201)
    async def upload(file: UploadFile) -> Uploaded:
        """Upload a reference picture (JPEG, PNG or WebP). It is kept for an hour and never added to the gallery."""
        model = gallery.model
        if model is None:
            raise GalleryError("the gallery's model was not found, so the search cannot start from an upload")
        ref, seen = await heavy.run(lambda: uploads.add(file.file.read(), model, gallery.outside))
        width, height = seen.size or (0, 0)
        box, why = (list(seen.box) if seen.box else None), ("" if seen.pose else seen.why)
        return Uploaded(ref=ref, width=width, height=height, pose=seen.kind, box=box, why=why)

    @app.get("/healthz")
    def health() -> dict[str, Any]:
        """Health of the server: number of items, model and version."""
        count = gallery.store.count()
        return {"status": "ok", "items": count, "model": gallery.model is not None, "version": autocompose.__version__}

    @app.get("/metrics", response_class=Response)
    def measures() -> Response:
        """Prometheus metrics."""
        metrics.items.set(gallery.store.count())
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")


def _add_pictures(app: FastAPI, gallery: Gallery, uploads: Uploads, heavy: HeavyWork) -> None:
    def opened(item: Item, side: int) -> Image.Image:
        return gallery.whole_picture(item, side, BOUNDS)

    @app.get("/thumbs/{key}", response_class=Response, responses=REFUSALS)
    async def thumb(key: ItemKey, request: Request) -> Response:
        """An item's picture, at most 384 px, WebP."""
        item = await run_in_threadpool(item_of, gallery, key)

        async def content() -> bytes:
            kept = await run_in_threadpool(read_thumb, gallery.folder, item.content)
            return kept if kept else await heavy.run(lambda: thumb_bytes(opened(item, MAX_SIDE)))

        return await picture_reply(request, key, content, "image/webp")

    @app.get("/pictures/{key}", response_class=Response, responses=REFUSALS)
    async def picture(key: ItemKey, request: Request) -> Response:
        """An item's picture, at most 1,600 px, upright, without its metadata, JPEG."""
        item = await run_in_threadpool(item_of, gallery, key)

        async def content() -> bytes:
            return await heavy.run(lambda: jpeg_bytes(opened(item, LARGE_SIDE)))

        return await picture_reply(request, key, content, "image/jpeg")

    @app.get("/uploads/{key}", response_class=Response, responses=REFUSALS)
    async def uploaded(key: UploadKey, request: Request) -> Response:
        """An uploaded picture, for those who know its key."""

        async def content() -> bytes:
            return await run_in_threadpool(uploads.read, key)

        return await picture_reply(request, key, content, "image/jpeg")


def _add_pages(app: FastAPI, gallery: Gallery, uploads: Uploads, reranker: Reranker | None) -> None:
    def searched(request: SearchRequest) -> tuple[SearchRequest, Answer]:
        request = with_key(gallery, request)
        return request, ask(gallery, uploads, request)

    if reranker:
        add_reranking(app, gallery, searched, reranker)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page(request: SearchQuery) -> HTMLResponse:
        request = with_key(gallery, request)
        answer = ask(gallery, uploads, request) if request.asks else None
        offer = Reranking(gallery, request, answer, reranker) if answer is not None and reranker else None
        return HTMLResponse(Page(gallery, request, answer, offer=offer).html(), headers={"HX-Push-Url": request.url()})

    @app.get("/understand", response_class=HTMLResponse, include_in_schema=False)
    def reading(text: Annotated[str, Query(max_length=MAX_TEXT)] = "") -> HTMLResponse:
        return HTMLResponse(render("reading.html", reading=understand(text)))

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(render("api.html", schema=app.openapi(), address=str(request.base_url)))


def _add_failures(app: FastAPI, gallery: Gallery) -> None:
    def answer(request: Request, status: int, message: str) -> Response:
        headers = {"retry-after": RETRY_SECONDS} if status == 503 else {}
        if request.url.path not in ("/", "/rerank"):
            return JSONResponse({"detail": message}, status, headers)
        try:
            page = error_page(message) if status == 503 else shown(request, status, message)
        except AutocomposeError:  # the gallery itself cannot be asked
            page = error_page(message)
        return HTMLResponse(page, status, headers)

    def shown(request: Request, status: int, message: str) -> str:
        """The search page for a refused query, with as much of it as is valid."""
        if status == 400:  # a query that can be read and changed
            query = SearchRequest.of(request.query_params.multi_items())
            known = [c for c in query.where if c.partition("=")[0].strip() in gallery.store.columns()]
            query = with_key(gallery, query.model_copy(update={"where": known}))
        else:  # what was typed stays; the rest may be what is wrong
            query = SearchRequest(text=request.query_params.get("text", "")[:MAX_TEXT])
        return Page(gallery, query, error=message).html()

    @app.exception_handler(AutocomposeError)
    def failed(request: Request, error: AutocomposeError) -> Response:
        if isinstance(error, RefusedUploadError):
            return answer(request, error.status, str(error))
        if isinstance(error, InputError) and not isinstance(error, ImageError | VideoError):
            return answer(request, 404 if isinstance(error, NotThereError) else 400, str(error))
        if isinstance(error, BusyError):
            return answer(request, 503, str(error))
        log.error("%s", error)  # may name folders of this machine, so only here
        return answer(request, 503, "the gallery cannot answer that now; the server's log says why")

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        message = f"{'.'.join(str(step) for step in first['loc'][1:])}: {said}"
        return answer(request, 422, message)
