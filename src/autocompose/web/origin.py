"""Whether a request comes from a page of this server or from another site.

Browsers say so in ``Sec-Fetch-Site``; older ones only in ``Origin``, which is compared as a whole: scheme, name and
port (RFC 6454). Programs that are no browsers send neither, and cannot be misused by a web page.
"""

from __future__ import annotations

from urllib.parse import urlsplit

SAFE = ("GET", "HEAD", "OPTIONS")
PORTS = {"http": 80, "https": 443}


def is_foreign(method: str, scheme: str, headers: dict[bytes, bytes]) -> bool:
    """A page of another site sends something here.

    :param headers: lower-case names.
    """
    if method in SAFE:
        return False
    site = headers.get(b"sec-fetch-site", b"").decode("latin-1")
    if site:
        return site not in ("same-origin", "none")
    origin = headers.get(b"origin")
    if origin is None:
        return False
    sender = _parts(origin.decode("latin-1"))
    return sender is None or sender != _parts(f"{scheme}://{headers.get(b'host', b'').decode('latin-1')}")


def _parts(origin: str) -> tuple[str, str, int | None] | None:
    try:
        url = urlsplit(origin)
        return (
            (url.scheme, url.hostname or "", url.port or PORTS.get(url.scheme)) if url.scheme and url.netloc else None
        )
    except ValueError:  # a port that is none
        return None
