"""Routes of videos: the file in ranges, frames around a moment, and the list of clips."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool

from autocompose.corpus.pictures.browser_jpeg import jpeg_bytes
from autocompose.corpus.videos.formats import media_type
from autocompose.gallery.answer import Answer
from autocompose.gallery.item import Item
from autocompose.gallery.moments.clips import AROUND, written
from autocompose.gallery.moments.frames import frame_picture
from autocompose.gallery.moments.moment import Moment
from autocompose.gallery.request import SearchRequest
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.replies import REFUSALS, ItemKey, SearchQuery, item_of, picture_reply
from autocompose.web.limits import HeavyWork

FRAME_SIDE = 640
MAX_SHIFT, MAX_AROUND = 10.0, 60.0  # seconds
Shift = Annotated[float, Query(ge=-MAX_SHIFT, le=MAX_SHIFT, description="Seconds after the moment.")]
Around = Annotated[float, Query(ge=0, le=MAX_AROUND, description="Seconds before and after each moment.")]
ListFormat = Annotated[Literal["csv", "edl"], Path(description="csv, or edl (CMX3600).")]
TYPES = {"csv": "text/csv; charset=utf-8", "edl": "text/plain; charset=utf-8"}


def add_videos(app: FastAPI, gallery: Gallery, heavy: HeavyWork, ask: Callable[[SearchRequest], Answer]) -> None:
    """Add the routes.

    :param ask: runs the search that an address describes.
    """

    def moment_of(key: str) -> tuple[Item, Moment, pathlib.Path]:
        item = item_of(gallery, key)
        if item.moment is None:
            raise HTTPException(404, f"{key}: a picture, not a moment of a video")
        return item, item.moment, gallery.picture_path(item)

    @app.get("/videos/{key}", response_class=FileResponse, responses=REFUSALS)
    def video(key: ItemKey) -> FileResponse:
        """The video of an item as it is, whole or in the ranges that players ask for."""
        *_, path = moment_of(key)
        kind = media_type(path) or "application/octet-stream"
        return FileResponse(path, media_type=kind, headers={"cache-control": "private, no-cache"})

    @app.get("/frames/{key}", response_class=Response, responses=REFUSALS)
    async def frame(key: ItemKey, request: Request, shift: Shift = 0.0) -> Response:
        """A frame of an item's video so many seconds before or after the item, at most 640 px, JPEG."""
        _, moment, path = await run_in_threadpool(moment_of, key)

        async def content() -> bytes:
            seconds = moment.seconds + shift
            return await heavy.run(lambda: jpeg_bytes(frame_picture(path, seconds, FRAME_SIDE)))

        return await picture_reply(request, f"{key}{shift:+.3f}", content, "image/jpeg")

    @app.get("/api/clips.{kind}", response_class=Response, responses=REFUSALS)
    def clip_list(request: SearchQuery, kind: ListFormat, around: Around = AROUND) -> Response:
        """The results of a search in videos as a list of clips: csv, or edl (CMX3600)."""
        text = written(gallery.clips(ask(request), around), kind, request.text)
        headers = {"content-disposition": f'attachment; filename="clips.{kind}"'}
        return Response(text, media_type=TYPES[kind], headers=headers)
