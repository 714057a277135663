"""Starting the server: one process or several, stopped cleanly by Ctrl-C or SIGTERM."""

from __future__ import annotations

import ipaddress
import json
import logging
import multiprocessing
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from autocompose.core.config import Config
from autocompose.core.errors import DependencyError, GalleryError, InputError
from autocompose.core.log import say
from autocompose.core.workers import end_with_parent
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.scratch import scratch_folder
from autocompose.rerank.settings import Reranker
from autocompose.web.token import token_fault

VARIABLE = "AUTOCOMPOSE_SERVER"  # carries the settings to the workers
MAX_FILES = 65_536
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1", "localhost")


class ServerConfig(Config):
    """Settings of a server; see ``autocompose serve --help``.

    :param trusted_proxy: addresses or networks of proxies, whose ``X-Forwarded-For`` tells who the client is.
    :param uploads: folder for uploaded pictures; "" = a temporary one.
    :param rerank: who re-ranks (``Reranker.record``); None: nobody does.
    """

    gallery: str
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    model: str = ""
    workers: int = Field(1, ge=1, le=64)
    rate: float = Field(20.0, ge=0)
    token: str = ""
    trusted_proxy: tuple[str, ...] = ()
    uploads: str = ""
    rerank: dict[str, Any] | None = None

    @field_validator("token")
    @classmethod
    def _usable(cls, token: str) -> str:
        if fault := token_fault(token):
            raise ValueError(f"the token {fault}; choose another one")
        return token

    @field_validator("trusted_proxy")
    @classmethod
    def _addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError(f"{proxy!r}: expected an address or network such as 10.0.0.2 or 10.0.0.0/24") from None
        return proxies

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"


def run_server(config: ServerConfig) -> None:
    """Serve until the process is told to stop.

    :raises GalleryError: the gallery cannot be opened, or belongs to another model.
    :raises ConfigError: the key of the re-ranking model is not set.
    :raises InputError: this is Windows, or the address cannot be used.
    """
    if os.name == "nt":
        raise InputError("serve runs on Linux and macOS only; use WSL, or search with: autocompose search GALLERY")
    try:
        import uvicorn
    except ImportError:
        raise DependencyError("fastapi", "serve", "The server") from None
    gallery = Gallery.open(config.gallery, config.model or None)  # what is wrong is said here, not by a worker
    if gallery.model is None:
        raise GalleryError(gallery.absent)
    count = gallery.store.count()
    gallery.close()
    if config.rerank:
        Reranker.of(config.rerank).check()
    if config.host not in LOOPBACK_ADDRESSES and not config.token:
        say(f"warning: {config.host} is open to the network and no --token is set: anyone there can see the pictures")
    config = config.model_copy(update={"port": _listening_port(config)})
    with scratch_folder() as scratch:
        for name in ("uploads", "metrics"):
            (scratch / name).mkdir()
        settings = config.model_copy(update={"uploads": f"{scratch}/uploads"})
        os.environ[VARIABLE] = json.dumps(settings.model_dump())  # escapes what is not UTF-8 in a path
        if config.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = f"{scratch}/metrics"
        _end_with(scratch)
        _allow_connections()
        say(f"{count:,} items; open {config.address} (interface: /docs); stop with Ctrl-C")
        uvicorn.run(
            "autocompose.gallery.server.launch:application",
            factory=True,
            host=config.host,
            port=config.port,
            workers=config.workers,
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=10,
            http=_protocol(),
            proxy_headers=bool(config.trusted_proxy),
            forwarded_allow_ips=list(config.trusted_proxy),
        )


def _protocol() -> Any:
    """Connections with bounds; h11 has one of its own."""
    try:
        from autocompose.web.connection import BoundedProtocol
    except ImportError:  # no httptools
        return "h11"
    return BoundedProtocol


def _allow_connections() -> None:
    """As many open files as the system lets us have: each connection is one."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _end_with(scratch: Path) -> None:
    """Let SIGTERM delete ``scratch`` and end the process.

    It is for the time before uvicorn takes signals, and for when it has shut down and passes them on. An exception
    would not do: raised inside a destructor or a weak reference's callback, Python prints and drops it.
    """

    def end(*_: object) -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def _listening_port(config: ServerConfig) -> int:
    """The port, a free one for 0.

    :raises InputError: nothing can listen there.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, config.port))
            return listener.getsockname()[1]
        except OSError as error:
            raise InputError(
                f"--host {config.host} --port {config.port}: cannot listen there ({error.strerror or error}); "
                "stop the other server, or choose another port (0 takes a free one)"
            ) from None


def application() -> object:
    """The application of a worker process, from the settings that ``run_server`` left in the environment."""
    import torch

    from autocompose.gallery.server.app import create_app

    config = ServerConfig.parse(json.loads(os.environ[VARIABLE]))
    if multiprocessing.parent_process():
        end_with_parent()
    # only what we have to say: Faiss, for one, tells which of its libraries it could not import
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("autocompose").setLevel(logging.INFO)
    # For the few texts of a request, waking torch's other threads costs more than they save, and two runs of the model
    # go side by side anyway. More cores are used by more workers.
    torch.set_num_threads(1)
    gallery = Gallery.open(config.gallery, config.model or None)
    loopback = config.host in LOOPBACK_ADDRESSES
    rate = config.rate / config.workers  # each worker sees its share of the requests
    reranker = Reranker.of(config.rerank) if config.rerank else None
    return create_app(
        gallery, Path(config.uploads), rate=rate, token=config.token, loopback=loopback, reranker=reranker
    )
