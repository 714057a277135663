"""A real server process on loopback with a real model, and the fuzzing of its interface."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autocompose.gallery.index import build
from autocompose.gallery.model import RunFolder
from tests.gallery.fakes import photos

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    build(photos(folder / "photos", 30), RunFolder(run_folder), folder / "g", model_folder=run_folder)
    return folder / "g"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def served(gallery: Path, scratch: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server process that answers; it is stopped at the end."""
    port = free_port()
    command = [sys.executable, "-c", "import sys; from autocompose.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "serve", str(gallery), "--port", str(port), "--rate", "0", *options],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                fetch(f"{url}/healthz")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
                time.sleep(0.1)
        yield url, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as response:
        return response.read()


def test_one_process_answers_and_stops_cleanly(gallery: Path, tmp_path: Path) -> None:
    with served(gallery, tmp_path) as (url, process):
        assert json.loads(fetch(f"{url}/healthz"))["items"] == 30
        answer = json.loads(fetch(f"{url}/api/search?text=raise+the+left+arm&k=3"))
        assert len(answer["results"]) == 3
        assert b"Start from one of these" in fetch(f"{url}/")
        assert len(list(tmp_path.glob("autocompose-*"))) == 1
        process.send_signal(signal.SIGINT)
        log = process.communicate(timeout=30)[1]
        assert process.returncode in (0, -signal.SIGINT, 130)
        assert "Traceback" not in log and "raise" not in log
        assert list(tmp_path.glob("autocompose-*")) == []  # uploads do not outlive the server


def test_several_workers_share_the_gallery_and_the_metrics(gallery: Path, tmp_path: Path) -> None:
    with served(gallery, tmp_path, "--workers", "2") as (url, process):
        for i in range(40):
            fetch(f"{url}/api/search?text=step+{i}&k=1")
        metrics = fetch(f"{url}/metrics").decode()
        assert 'autocompose_requests_total{route="/api/search",status="200"} 40.0' in metrics
        process.terminate()
        process.communicate(timeout=30)


def test_what_cannot_be_served_is_one_line(gallery: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; from autocompose.cli import main; main()", "serve"]
    for arguments, message in (
        ([str(tmp_path)], "not a gallery"),
        ([str(gallery), "--model", str(tmp_path)], "model.json"),
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.filterwarnings("ignore")
def test_fuzzing_finds_no_server_error(gallery: Path, tmp_path: Path) -> None:
    """Some 300 requests for each operation, made from the interface's own description, valid and invalid ones."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    from autocompose.gallery.search import Gallery
    from autocompose.gallery.server.app import create_app

    app = create_app(Gallery.open(gallery), tmp_path, loopback=False)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 9
    seen: dict[int, int] = {}

    for operation in operations:
        cases = st.one_of(
            operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
        )

        @given(cases)
        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def fuzz(case: schemathesis.Case) -> None:
            status = case.call().status_code
            seen[status] = seen.get(status, 0) + 1
            assert status < 500, case

        fuzz()
    assert sum(seen.values()) > 1000
    assert {200, 404, 422} <= seen.keys()
