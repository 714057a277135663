"""The simulated annotator over HTTP: ``python -m tests.simulator.server POSES.npz OPTIONS.json`` prints its address.

Transport faults (500, 429, hangs, cut bodies) are drawn per request. ``GET /stats`` tells what was received.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from autocompose.corpus.poses import PoseTable
from tests.simulator.annotator import Annotator, Errors


class Answering(Protocol):
    """What stands behind a server."""

    counts: Counter[str]

    def answer(self, body: dict[str, Any]) -> dict[str, Any]: ...


class Server:
    def __init__(self, annotator: Answering, latency: float = 0.0, faults: dict[str, float] | None = None) -> None:
        self.annotator, self.latency, self.faults = annotator, latency, faults or {}
        self.rng = random.Random(1)
        self.received = self.answered = self.in_flight = self.most_in_flight = 0
        self.kinds: dict[str, int] = {}
        self.busy = 0.0
        self.first = self.last = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")), 0
                )
                body = await reader.readexactly(length)
                if head.startswith(b"GET"):
                    await self._send(writer, 200, self.stats())
                else:
                    await self._completion(writer, json.loads(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _completion(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        self.received += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        begun = time.monotonic()
        self.first = self.first or begun
        try:
            await self._respond(writer, body)
        finally:
            self.in_flight -= 1
            self.last = time.monotonic()
            self.busy += self.last - begun

    async def _respond(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        draw = self.rng.random()
        for kind, rate in self.faults.items():
            if draw < rate:
                self.kinds[kind] = self.kinds.get(kind, 0) + 1
                await self._fault(writer, kind)
                return
            draw -= rate
        message = self.annotator.answer(body)
        await asyncio.sleep(self.latency)
        value = {
            "id": "sim", "object": "chat.completion", "created": 0, "model": "simulator-1",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}],
            "usage": {"prompt_tokens": 300, "completion_tokens": 60, "total_tokens": 360},
        }  # fmt: skip
        await self._send(writer, 200, value)
        self.answered += 1

    async def _fault(self, writer: asyncio.StreamWriter, kind: str) -> None:
        if kind == "429":
            await self._send(writer, 429, {"error": {"message": "rate limit"}}, "Retry-After: 0.2\r\n")
        elif kind == "500":
            await self._send(writer, 500, {"error": {"message": "internal"}})
        elif kind == "hang":
            await asyncio.sleep(60)
        else:  # cut: the body is shorter than announced
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
            raise ConnectionError("cut on purpose")

    async def _send(self, writer: asyncio.StreamWriter, status: int, value: Any, extra: str = "") -> None:
        payload = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n{extra}\r\n"
        writer.write(head.encode() + payload)
        await writer.drain()

    def stats(self) -> dict[str, Any]:
        span = self.last - self.first
        return {
            "received": self.received, "answered": self.answered, "most_in_flight": self.most_in_flight,
            "mean_in_flight": self.busy / span if span else 0.0, "faults": self.kinds,
            "said": dict(self.annotator.counts),
        }  # fmt: skip


async def main(poses: Path, options: dict[str, Any]) -> None:
    errors, seed, anew = Errors(**options.pop("errors", {})), options.pop("seed", 0), options.pop("anew", True)
    annotator = Annotator(PoseTable.load(poses), errors, seed, anew)
    server = await asyncio.start_server(Server(annotator, **options).serve, "127.0.0.1", 0, limit=1 << 24)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
