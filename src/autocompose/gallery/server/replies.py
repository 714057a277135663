"""What the routes share: what they take and refuse, an item by its key, and the reply with a picture."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import HTTPException, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from autocompose.core.errors import InputError
from autocompose.gallery.item import Item
from autocompose.gallery.request import SearchRequest
from autocompose.gallery.search import Gallery

SearchQuery = Annotated[SearchRequest, Query()]
ItemKey = Annotated[str, Path(description="An item's id, from a search result.")]


class Failure(BaseModel):
    """Why a request was refused."""

    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Failure} for code in (400, 403, 404, 408, 413, 415, 421, 429, 503)
}


def item_of(gallery: Gallery, key: str) -> Item:
    """The item with a key; none is a 404."""
    try:
        return gallery.item(key)
    except InputError as error:
        raise HTTPException(404, str(error)) from None


async def picture_reply(request: Request, key: str, content: Callable[[], Awaitable[bytes]], kind: str) -> Response:
    """Browsers cache pictures but revalidate each time, so that a deleted one is gone at once."""
    headers = {"etag": f'"{key}"', "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(await content(), media_type=kind, headers=headers)
