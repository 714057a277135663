"""The content of ``/metrics``: counts and times in the Prometheus text format, over all workers."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"  # set before this module is imported, when there are several workers


class Metrics:
    """The measures of one server."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = Counter(
            "autocompose_requests_total", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "autocompose_request_seconds", "Time to the end of the response.", ["route"], registry=registry
        )
        self.batches = Histogram(
            "autocompose_encoder_batch_size",
            "Inputs that shared one run of the model.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self.items = Gauge(
            "autocompose_gallery_items", "Items of the gallery.", registry=registry, multiprocess_mode="mostrecent"
        )

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All measures, of all workers together."""
        registry = self._registry
        if os.environ.get(MULTIPROCESS):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)
