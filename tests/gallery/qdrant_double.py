"""A small HTTP server that speaks the REST calls of Qdrant that we use, over the client's own local mode.

Requests and answers have the form of https://api.qdrant.tech. It can fail in the ways of real servers: before a request
is carried out, or after, when only the answer is lost.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models

STATUS = {"429": 429, "500": 500, "503": 503, "400": 400}
SLOW = 1.6  # seconds


class QdrantDouble:
    """A server on a free port of loopback.

    :ivar faults: what happens to the next requests, first in first out: ``429``, ``500``, ``503``, ``400``, ``cut``,
        ``slow``, each of them ``... afterwards`` when the request is carried out first; ``""`` is none.
    :ivar calls: method, path and body of all requests; ``busiest``: most requests at the same time.
    """

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.faults: deque[str] = deque()
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.busiest = self.under_way = 0
        self.lock, self.counting = threading.Lock(), threading.Lock()
        double = self

        class Handler(_Handler):
            server_double = double

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"qdrant://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> QdrantDouble:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def carry_out(self, method: str, path: str, body: dict[str, Any], wait: bool) -> Any:
        """The ``result`` of an answer."""
        if path == "/collections":
            return {"collections": []}
        match = re.fullmatch(r"/collections/([^/]+)(.*)", path)
        assert match, path
        name, rest = match.groups()
        if (rest.startswith("/points") and method == "PUT") or rest in ("/points/delete", "/points/batch"):
            assert wait, f"{path}: sent without waiting for the server"
        return getattr(self, CALLS[method, rest])(name, body)

    def exists(self, name: str, _: dict[str, Any]) -> Any:
        return {"exists": self.client.collection_exists(name)}

    def info(self, name: str, _: dict[str, Any]) -> Any:
        return self.client.get_collection(name)

    def create(self, name: str, body: dict[str, Any]) -> Any:
        return self.client.create_collection(name, TypeAdapter(models.VectorsConfig).validate_python(body["vectors"]))

    def make_index(self, name: str, body: dict[str, Any]) -> Any:
        kind = models.PayloadSchemaType(body["field_schema"])
        return self.client.create_payload_index(name, body["field_name"], kind)

    def upsert(self, name: str, body: dict[str, Any]) -> Any:
        return self.client.upsert(name, [models.PointStruct(**point) for point in body["points"]])

    def retrieve(self, name: str, body: dict[str, Any]) -> Any:
        with_vectors = body.get("with_vector", False)
        return self.client.retrieve(name, body["ids"], body.get("with_payload", True), with_vectors)

    def scroll(self, name: str, body: dict[str, Any]) -> Any:
        order = models.OrderBy(**body["order_by"]) if "order_by" in body else None
        order = models.OrderBy(**body["order_by"]) if "order_by" in body else None
        points, offset = self.client.scroll(
            name, _filter(body), body.get("limit", 10), order,
            body.get("offset"), body.get("with_payload", True), body.get("with_vector", False),
        )  # fmt: skip
        return {"points": [_plain(point) for point in points], "next_page_offset": offset}

    def query(self, name: str, body: dict[str, Any]) -> Any:
        near = body["query"]["nearest"] if isinstance(body["query"], dict) else body["query"]
        return self.client.query_points(name, near, query_filter=_filter(body), limit=body["limit"])

    def count(self, name: str, body: dict[str, Any]) -> Any:
        return self.client.count(name, _filter(body), exact=body.get("exact", True))

    def delete(self, name: str, body: dict[str, Any]) -> Any:
        return self.client.delete(name, models.PointIdsList(points=body["points"]))

    def batch(self, name: str, body: dict[str, Any]) -> Any:
        changes = [models.SetPayloadOperation(**operation) for operation in body["operations"]]
        return self.client.batch_update_points(name, changes)


CALLS = {
    ("GET", "/exists"): "exists", ("GET", ""): "info", ("PUT", ""): "create", ("PUT", "/index"): "make_index",
    ("PUT", "/points"): "upsert", ("POST", "/points"): "retrieve", ("POST", "/points/scroll"): "scroll",
    ("POST", "/points/query"): "query", ("POST", "/points/count"): "count", ("POST", "/points/delete"): "delete",
    ("POST", "/points/batch"): "batch",
}  # fmt: skip


def _filter(body: dict[str, Any]) -> models.Filter | None:
    return models.Filter(**body["filter"]) if body.get("filter") else None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_double: QdrantDouble

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        double = self.server_double
        address = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        with double.counting:
            double.calls.append((self.command, address.path, body))
            double.under_way += 1
            double.busiest = max(double.busiest, double.under_way)
            fault = double.faults.popleft() if double.faults else ""
        kind, _, afterwards = fault.partition(" ")
        try:
            status, value = self._outcome(address, body) if not kind or afterwards else (0, None)
        finally:
            with double.counting:  # before the answer, after which the client may send the next request
                double.under_way -= 1
        if kind:
            self._fail(kind)
        else:
            self._answer(status, value)

    def _outcome(self, address: SplitResult, body: dict[str, Any]) -> tuple[int, Any]:
        wait = parse_qs(address.query).get("wait") == ["true"]
        with self.server_double.lock:
            try:
                found = self.server_double.carry_out(self.command, address.path, body, wait)
            except Exception as error:
                return 400, {"status": {"error": repr(error)}, "time": 0.0}
        return 200, {"result": _plain(found), "status": "ok", "time": 0.0}

    def _fail(self, kind: str) -> None:
        if kind == "slow":
            time.sleep(SLOW)
        if kind in ("slow", "cut"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
            self.close_connection = True
            return
        self._answer(STATUS[kind], {"status": {"error": "as you wish"}, "time": 0.0})

    def _answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = _handle  # noqa: N815
