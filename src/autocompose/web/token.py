"""The secret that clients must give: as a bearer, or once in the page's address and then as a cookie."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.requests import cookie_parser

COOKIE = "autocompose_token"


def token_fault(token: str) -> str:
    """Why a token cannot be used; "" when it can, or when there is none."""
    if not token:
        return ""
    if any("\ud800" <= c <= "\udfff" for c in token):
        return "is not valid UTF-8"
    if not token.isprintable():
        return "holds control characters"
    if token != token.strip():
        return "begins or ends with a space, which browsers and proxies cut off"
    return ""


class Token:
    """A secret of any printable characters; "" = none is needed.

    The cookie holds a hash of it, so that no character needs quoting.
    """

    def __init__(self, secret: str) -> None:
        self.needed = bool(secret)
        self._secret = secret.encode()
        self._cookie = hashlib.sha256(b"autocompose " + self._secret).hexdigest()

    def in_query(self, query: bytes) -> bool | None:
        """Whether a query string holds the secret; None when it holds no token.

        People type addresses by hand: there a plus sign may be one, and not a space.
        """
        pairs = query.decode("utf-8", "replace").split("&")
        typed = next((unquote(pair[6:]) for pair in pairs if pair.startswith("token=")), "")
        given = next((value for name, value in _pairs(query) if name == "token"), typed)
        return any([self.is_secret(value) for value in (given, typed)]) if given else None

    def is_secret(self, given: str | bytes) -> bool:
        """Whether it is this secret, compared in constant time."""
        return hmac.compare_digest(given.encode("utf-8", "replace") if isinstance(given, str) else given, self._secret)

    def login(self, query: bytes) -> list[tuple[bytes, bytes]]:
        """Headers that set the cookie and lead to the same address without the token."""
        rest = urlencode([pair for pair in _pairs(query) if pair[0] != "token"])
        cookie = f"{COOKIE}={self._cookie}; HttpOnly; SameSite=Strict; Path=/"
        location = f"/?{rest}" if rest else "/"
        return [(b"set-cookie", cookie.encode()), (b"location", location.encode())]

    def check(self, headers: dict[bytes, bytes]) -> bool | None:
        """Whether a request's headers hold the secret; None when they hold none at all."""
        kind, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        bearer = bearer.strip() if kind.lower() == b"bearer" else b""
        cookie = cookie_parser(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE, "")
        if not bearer and not cookie:
            return None
        known = hmac.compare_digest(cookie.encode("utf-8", "replace"), self._cookie.encode())
        # clients write other than ASCII letters as UTF-8 or as Latin-1
        return known or self.is_secret(bearer) or self.is_secret(bearer.decode("latin-1"))


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("utf-8", "replace"))
