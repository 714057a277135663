"""The one function that talks to a server: ``Ask -> Answer``, with every fault mapped to one of four kinds.

The SDK lets several faults through as values (an HTML page as a string, an error object as a completion without
choices), does not check types, and its timeout counts from byte to byte. So its retries are off, the deadline is our
own, and the answer's body is read by ``completion``, as in batch files.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from autocompose.core.errors import DependencyError
from autocompose.describe.mllm.asks import Answer, Ask, Dialect, Fault, FaultKind
from autocompose.describe.mllm.recipe import Endpoint
from autocompose.describe.mllm.sending.completion import PICTURE, NoAnswerError, estimate_tokens, read_completion

if TYPE_CHECKING:
    import openai

Send = Callable[[Ask, Dialect], Awaitable[Answer]]
MAX_WORDS = 300
ONE_PICTURE = re.compile(r"at most \d+ image", re.I)
NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")


class Client:
    """An OpenAI-compatible endpoint. Use inside one event loop, as an async context manager.

    :param slots: maximum number of open connections.
    :param deadline: seconds for one request in total.
    """

    def __init__(self, endpoint: Endpoint, slots: int = 8, deadline: float = 120) -> None:
        try:
            import httpx2
            import openai
        except ImportError:
            raise DependencyError("openai", "mllm", "describe mllm") from None
        self.endpoint, self.deadline = endpoint, deadline
        self._key = endpoint.key()
        limits = httpx2.Limits(max_connections=slots + 4, max_keepalive_connections=slots + 4)
        self._http = openai.DefaultAsyncHttpxClient(limits=limits, timeout=httpx2.Timeout(deadline, connect=10))
        self._sdk: openai.AsyncOpenAI = openai.AsyncOpenAI(
            api_key=self._key, base_url=endpoint.base_url, max_retries=0, timeout=deadline, http_client=self._http
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sdk.close()

    async def __call__(self, ask: Ask, dialect: Dialect) -> Answer:
        """Send a question once.

        :raises Fault: no answer; its kind says why.
        """
        # the SDK sends extra_body unchanged; converting the body's types would cost a quarter of our CPU time
        raw = self._sdk.chat.completions.with_raw_response
        request = raw.create(model=ask.model, messages=[], extra_body=ask.body(dialect))
        body = await self._bytes(request)
        return self._answer(body, ask)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send a body to a path below the address, once; the decoded JSON that comes back, of any shape.

        :raises Fault: no answer, with the kind of trouble.
        """
        from httpx2 import Response

        return self._json(await self._bytes(self._sdk.post(path, cast_to=Response, body=body), raw=False))

    async def _bytes(self, request: Awaitable[Any], raw: bool = True) -> bytes:
        try:
            response = await asyncio.wait_for(request, self.deadline)
            return (response.http_response if raw else response).content
        except asyncio.TimeoutError:
            raise Fault(FaultKind.RETRY, "timeout", f"no complete answer within {self.deadline:g} s") from None
        except Exception as error:
            raise self._fault(error) from None

    def _json(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            shown = self._clean(body[: 4 * MAX_WORDS].decode("utf-8", "replace")) or "an empty body"
            raise Fault(FaultKind.RETRY, "transport", f"200, but no JSON: {shown}") from None

    def _answer(self, body: bytes, ask: Ask) -> Answer:
        completion = self._json(body)
        try:
            return read_completion(completion, estimate_tokens(ask.system + ask.text) + PICTURE * len(ask.pictures))
        except NoAnswerError as error:
            raise Fault(FaultKind.RETRY, "transport", f"200 without an answer: {self._clean(error)}") from None

    def _fault(self, error: Exception) -> Fault:
        import httpx2
        import openai

        if isinstance(error, openai.APITimeoutError):
            return Fault(FaultKind.RETRY, "timeout", f"no answer within {self.deadline:g} s")
        if isinstance(error, openai.APIStatusError):
            return self._status(error)
        if isinstance(error, openai.APIConnectionError):
            if isinstance(error.__cause__, httpx2.ConnectError):
                line = f"nothing listens at {self.endpoint.base_url}; start the server or correct --base-url"
                return Fault(FaultKind.WAIT, "unreachable", line)
            return Fault(FaultKind.RETRY, "transport", f"connection broke: {self._clean(error.__cause__ or error)}")
        return Fault(FaultKind.RETRY, "transport", f"{type(error).__name__}: {self._clean(error)}")

    def _status(self, error: openai.APIStatusError) -> Fault:
        status = error.status_code
        words = self._clean(error.message.removeprefix(f"Error code: {status} - "))
        after = retry_after(error.response.headers)
        host, env = self.endpoint.host, self.endpoint.key_env
        if status == 429 and (error.code in NO_QUOTA or any(code in words for code in NO_QUOTA)):
            return Fault(FaultKind.RUN_FAILED, "quota", f"{host}: the account has no quota left; add credit: {words}")
        if status == 429 or (status == 503 and after is not None):
            return Fault(FaultKind.WAIT, "rate-limit", words, after)
        if status in (401, 403):
            return Fault(FaultKind.RUN_FAILED, "key", f"{host} refuses the key in {env} ({status}): {words}")
        if status == 404:
            return Fault(FaultKind.RUN_FAILED, "model", f"{host} knows no such model or address (404): {words}")
        if ONE_PICTURE.search(words):
            remedy = "start vLLM with --limit-mm-per-prompt '{\"image\":2}', or pass --pictures side-by-side"
            return Fault(FaultKind.RUN_FAILED, "pictures", f"{host} takes one picture per request; {remedy}")
        if status == 408 or status == 409 or status >= 500:
            return Fault(FaultKind.RETRY, "transport", f"{status}: {words}")
        return Fault(FaultKind.ITEM_FAILED, "rejected", f"{status}: {words}")

    def _clean(self, words: object) -> str:
        """A message as one line, without markup and without the key, which some servers echo."""
        text = re.sub(r"<[^>]*>", " ", str(words))
        if self._key != "none":
            text = text.replace(self._key, "***")
        return re.sub(r"\s+", " ", text).strip()[:MAX_WORDS]


def retry_after(headers: Any) -> float | None:
    """Seconds of a ``Retry-After`` header, given as a number or an HTTP date; None without one."""
    value = headers.get("retry-after-ms")
    if value and value.replace(".", "", 1).isdigit():
        return float(value) / 1000
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
