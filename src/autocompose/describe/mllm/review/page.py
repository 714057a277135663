"""The review page over HTTP, for this machine only."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import DatabaseError
from typing import Any

from autocompose.core.errors import DependencyError, InputError, StorageError
from autocompose.corpus.pictures.browser_jpeg import LARGE_SIDE, jpeg_bytes
from autocompose.corpus.pictures.gate import open_image
from autocompose.describe.mllm.recording.journal_file import storage_error
from autocompose.describe.mllm.review.verdicts import Reviews

_INLINE = "'self' 'unsafe-inline'"
_POLICY = f"default-src 'self'; style-src {_INLINE}; script-src {_INLINE}; frame-ancestors 'none'; base-uri 'none'"
MARKS = {"supported": "good", "contradicted": "bad", "sides swapped?": "bad", "unsupported": "weak"}


def make_app(reviews: Reviews, token: str = "") -> Any:
    """The FastAPI application, behind the same guard as a gallery's server.

    Requests of other web pages are refused (no foreign origin, no foreign host name).

    :param token: secret that the reviewer must enter; "" = none.
    """
    try:
        from fastapi import Body, FastAPI, HTTPException
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import HTMLResponse, RedirectResponse, Response

        from autocompose.web.guard import HEADERS, LOOPBACK, Guard
    except ImportError:
        raise DependencyError("fastapi", "serve", "review") from None
    from jinja2 import Environment, FileSystemLoader

    path = reviews.journal.path
    page = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("page.html")
    app = FastAPI(title="autocompose review", docs_url=None, redoc_url=None, openapi_url=None)

    # coroutines: one at a time, so that the journal's one connection is never in two transactions
    async def start() -> RedirectResponse:
        return RedirectResponse(f"/variant/{reviews.first_open()}")

    async def variant(number: int) -> HTMLResponse:
        try:
            shown = reviews.variant(number)
        except InputError as error:
            raise HTTPException(404, str(error)) from None
        return HTMLResponse(
            page.render(
                variant=shown, total=len(reviews.rows), reviewer=reviews.reviewer, judged=reviews.judged(), marks=MARKS
            )
        )

    def picture(name: str) -> Response:
        try:
            return Response(jpeg_bytes(open_image(reviews.picture_path(name), LARGE_SIDE)), media_type="image/jpeg")
        except InputError:
            raise HTTPException(404, "no such picture in the reviewed pairs") from None

    async def judge(
        number: int, text: int, verdict: str = Body(embed=True), edited: str = Body("", embed=True)
    ) -> dict[str, bool]:
        try:
            reviews.judge(number, text, verdict, edited)
        except InputError as error:
            raise HTTPException(422, str(error)) from None
        return {"stored": True}

    async def agreement() -> dict[str, Any]:
        return reviews.agreement()

    app.exception_handler(RequestValidationError)(_malformed)
    app.exception_handler(StorageError)(_not_stored)
    app.exception_handler(DatabaseError)(lambda request, error: _not_stored(request, storage_error(path, error)))
    app.add_middleware(Guard, token=token, hosts=LOOPBACK, headers={**HEADERS, "content-security-policy": _POLICY})
    app.get("/")(start)
    app.get("/variant/{number}", response_class=HTMLResponse)(variant)
    app.get("/picture/{name:path}", response_class=Response)(picture)
    app.post("/variant/{number}/text/{text}")(judge)
    app.get("/agreement")(agreement)
    return app


async def _malformed(request: Any, error: Exception) -> Any:
    """The reply to an invalid verdict, without its value: JSON cannot hold every one (NaN, unpaired surrogates)."""
    from fastapi.responses import JSONResponse

    return JSONResponse({"detail": 'expected a verdict such as {"verdict": "accept"}'}, 422)


def _not_stored(request: Any, error: Exception) -> Any:
    """The answer when the journal cannot be read or written, such as on a full disk."""
    from fastapi.responses import JSONResponse

    return JSONResponse({"detail": str(error)}, 503, headers={"retry-after": "5"})


def serve(reviews: Reviews, port: int, token: str = "") -> None:
    """Serve the page on this machine until Ctrl-C.

    :raises InputError: the token cannot be used.
    """
    app = make_app(reviews, token)
    import uvicorn

    from autocompose.web.token import token_fault

    if fault := token_fault(token):
        raise InputError(f"--token: it {fault}; choose another one")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
