"""Connections that say nothing, or too much, before their request is complete."""

from __future__ import annotations

import asyncio
from typing import Any

HEAD_SECONDS = 20.0
MAX_HEAD = 64 << 10


def protocol() -> Any:
    """The protocol class for uvicorn: httptools' with bounds, or "h11", which has a bound of its own."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class BoundedProtocol(HttpToolsProtocol):
        """Closes a connection whose request line and headers are too long, or not complete in time."""

        _waiting: asyncio.TimerHandle | None = None
        _head = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._arrived()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._wait()

        def on_headers_complete(self) -> None:
            self._arrived()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
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

    return BoundedProtocol
