"""Closing connections that send nothing, or too much, before their request is complete."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20.0
MAX_HEAD = 64 << 10


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection whose request line and headers are too long or too slow."""

    _waiting: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Request line and headers have come; the guard bounds the body."""
        self._arrived()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers are complete."""
        super().data_received(data)
        if self._waiting:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.transport.abort()

    def _wait(self) -> None:
        if not self._waiting:
            self._head = 0
            self._waiting = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _arrived(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None
