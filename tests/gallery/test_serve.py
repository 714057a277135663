"""A real server process on loopback with a real model, and the fuzzing of its interface."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autocompose.gallery.indexing.index import build
from autocompose.model.embedders.own import RunFolder
from tests.gallery.fakes import photos

pytestmark = pytest.mark.server
COMMAND = [sys.executable, "-c", "import sys; from autocompose.cli import main; main()"]
QUIETLY: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120, "check": False}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    build(photos(folder / "photos", 30), RunFolder(run_folder), folder / "g", model_name=run_folder)
    return folder / "g"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment(scratch: Path) -> dict[str, str]:
    """This process' environment, with another folder for temporary files."""
    return {**os.environ, "TMPDIR": str(scratch)}


@contextmanager
def served(gallery: Path, scratch: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server process that answers; it is stopped at the end."""
    port = free_port()
    process = subprocess.Popen(
        [*COMMAND, "serve", str(gallery), "--port", str(port), "--rate", "0", *options],
        env=environment(scratch),
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
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
        yield url, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as response:
        return response.read()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_one_process_answers_and_stops_cleanly(gallery: Path, tmp_path: Path, stop: signal.Signals) -> None:
    with served(gallery, tmp_path) as (url, process):
        assert json.loads(fetch(f"{url}/healthz"))["items"] == 30
        answer = json.loads(fetch(f"{url}/api/search?text=raise+the+left+arm&k=3"))
        assert len(answer["results"]) == 3
        assert b"Start from one of these" in fetch(f"{url}/")
        assert len(list(tmp_path.glob("autocompose-*"))) == 1
        process.send_signal(stop)
        log = process.communicate(timeout=30)[1]
        assert process.returncode in (0, -signal.SIGINT, 130)
        assert "Traceback" not in log and "raise" not in log
        assert list(tmp_path.glob("autocompose-*")) == []  # uploads do not outlive the server


def test_a_free_port_is_named(gallery: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "serve", str(gallery), "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment(tmp_path)
    )
    assert process.stderr is not None
    url = re.search(r"http://127\.0\.0\.1:\d\d+", process.stderr.readline())
    process.terminate()
    process.communicate(timeout=30)
    assert url


def test_a_stop_inside_a_destructor_is_not_lost(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    program = f"""
import os, signal, time
from pathlib import Path
from autocompose.gallery.server.launch import _end_with
class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000): pass
_end_with(Path({str(scratch)!r}))
Dropped()
raise SystemExit("went on")
"""
    done = subprocess.run([sys.executable, "-c", program], **QUIETLY)
    assert done.returncode == 0 and not done.stderr and not scratch.exists()


def test_several_workers_share_the_gallery_and_the_metrics(gallery: Path, tmp_path: Path) -> None:
    with served(gallery, tmp_path, "--workers", "2") as (url, process):
        for i in range(40):
            fetch(f"{url}/api/search?text=step+{i}&k=1")
        metrics = fetch(f"{url}/metrics").decode()
        assert 'autocompose_requests_total{route="/api/search",status="200"} 40.0' in metrics
        process.terminate()
        process.communicate(timeout=30)


def test_what_cannot_be_served_is_one_line(gallery: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ([str(tmp_path)], "not a gallery"),
        ([str(gallery), "--model", str(tmp_path)], "model.json"),
    ):
        done = subprocess.run([*COMMAND, "serve", *arguments], **QUIETLY)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_serve_indexes_first_when_told_and_again_when_pictures_have_changed(run_folder: Path, tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 6)
    options = ("--index", str(root), "--model", str(run_folder))
    with served(tmp_path / "g", tmp_path, *options) as (url, _):
        assert json.loads(fetch(f"{url}/healthz"))["items"] == 6
        photos(root, 2, start=6)
        refused = subprocess.run([*COMMAND, "serve", str(tmp_path / "g"), "--port", url.rpartition(":")[2]], **QUIETLY)
        assert refused.returncode == 2 and "in use" in refused.stderr and refused.stderr.count("\n") == 1
    with served(tmp_path / "g", tmp_path, "--index", str(root)) as (url, _):  # the model is known now
        assert json.loads(fetch(f"{url}/healthz"))["items"] == 8


def test_uploads_do_not_outlive_a_killed_server(gallery: Path, tmp_path: Path) -> None:
    with served(gallery, tmp_path, "--workers", "2") as (_, process):
        (folder,) = tmp_path.glob("autocompose-serve-*/uploads")
        (folder / "u-x.npz").touch()
        process.kill()
        process.wait(timeout=30)
        deadline = time.monotonic() + 30
        while list(tmp_path.glob("autocompose-*")):
            assert time.monotonic() < deadline, "the folder is still there"
            time.sleep(0.05)


def test_heads_without_end_are_cut_off(gallery: Path, tmp_path: Path) -> None:
    with served(gallery, tmp_path) as (url, _):
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
            with pytest.raises(OSError):
                for _ in range(64):
                    connection.sendall(b"x" * (1 << 16))
                    time.sleep(0.01)
        assert json.loads(fetch(f"{url}/healthz"))["items"] == 30


def test_another_address_is_written_as_browsers_take_it_and_the_log_holds_only_requests(
    gallery: Path, tmp_path: Path
) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    process = subprocess.Popen(
        [*COMMAND, "serve", str(gallery), "--port", "0", "--host", "::1"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    )
    assert process.stderr is not None
    said = re.search(r"http://\[::1\]:\d\d+/", process.stderr.readline())
    assert said
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert json.loads(fetch(f"{said.group()}healthz"))["items"] == 30
            break
        except OSError:
            time.sleep(0.1)
    process.terminate()
    log = process.communicate(timeout=30)[1].splitlines()
    assert log and all(re.search(r"\d GET /healthz 200", line) for line in log), log


OPERATIONS = (
    "GET /api/search", "GET /api/items/{key}", "GET /api/understand", "POST /api/upload", "GET /healthz",
    "GET /metrics", "GET /thumbs/{key}", "GET /pictures/{key}", "GET /uploads/{key}", "GET /api/compare/{key}",
    "GET /api/clips.{kind}", "GET /frames/{key}", "GET /videos/{key}",
)  # fmt: skip
FUZZ_CASES = int(os.environ.get("FUZZ_CASES", "120"))  # for each operation; thousands are a matter of minutes


@pytest.fixture
def fuzzed(gallery: Path, tmp_path: Path) -> Any:
    """The interface's own description of itself, bound to an application in this process that ends with the test."""
    schemathesis = pytest.importorskip("schemathesis")
    from autocompose.gallery.search import Gallery
    from autocompose.gallery.server.app import create_app

    app = create_app(Gallery.open(gallery), tmp_path, loopback=False)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    return {o.label: o for o in (result.ok() for result in schema.get_all_operations())}


def test_every_operation_is_fuzzed(fuzzed: Any) -> None:
    assert set(fuzzed) == set(OPERATIONS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_fuzzing_finds_no_server_error(fuzzed: Any, operation: str) -> None:
    """Requests made from the interface's own description, valid and invalid ones."""
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    described = fuzzed[operation]
    cases = st.one_of(
        described.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        described.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )
    seen: Counter[int] = Counter()

    @given(cases)
    @settings(max_examples=FUZZ_CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def fuzz(case: Any) -> None:
        status = case.call().status_code
        seen[status] += 1
        assert status < 500, case

    fuzz()
    print(operation, dict(seen))
    assert seen.total() >= (1 if operation in ("GET /healthz", "GET /metrics") else min(FUZZ_CASES, 50))
    if "{key}" in operation:
        assert seen[404]
