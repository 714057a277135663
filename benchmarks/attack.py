"""What attackers do to other people's searches: scan bombs, large pictures, slow and many uploads, on loopback.

    python benchmarks/attack.py            about three minutes; needs the extra [serve]
    python benchmarks/attack.py --seconds 5 --pictures 60

A server with the model that ships runs in a process of its own, without a rate limit (which would end most of this at
once). A client in another process searches four times a second with a new text; the attacks come from a third. Exits 1
when a search takes too long (99 of 100 within 500 ms), when the server needs 2 GB, or when it answers anything from 500
on but 503 with Retry-After.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import http.client
import io
import json
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from autocompose.gallery.indexing.index import build
from autocompose.model.embedders.own import RunFolder

P99, MEMORY = 0.5, 2 << 30
LARGE = (9000, 9000)
Statuses = collections.Counter[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="least length of each phase")
    parser.add_argument("--pictures", type=int, default=300, help="pictures of the gallery")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} (others on this machine included)")
    with tempfile.TemporaryDirectory() as scratch:
        gallery = make_gallery(Path(scratch), options.pictures)
        port = free_port()
        server = start(gallery, port)
        try:
            sound = [phase(*each, server.pid, port, options.seconds) for each in PHASES.items()]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    sys.exit(0 if all(sound) else 1)


def make_gallery(scratch: Path, number: int) -> Path:
    photos = scratch / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i in range(number):
        noise = rng.integers(0, 255, (6, 5, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 128), Image.Resampling.BICUBIC).save(photos / f"{i:04d}.jpg")
    pattern = Image.fromarray(rng.integers(0, 255, (90, 90, 3), dtype=np.uint8)).resize(LARGE)
    pattern.save(photos / "large.png", compress_level=1)
    pattern.save(photos / "large.jpg", progressive=True, quality=80)
    del pattern
    build(photos, RunFolder(Path("small")), scratch / "gallery", model_name=RunFolder(Path("small")).folder)
    return scratch / "gallery"


def start(gallery: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "autocompose", "serve", str(gallery), "--port", str(port), "--rate", "0"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            get(port, "/healthz")
            return server
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server does not start")


def get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# -- the client whose searches count


def search_for_ever(port: int, pipe: Connection) -> None:
    """Search four times a second until told to stop; sends the seconds that each took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    seconds, number = [], 0
    while not pipe.poll(0.25):
        number += 1
        begun = time.perf_counter()
        connection.request("GET", f"/api/search?text=raise+the+left+arm+{os.getpid()}+{number}&k=10")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        seconds.append(time.perf_counter() - begun)
    pipe.send(seconds)


def phase(name: str, attack: Attack | None, server: int, port: int, seconds: float) -> bool:
    """Run one attack beside the client; prints what came of both."""
    ours, theirs = multiprocessing.Pipe()
    client = multiprocessing.Process(target=search_for_ever, args=(port, theirs))
    client.start()
    peak, ended = [0], threading.Event()
    watch = threading.Thread(target=watch_memory, args=(server, peak, ended))
    watch.start()
    begun = time.perf_counter()
    counts = Statuses()
    with multiprocessing.Pool(1) as pool:
        while time.perf_counter() - begun < seconds:
            if attack is None:
                time.sleep(seconds)
            else:
                counts += pool.apply(run_attack, (attack, port, seconds))
    took = time.perf_counter() - begun
    ours.send("stop")
    times = np.array(ours.recv())
    client.join()
    ended.set()
    watch.join()
    p99 = float(np.quantile(times, 0.99))
    told = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))
    print(
        f"{name}: {took:.0f} s; {len(times)} searches p50 {1000 * np.median(times):.0f} ms, p99 {1000 * p99:.0f} ms, "
        f"longest {1000 * times.max():.0f} ms; memory {peak[0] >> 20} MB; answers: {told or '-'}"
    )
    errors = [s for s in counts if s[0] == "5" and s != "503 with Retry-After"]
    return p99 < P99 and peak[0] < MEMORY and not errors


def watch_memory(pid: int, peak: list[int], ended: threading.Event) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    while not ended.wait(0.05):
        peak[0] = max(peak[0], int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page)


# -- the attacks


async def ask(port: int, head: str, body: bytes = b"", pieces: float = 0.0) -> str:
    """One request over a connection of its own; returns its status.

    :param pieces: send only a byte every so many seconds, until the server has had enough.
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode())
        if pieces:
            answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
            for i in range(len(body)):
                writer.write(body[i : i + 1])
                if (await asyncio.wait([answer], timeout=pieces))[0]:
                    break
            said = await answer
        else:
            writer.write(body)
            said = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    except (OSError, asyncio.IncompleteReadError) as error:
        return type(error).__name__
    status = said.split(b" ", 2)[1].decode()
    return f"{status} with Retry-After" if b"retry-after" in said.lower() else status


def upload(picture: bytes, length: int | None = None) -> tuple[str, bytes]:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n' + picture + b"\r\n--b--\r\n"
    head = "POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}Content-Length: {length or len(body)}\r\n\r\n", body


def jpeg(size: tuple[int, int], seed: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size).save(buffer, "JPEG", **options)
    return buffer.getvalue()


async def scan_bombs(port: int, seconds: float) -> Statuses:
    """Small progressive JPEGs whose last scan stands there 600 times, twenty at once."""
    data = jpeg((6000, 6000), 1, progressive=True, quality=30)
    last = data.rindex(b"\xff\xda")
    bomb = upload(data[:last] + data[last:-2] * 600 + b"\xff\xd9")
    return Statuses(await asyncio.gather(*(ask(port, *bomb) for _ in range(20))))


async def large_pictures(port: int, seconds: float) -> Statuses:
    """Twelve requests at once for pictures of 81 megapixels."""
    found = json.loads(await asyncio.to_thread(get, port, "/api/search?text=sit&k=100"))["results"]
    keys = [hit["id"] for hit in found if hit["path"].startswith("large")]
    for path in ("large.png", "large.jpg"):
        record = json.loads(await asyncio.to_thread(get, port, f"/api/search?ref={path}&k=1"))["reference"]
        keys.append(record["id"])
    heads = [f"GET /pictures/{keys[i % len(keys)]} HTTP/1.1\r\nHost: localhost\r\n\r\n" for i in range(12)]
    return Statuses(await asyncio.gather(*(ask(port, head) for head in heads)))


async def large_uploads(port: int, seconds: float) -> Statuses:
    """Twelve uploads at once of progressive pictures of 49 megapixels."""
    picture = upload(jpeg((7000, 7000), 2, progressive=True, quality=30))
    return Statuses(await asyncio.gather(*(ask(port, *picture) for _ in range(12))))


async def slow_uploads(port: int, seconds: float) -> Statuses:
    """Eighty uploads of 3 MB that send a byte every second."""
    picture = upload(b"\xff" * 3_000_000)
    waiting = [asyncio.ensure_future(ask(port, *picture, pieces=1.0)) for _ in range(80)]
    done, rest = await asyncio.wait(waiting, timeout=75)
    for task in rest:
        task.cancel()
    return Statuses(task.result() for task in done) + Statuses({"still open": len(rest)})


async def many_uploads(port: int, seconds: float) -> Statuses:
    """A thousand small uploads at once."""
    pictures = [upload(jpeg((200, 200), seed)) for seed in range(20)]
    return Statuses(await asyncio.gather(*(ask(port, *pictures[i % 20]) for i in range(1000))))


Attack = Callable[[int, float], Awaitable[Statuses]]
PHASES: dict[str, Attack | None] = {
    "nobody else": None,
    "scan bombs": scan_bombs,
    "12 large pictures": large_pictures,
    "12 large uploads": large_uploads,
    "80 slow uploads": slow_uploads,
    "1,000 small uploads": many_uploads,
}


def run_attack(attack: Attack, port: int, seconds: float) -> Statuses:
    return asyncio.run(attack(port, seconds))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
