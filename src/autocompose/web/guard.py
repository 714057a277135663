"""The checks of every request: host, origin, token, rate, size and time; and the headers of every response."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from autocompose.core.errors import BusyError
from autocompose.web.limits import Admission, RateLimit, client_of
from autocompose.web.origin import is_foreign
from autocompose.web.token import Token

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Observe = Callable[[str, int, float], None]  # route, status, seconds

log = logging.getLogger("autocompose.server")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SMALL_BODY = 64 << 10
UPLOADS, UPLOAD_BYTES = 32, 256 << 20  # that are received at once
BODY_SECONDS, STALL_SECONDS = 60.0, 10.0  # for a whole body; between two pieces of it
WRONG_TOKENS, WRONG_BURST = 0.1, 10  # a second; at once
LIMITED = ("/api/", "/understand")  # and the page itself; pictures, styles and health checks cost little
OPEN_PATHS = ("/healthz", "/static/")
UPLOAD_PATH = "/api/upload"
RETRY = [(b"retry-after", b"5")]
CLOSE = [(b"connection", b"close")]
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self' blob:; media-src 'self'; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class _BodyError(Exception):
    """A body is refused while it is received."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """ASGI middleware around the whole application.

    :param observe: is told the route, status and time of each request.
    :param token: secret that clients must give; "" = none.
    :param hosts: names that a request may use for this server; () = any. On loopback this keeps out web pages that
        make their own name point to 127.0.0.1. (Starlette's ``TrustedHostMiddleware`` cannot say where to go instead.)
    :param upload_bytes: longest body of an upload; all others are small.
    :param headers: what every answer carries.
    """

    def __init__(
        self,
        app: App,
        observe: Observe = lambda route, status, seconds: None,
        rate: float = 0.0,
        token: str = "",
        hosts: tuple[str, ...] = (),
        upload_bytes: int = SMALL_BODY,
        headers: Mapping[str, str] = HEADERS,
    ) -> None:
        self.app, self.observe, self.hosts, self.upload_bytes = app, observe, hosts, upload_bytes
        self.token, self.headers = Token(token), headers
        self.limit, self.wrong = RateLimit(rate), RateLimit(WRONG_TOKENS, burst=WRONG_BURST)
        self.admission = Admission(UPLOADS, UPLOAD_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: checked, measured and logged (never its query or body)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, method = time.perf_counter(), 500, scope["method"]
        if method == "HEAD":  # as GET, but without the body
            scope = {**scope, "method": "GET"}

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *self._extra_headers(message.get("headers", []))]
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._checked(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            self.observe(getattr(scope.get("route"), "path", "other"), status, seconds)
            log.info("%s %s %d %.1f ms", method, ascii(scope["path"])[1:-1], status, seconds * 1000)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        host = re.sub(r":\d*$", "", headers.get(b"host", b"").decode("latin-1")).lower()
        if self.hosts and host not in self.hosts:
            await refuse(scope, send, 421, "this server does not answer to that name; use http://127.0.0.1")
            return
        if is_foreign(scope["method"], scope.get("scheme", "http"), headers):
            await refuse(scope, send, 403, "a page of another site has sent this; use this server's own page")
            return
        client = client_of((scope.get("client") or ("unknown", 0))[0])
        needs_token = self.token.needed and not scope["path"].startswith(OPEN_PATHS)
        if needs_token and not await self._known(scope, headers, client, send):
            return
        if scope["path"] == "/" or scope["path"].startswith(LIMITED):
            wait = self.limit.wait(client)
            if wait:
                await refuse(scope, send, 429, "too many requests; wait a moment", _after(wait))
                return
        await self._bounded(scope, headers, client, receive, send)

    async def _known(self, scope: Scope, headers: dict[bytes, bytes], client: str, send: Send) -> bool:
        """Whether the client gave the token: as a bearer, or as the cookie that ``/?token=...`` once set."""
        query = scope["query_string"]
        from_query = self.token.in_query(query) if scope["path"] == "/" else None
        known = self.token.check(headers)
        if from_query is None and known is None:
            message = (
                "this gallery needs its token; open the page as /?token=TOKEN, or send Authorization: Bearer TOKEN"
            )
            await refuse(scope, send, 401, message, [(b"www-authenticate", b"Bearer")])
            return False
        wait = self.wrong.wait(client, take=False)
        if wait:  # also for the right token: otherwise guessing would succeed despite the limit
            await refuse(scope, send, 429, "too many wrong tokens; wait a moment", _after(wait))
            return False
        if from_query:
            await refuse(scope, send, 303, "", self.token.login(query))
            return False
        if known:
            return True
        self.wrong.wait(client)
        message = "that is not this gallery's token; look at what the server was started with"
        await refuse(scope, send, 401, message, [(b"www-authenticate", b"Bearer")])
        return False

    async def _bounded(
        self, scope: Scope, headers: dict[bytes, bytes], client: str, receive: Receive, send: Send
    ) -> None:
        """Pass the request on, within limits on the number, length and duration of bodies."""
        uploading = scope["path"] == UPLOAD_PATH and scope["method"] == "POST"
        limit = self.upload_bytes + SMALL_BODY if uploading else SMALL_BODY
        length = headers.get(b"content-length", b"%d" % limit if uploading else b"0").decode("latin-1")
        if not length.isdecimal() or int(length[:20]) > limit:
            await refuse(scope, send, 413, _too_large(limit))
            return
        if not uploading:
            await self._received(scope, limit, receive, send)
            return
        try:
            with self.admission.enter(client, int(length)):
                await self._received(scope, limit, receive, send)
        except BusyError as error:
            await refuse(scope, send, 503, str(error), RETRY)

    async def _received(self, scope: Scope, limit: int, receive: Receive, send: Send) -> None:
        received, begun, done = 0, False, False
        refusal: _BodyError | None = None
        deadline = time.monotonic() + BODY_SECONDS

        async def bounded() -> Message:
            nonlocal received, refusal, done
            if done:  # from now on only a disconnect can come
                return await receive()
            try:
                part = await asyncio.wait_for(receive(), max(0.0, min(STALL_SECONDS, deadline - time.monotonic())))
            except asyncio.TimeoutError:
                refusal = _BodyError(408, "the request came too slowly; try again")
                raise refusal from None
            received += len(part.get("body", b""))
            done = not part.get("more_body", False)
            if received > limit:
                refusal = _BodyError(413, _too_large(limit))
                raise refusal
            return part

        async def noted(part: Message) -> None:
            nonlocal begun
            if (
                refusal is None or begun
            ):  # otherwise this is the application's reply to our error, and ours is the better one
                begun = True
                await send(part)

        with suppress(_BodyError):
            await self.app(scope, bounded, noted)
        if refusal is not None and not begun:
            await refuse(scope, send, refusal.status, str(refusal), CLOSE if refusal.status == 408 else None)

    def _extra_headers(self, present: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        names = {name.lower() for name, _ in present}
        extra = [(name.encode(), value.encode()) for name, value in self.headers.items() if name.encode() not in names]
        return extra if b"cache-control" in names else [*extra, (b"cache-control", b"no-store")]


def _after(seconds: float) -> list[tuple[bytes, bytes]]:
    return [(b"retry-after", b"%d" % (int(seconds) + 1))]


def _too_large(limit: int) -> str:
    return "the request is too large" + (f"; at most {limit >> 20} MB" if limit > 1 << 20 else "")


def as_sentence(message: str) -> str:
    """A message with a capital letter and a full stop; a name or value that it begins with stays as it is."""
    first = message.split(maxsplit=1)[0] if message.strip() else ""
    return f"{message[0].upper() + message[1:] if first.isalpha() else message}."


def error_page(message: str) -> str:
    """An error page that does not need the gallery."""
    return (
        '<!doctype html><html lang="en"><link rel="stylesheet" href="/static/app.css"><title>autocompose</title>'
        f'<main id="app" class="refused"><section class="notice bad"><h1>That did not work</h1>'
        f"<p>{html.escape(as_sentence(message))}</p>"
        '<p><a class="button" href="/">Start again</a></p></section></main></html>'
    )


async def refuse(
    scope: Scope, send: Send, status: int, message: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """A short answer without the application: HTML for browsers, JSON for everybody else."""
    accept = next((value for name, value in scope["headers"] if name.lower() == b"accept"), b"")
    if b"text/html" in accept or any(name.lower() == b"hx-request" for name, _ in scope["headers"]):
        kind, body = b"text/html; charset=utf-8", error_page(message).encode()
    else:
        kind, body = b"application/json", json.dumps({"detail": message}).encode()
    start = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
