"""Calls of a Qdrant server that is busy, restarts, or is far away: repeated until its patience ends.

Everything that a store sends may be sent twice: points are named by their ids, and so are changes and deletions. One
request is under way at a time, and each waits until the server has applied it, so that a writer is as fast as the
server and no faster.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from autocompose.core.errors import GalleryError
from autocompose.core.log import say

FIRST_WAIT, LONGEST_WAIT = 0.2, 15.0  # seconds between two tries
BUSY = (408, 425, 429, 500, 502, 503, 504)  # what a server says that may answer the same request later


class PatientClient:
    """A Qdrant client; its methods are those of ``qdrant_client.QdrantClient``.

    :param client: a connected client, or one in local mode.
    :param patience: seconds until a call that fails again and again is given up.
    """

    def __init__(self, client: Any, patience: float) -> None:
        self._client, self._patience = client, patience

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **options: self._call(name, lambda: method(*args, **options))

    def _call(self, name: str, send: Callable[[], Any]) -> Any:
        until, wait, warned = time.monotonic() + self._patience, FIRST_WAIT, False
        while True:
            try:
                return send()
            except Exception as error:
                pause = _pause(error, wait)
                if pause is None:
                    raise
                if time.monotonic() + pause > until:
                    raise GalleryError(_line(name, error, self._patience)) from None
                if not warned and wait > 1:
                    say(f"the Qdrant server does not answer ({_cause(error)}); trying for {self._patience:.0f} s")
                    warned = True
            time.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT)


def _pause(error: Exception, wait: float) -> float | None:
    """Seconds until the next try; None when another try would end alike.

    :raises GalleryError: the server refuses the request itself.
    """
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResourceExhaustedResponse):
        return float(max(error.retry_after_s, 0)) + random.uniform(0, wait)
    if isinstance(error, ResponseHandlingException):  # no connection, cut off, too slow, or no JSON
        return wait * random.uniform(0.5, 1)
    if isinstance(error, UnexpectedResponse):
        if error.status_code in BUSY:
            return wait * random.uniform(0.5, 1)
        raise GalleryError(f"the Qdrant server refuses the request ({_cause(error)})") from None
    return None


def _line(name: str, error: Exception, patience: float) -> str:
    return (
        f"the Qdrant server has not answered {name} for {patience:.0f} s ({_cause(error)}); what was written stays: "
        "run the same command again when it is up"
    )


def _cause(error: Exception) -> str:
    cause = getattr(error, "source", error)
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"
