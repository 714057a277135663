"""A loopback server that answers with prescribed bytes, so that every fault of a real one can be played."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

Reply = bytes | Callable[[socket.socket], None]


def completion(content: Any = "{}", finish: str = "stop", usage: bool = True, **message: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "fake-1",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
        ],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return body


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None, kind: str = "application/json") -> bytes:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(payload)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def error(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> bytes:
    return reply({"error": {"message": message, "code": code, "type": code}}, status, headers)


def hang(seconds: float) -> Callable[[socket.socket], None]:
    return lambda connection: time.sleep(seconds)


def drip(payload: bytes, pause: float) -> Callable[[socket.socket], None]:
    def play(connection: socket.socket) -> None:
        for i in range(len(payload)):
            connection.sendall(payload[i : i + 1])
            time.sleep(pause)

    return play


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


class RawServer:
    """Plays ``replies`` one per request, the last one for ever; keeps the bodies of the requests."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self._lock = threading.Lock()

    def __enter__(self) -> RawServer:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                head, body = self._read(connection)
            except (OSError, ValueError):
                return
            with self._lock:
                self.raw.append(head + b"\r\n\r\n" + body)
                self.bodies.append(json.loads(body))
                action = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            with contextlib.suppress(OSError):
                connection.sendall(action) if isinstance(action, bytes) else action(connection)

    @staticmethod
    def _read(connection: socket.socket) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                raise ValueError("closed")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length"))
        while len(body) < length:
            body += connection.recv(65536)
        return head, body
