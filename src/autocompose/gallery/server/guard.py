"""What every request passes first: host, token, rate and size; and what every response carries."""

from __future__ import annotations

import hmac
import html
import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

from autocompose.gallery.server.telemetry import Metrics
from autocompose.gallery.server.uploads import MAX_BYTES

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("autocompose.server")
COOKIE = "autocompose_token"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SMALL_BODY = 64 << 10
MAX_CLIENTS = 10_000
LIMITED = ("/api/", "/understand")  # and the page itself; pictures, styles and health checks cost little
OPEN_PATHS = ("/healthz", "/static/")
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class TooLargeError(Exception):
    """A body is longer than its route takes."""


class RateLimit:
    """A token bucket for each client address: ``rate`` requests a second, bursts of three seconds' worth.

    :param clock: seconds; tests pass their own.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self._clock = rate, max(3 * rate, 1.0), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """0 when the request may pass, else the seconds until it may."""
        if self.rate <= 0:
            return 0.0
        now = self._clock()
        level, then = self._buckets.pop(client, (self.burst, now))
        level = min(self.burst, level + (now - then) * self.rate)
        passes = level >= 1
        self._buckets[client] = (level - 1 if passes else level, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if passes else (1 - level) / self.rate


class Guard:
    """ASGI middleware around the whole application.

    :param hosts: names that a request may use for this server; () = any. On loopback this keeps out web pages that
        make their own name point to 127.0.0.1.
    :param token: secret that clients must give; "" = none.
    """

    def __init__(self, app: App, metrics: Metrics, rate: float, token: str, hosts: tuple[str, ...]) -> None:
        self.app, self.metrics, self.token, self.hosts = app, metrics, token, hosts
        self.limit = RateLimit(rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: checked, measured and logged (never its query or body)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *_extra_headers(message.get("headers", []))]
            await send(message)

        try:
            await self._checked(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            log.info("%s %s %d %.1f ms", scope["method"], ascii(scope["path"])[1:-1], status, seconds * 1000)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = re.sub(r":\d*$", "", headers.get("host", ""))
        if self.hosts and host not in self.hosts:
            await refuse(scope, send, 421, "this server does not answer to that name; use http://127.0.0.1")
            return
        if self.token and not scope["path"].startswith(OPEN_PATHS) and not await self._known(scope, headers, send):
            return
        client = (scope.get("client") or ("unknown", 0))[0]
        if scope["path"] == "/" or scope["path"].startswith(LIMITED):
            wait = self.limit.wait(client)
            if wait:
                seconds = str(int(wait) + 1).encode()
                await refuse(scope, send, 429, "too many requests; wait a moment", [(b"retry-after", seconds)])
                return
        await self._bounded(scope, headers, receive, send)

    async def _known(self, scope: Scope, headers: dict[str, str], send: Send) -> bool:
        """Whether the client gave the token: as a bearer, or as the cookie that ``/?token=...`` once set."""
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        given = dict(query).get("token", "") if scope["path"] == "/" else ""
        if given and self._is_token(given):
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            cookie = f"{COOKIE}={given}; HttpOnly; SameSite=Strict; Path=/"
            location = f"/?{rest}" if rest else "/"
            extra = [(b"set-cookie", cookie.encode("latin-1")), (b"location", location.encode("latin-1"))]
            await refuse(scope, send, 303, "", extra)
            return False
        try:
            cookie_token = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie_token = None
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(bearer) or (cookie_token and self._is_token(cookie_token.value)):
            return True
        message = "this gallery needs its token; open the page as /?token=TOKEN, or send Authorization: Bearer TOKEN"
        await refuse(scope, send, 401, message, [(b"www-authenticate", b"Bearer")])
        return False

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    async def _bounded(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        """Pass on, but stop a body that is too long as soon as that is known."""
        most = MAX_BYTES + SMALL_BODY if scope["path"] == "/api/upload" else SMALL_BODY
        message = f"the request is too large; at most {most >> 20} MB" if most > 1 << 20 else "the request is too large"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            await refuse(scope, send, 413, message)
            return
        received, begun = 0, False

        async def counted() -> Message:
            nonlocal received
            part = await receive()
            received += len(part.get("body", b""))
            if received > most:
                raise TooLargeError
            return part

        async def noted(part: Message) -> None:
            nonlocal begun
            if received <= most or begun:  # else the application answers to our error; ours is the better answer
                begun = True
                await send(part)

        with suppress(TooLargeError):
            await self.app(scope, counted, noted)
        if not begun:
            await refuse(scope, send, 413, message)


def _extra_headers(present: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in present}
    extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    return extra if b"cache-control" in names else [*extra, (b"cache-control", b"no-store")]


async def refuse(
    scope: Scope, send: Send, status: int, message: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """A short answer without the application: HTML for browsers, JSON for everybody else."""
    accept = next((value for name, value in scope["headers"] if name.lower() == b"accept"), b"")
    if b"text/html" in accept or any(name.lower() == b"hx-request" for name, _ in scope["headers"]):
        kind = b"text/html; charset=utf-8"
        body = (
            '<!doctype html><html lang="en"><link rel="stylesheet" href="/static/app.css"><title>autocompose</title>'
            f'<main id="app" class="refused"><section class="notice bad"><h1>That did not work</h1>'
            f"<p>{html.escape(message[:1].upper() + message[1:])}.</p>"
            '<p><a class="button" href="/">Start again</a></p></section></main></html>'
        ).encode()
    else:
        kind, body = b"application/json", json.dumps({"detail": message}).encode()
    start = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
