"""What searching costs: vectors, indexing with a kill in the middle, and a server under load.

    python benchmarks/search.py                       everything, about ten minutes on two idle cores
    python benchmarks/search.py vectors|index|load    one part; --seconds, --pictures make it smaller

CPU seconds are given beside wall time, because only they mean something on a machine that others use too.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import multiprocessing
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from autocompose.gallery.gallery_folder import GalleryConfig
from autocompose.gallery.indexing.index import build
from autocompose.gallery.item import Item
from autocompose.gallery.server.batch import BatchedEmbedder
from autocompose.gallery.storage.store import EmbeddedStore
from autocompose.gallery.storage.vectors import Allowed, VectorIndex, normalise
from autocompose.model.embedders.own import RunFolder

WORDS = (
    "left",
    "right",
    "arm",
    "leg",
    "knee",
    "hand",
    "foot",
    "head",
    "raise",
    "lower",
    "bend",
    "turn",
    "higher",
    "out",
)
CLIENTS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=["all", "vectors", "index", "load"])
    parser.add_argument("--seconds", type=float, default=60, help="length of the load test")
    parser.add_argument("--requests", type=int, default=5000, help="requests of the memory test")
    parser.add_argument("--pictures", type=int, default=10_000, help="pictures of the index test")
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, no GPU, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        if options.part in ("all", "vectors"):
            vectors()
        if options.part in ("all", "index"):
            index(Path(scratch), options.pictures)
        if options.part in ("all", "load"):
            for name in ("small", "ViT-B/32"):
                load(Path(scratch), name, options.seconds, options.requests if name == "small" else 0)


def cost(what: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Median wall and mean CPU milliseconds of one call."""
    what()
    walls, cpu = [], time.process_time()
    for _ in range(repeat):
        start = time.perf_counter()
        what()
        walls.append(time.perf_counter() - start)
    return 1000 * float(np.median(walls)), 1000 * (time.process_time() - cpu) / repeat


def vectors(n: int = 100_000, dim: int = 512) -> None:
    """Exact and approximate top 50; the vectors form 2,000 loose clusters, as pictures of people do."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2000, dim)).astype(np.float32)
    data = normalise(centres[rng.integers(2000, size=n)] + 0.7 * rng.normal(size=(n, dim)).astype(np.float32))
    queries = normalise(centres[rng.integers(2000, size=100)] + 0.7 * rng.normal(size=(100, dim)).astype(np.float32))
    ids = rng.integers(1 << 60, size=n)
    exact = VectorIndex.build(ids, data)
    start, cpu = time.perf_counter(), time.process_time()
    approximate = VectorIndex.build(ids, data, "approximate")
    built = f"built in {time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s CPU"
    truth = [exact.search(q, 50)[0] for q in queries]
    found = [approximate.search(q, 50)[0] for q in queries]
    recall = np.mean([len(np.intersect1d(a, b)) / 50 for a, b in zip(truth, found, strict=True)])
    allowed = Allowed(ids[: n // 10])
    for name, call in (
        ("exact", lambda: exact.search(queries[0], 50)),
        ("exact, a tenth of the items allowed", lambda: exact.search(queries[0], 50, allowed)),
        ("approximate", lambda: approximate.search(queries[0], 50)),
    ):
        wall, cpu = cost(call, 50)
        print(f"vectors {n:,} x {dim}, top 50, {name}: {wall:.1f} ms, {cpu:.1f} ms CPU")
    probes = f"{approximate.index.nprobe} of {approximate.index.nlist} lists"
    print(f"approximate: recall@50 {recall:.3f} (stated by the index: {approximate.recall:.3f}), {probes}, {built}")


def run_folder(scratch: Path, name: str) -> Path:
    """A model of random weights: what it costs does not depend on what it has learned."""
    from autocompose.model.checkpoint import save_model
    from autocompose.model.combiner import Combiner
    from autocompose.model.encoder import Encoder, EncoderConfig
    from autocompose.model.model import Model
    from autocompose.model.small import small_config

    folder = scratch / name.replace("/", "-")
    if not folder.exists():
        encoder = Encoder(small_config() if name == "small" else EncoderConfig(arch=name))
        save_model(folder, Model(encoder, Combiner(encoder.dim, 4 * encoder.dim, 8 * encoder.dim)))
    return folder


def index(scratch: Path, n: int) -> None:
    """Index, kill -9 in the middle, go on; then add, change and delete ten each."""
    pictures, model = scratch / "pictures", RunFolder(run_folder(scratch, "small"))
    rng = np.random.default_rng(0)
    pictures.mkdir()
    for i in range(n):
        write_picture(pictures / f"{i:05d}.jpg", rng)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    build(pictures, model, scratch / "whole")
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    wall = time.perf_counter() - start
    print(f"index {n:,} pictures of 128 px: {wall:.0f} s, {cpu:.0f} s CPU = {1000 * cpu / n:.1f} ms CPU a picture")
    killed = scratch / "killed"
    process = multiprocessing.get_context("spawn").Process(target=build, args=(pictures, model, killed))
    process.start()
    while process.is_alive() and count(killed) < n // 2:
        time.sleep(0.05)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    done = count(killed)
    report = build(pictures, model, killed)
    print(
        f"killed after {done:,}; the next run embedded {report.embedded:,}; equal: {equal(scratch / 'whole', killed)}"
    )
    for i in range(10):
        write_picture(pictures / f"new{i}.jpg", rng)
        write_picture(pictures / f"{i:05d}.jpg", rng)
        (pictures / f"{n - 1 - i:05d}.jpg").unlink()
    start = time.perf_counter()
    report = build(pictures, model, killed)
    print(f"10 added, 10 changed, 10 deleted: {report.line().splitlines()[1]}, {time.perf_counter() - start:.1f} s")


def write_picture(path: Path, rng: np.random.Generator) -> None:
    blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((128, 128), Image.Resampling.BICUBIC).save(path, quality=85)


def count(gallery: Path) -> int:
    if not (gallery / "items.sqlite").exists():
        return 0
    try:
        store = EmbeddedStore(gallery, "")
    except Exception:  # the tables are not there yet
        return 0
    found = store.count()
    store.close()
    return found


def equal(a: Path, b: Path) -> bool:
    first, second = EmbeddedStore(a, ""), EmbeddedStore(b, "")
    items = list(first.items())
    ids = [i.id for i in items]
    return items == list(second.items()) and np.allclose(first.vectors(ids), second.vectors(ids), atol=1e-5)


# -- the server


def synthetic_gallery(scratch: Path, model: Path, dim: int, n: int = 10_000) -> Path:
    folder = scratch / f"gallery-{model.name}"
    folder.mkdir()
    print_ = RunFolder(model).fingerprint
    config = GalleryConfig(
        pictures=str(scratch), source=str(scratch), model=str(model), fingerprint=print_, dim=dim, index="exact"
    )
    config.save(folder)
    Image.new("RGB", (64, 64)).save(scratch / "one.png")
    items = [Item("one.png", f"{i:064x}", 1, 1, 128, 128, (0, 0, 1 + i, 9)) for i in range(n)]
    store = EmbeddedStore(folder, print_, write=True)
    store.put(items, np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32))
    store.publish()
    store.close()
    return folder


def text(number: int) -> str:
    rng = np.random.default_rng(number)
    return " ".join(rng.choice(WORDS, 10))


def load(scratch: Path, name: str, seconds: float, requests: int) -> None:
    """Four clients against 10,000 items, every request with another text; and what the model alone needs for that."""
    import torch

    folder = run_folder(scratch, name)
    model = RunFolder(folder)
    dim = model.embed_texts(["a"]).shape[1]
    gallery = synthetic_gallery(scratch, folder, dim)
    references = [i.key for i, _ in zip(EmbeddedStore(gallery, "").items(), range(200), strict=False)]
    every = torch.get_num_threads()
    # Four requests under way: the model has them in one run of four, or in two runs of two side by side.
    alone = {f"one run of {CLIENTS}, {t} threads": model_rate(model, dim, CLIENTS, 1, t) for t in sorted({1, every})}
    alone[f"two runs of {CLIENTS // 2} side by side"] = model_rate(model, dim, CLIENTS // 2, 2, 1)
    alone[f"asked by {CLIENTS} threads, as the server's requests do"] = asked_rate(model, dim)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-c", "from autocompose.cli import main; main()", "serve", str(gallery), "--rate", "0"]
    log = (scratch / "server.log").open("w")
    server = subprocess.Popen([*command, "--port", str(port)], stderr=log)
    try:
        wait(port)
        ask(port, [f"/api/search?text={quote(text(10**6 + i))}&ref={references[0]}&k=24" for i in range(50)])
        before, client, stop = cpu_of(server.pid), time.process_time(), time.perf_counter() + seconds
        taken = clients(port, references, lambda number: time.perf_counter() < stop)
        wall = seconds + time.perf_counter() - stop
        cpu, client = (cpu_of(server.pid) - before) / len(taken), (time.process_time() - client) / len(taken)
        rate = len(taken) / wall
        print(f"{name}, 10,000 items, {CLIENTS} clients, {wall:.0f} s: no error")
        p50, p99 = np.percentile(taken, (50, 99)) * 1000
        print(f"  {rate:.0f} requests/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
        print(f"  CPU a request: server {1000 * cpu:.1f} ms, clients {1000 * client:.1f} ms")
        for how, (per_second, model_cpu) in alone.items():
            share = f"the server reached {100 * rate / per_second:.0f} % of it"
            print(f"  model alone, {how}: {per_second:.0f}/s, {1000 * model_cpu:.1f} ms CPU each; {share}")
        if requests:
            sizes = [rss_of(server.pid)]
            for part in range(5):
                clients(port, references, lambda n, p=part: n < requests // 5 // CLIENTS, offset=(part + 1) * 10**7)
                sizes.append(rss_of(server.pid))
            print(f"  memory over {requests:,} requests, every fifth: {', '.join(f'{s:.0f}' for s in sizes)} MB")
    finally:
        server.terminate()
        server.wait(30)


NEW = itertools.count(10**9)  # the model remembers texts: no two measurements may share any


def model_rate(
    model: RunFolder, dim: int, size: int, runs: int, threads: int, seconds: float = 4
) -> tuple[float, float]:
    """Texts a second that are embedded and composed, and CPU seconds for each.

    :param size: texts of one run of the model; ``runs``: at the same time; ``threads`` of torch for each.
    """
    import torch

    images = np.random.default_rng(0).normal(size=(size, dim)).astype(np.float32)
    cpu, start = time.process_time(), time.perf_counter()

    def run(_: int) -> int:
        torch.set_num_threads(threads)
        done = 0
        while time.perf_counter() - start < seconds:
            model.compose(images, [text(next(NEW)) for _ in range(size)])
            done += size
        return done

    with ThreadPoolExecutor(runs) as pool:
        done = sum(pool.map(run, range(runs)))
    return done / (time.perf_counter() - start), (time.process_time() - cpu) / done


def asked_rate(model: RunFolder, dim: int, seconds: float = 8) -> tuple[float, float]:
    """The same, asked for by four threads one by one: what is left of a request without web server and search."""
    import torch

    torch.set_num_threads(1)
    batched, images = BatchedEmbedder(model), np.random.default_rng(0).normal(size=(1, dim)).astype(np.float32)
    cpu, start = time.process_time(), time.perf_counter()

    def ask(_: int) -> int:
        done = 0
        while time.perf_counter() - start < seconds:
            batched.compose(images, [text(next(NEW))])
            done += 1
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        done = sum(pool.map(ask, range(CLIENTS)))
    rate = done / (time.perf_counter() - start), (time.process_time() - cpu) / done
    batched.close()
    return rate


def clients(port: int, references: list[str], more: Callable[[int], bool], offset: int = 0) -> list[float]:
    """Seconds of every request of four clients; any answer but 200 raises."""
    taken: list[float] = []
    faults: list[str] = []

    def client(which: int) -> None:
        connection, number = http.client.HTTPConnection("127.0.0.1", port, timeout=60), 0
        while more(number) and not faults:
            path = f"/api/search?text={quote(text(offset + which * 10**5 + number))}&k=24"
            start = time.perf_counter()
            connection.request("GET", f"{path}&ref={references[number % len(references)]}")
            answer = connection.getresponse()
            body = answer.read()
            taken.append(time.perf_counter() - start)
            number += 1
            if answer.status != 200 or len(json.loads(body)["results"]) != 24:
                faults.append(f"{answer.status} {body[:200]!r}")

    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults[0]
    return taken


def ask(port: int, paths: list[str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for path in paths:
        connection.request("GET", path)
        assert connection.getresponse().read()


def wait(port: int) -> None:
    for _ in range(600):
        try:
            return ask(port, ["/healthz"])
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("the server did not start")


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_of(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
