"""The review page over HTTP, for this machine only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autocompose.core.errors import DependencyError, InputError
from autocompose.describe.mllm.review.verdicts import Reviews

_INLINE = "'self' 'unsafe-inline'"
HEADERS = {
    "Content-Security-Policy": f"default-src 'self'; style-src {_INLINE}; script-src {_INLINE}",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
MARKS = {"supported": "good", "contradicted": "bad", "sides exchanged?": "bad", "unsupported": "weak"}


def make_app(reviews: Reviews) -> Any:
    """The FastAPI application. Requests of other web pages are refused (no foreign origin, no foreign host name)."""
    try:
        from fastapi import Body, FastAPI, HTTPException, Request
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
    except ImportError:
        raise DependencyError("fastapi", "serve", "review") from None
    from jinja2 import Environment, FileSystemLoader

    page = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("page.html")
    app = FastAPI(title="autocompose review", docs_url=None, redoc_url=None, openapi_url=None)

    async def guarded(request: Request, call_next: Any) -> Response:
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        origin = request.headers.get("origin")
        if host not in ("127.0.0.1", "localhost", "[::1]") or (origin and not origin.endswith(request.headers["host"])):
            return Response("this page is for this machine only", 403)
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

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

    def picture(name: str) -> FileResponse:
        if name not in reviews.names:
            raise HTTPException(404, "no such picture in the reviewed pairs")
        return FileResponse(reviews.corpus.image_path(name))

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

    app.middleware("http")(guarded)
    app.exception_handler(RequestValidationError)(_malformed)
    app.get("/")(start)
    app.get("/variant/{number}", response_class=HTMLResponse)(variant)
    app.get("/picture/{name:path}", response_class=FileResponse)(picture)
    app.post("/variant/{number}/text/{text}")(judge)
    app.get("/agreement")(agreement)
    return app


async def _malformed(request: Any, error: Exception) -> Any:
    """The answer to what is no verdict, without the value itself: it may hold what no JSON can (NaN, half a letter)."""
    from fastapi.responses import JSONResponse

    return JSONResponse({"detail": 'expected a verdict such as {"verdict": "accept"}'}, 422)
