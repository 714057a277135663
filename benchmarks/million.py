"""A gallery of a million synthetic items on this machine: building, searching, changing it, and a server under load.

    python benchmarks/million.py FOLDER build [--items 1000000] [--dim 256] [--exact]
    python benchmarks/million.py FOLDER search [--queries 40]
    python benchmarks/million.py FOLDER change
    python benchmarks/million.py FOLDER load [--clients 100] [--seconds 60]

Each step is a process of its own, so that its memory is its own. Poses are blends of sampled ones with noise on every
joint angle; vectors are random ones in loose clusters. With 256 numbers the model is the built-in one; with others it
is one that draws the features of texts and costs nothing. ``search`` takes every second question as rule texts, the
others describe a pose without a reference or name relations. CPU time is given beside wall time.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
from benchmarks.pose_index import BLOCK, Drawn, asked, peak, synthetic

from autocompose.gallery.gallery_folder import GalleryConfig, open_store, read_config
from autocompose.gallery.item import Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.search import Gallery
from autocompose.gallery.storage.store import EmbeddedStore
from autocompose.gallery.storage.vectors import VectorIndex, normalise
from autocompose.model.embedders.embedder import Embedder
from autocompose.model.embedders.naming import open_embedder

TENTHS = 10  # values of the column that filters take one of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("step", choices=["build", "search", "change", "load", "serve"])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--port", type=int, help="of the step serve, which the step load starts")
    options = parser.parse_args()
    print(f"{options.step} {options.folder.name}: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    steps: dict[str, Callable[[argparse.Namespace], None]] = {
        "build": build, "search": search, "change": change, "load": load, "serve": serve,
    }  # fmt: skip
    steps[options.step](options)
    print(f"process peak {peak():.0f} MiB", flush=True)


def model_for(dim: int) -> Embedder:
    return open_embedder("small") if dim == 256 else Drawn(dim)


def item(i: int, joints: np.ndarray) -> Item:
    return Item(f"{i}.png", f"{i:064x}", 1, 1, 9, 9, meta={"tenth": i % TENTHS}, pose=Pose(joints))


def made_vectors(n: int, dim: int, seed: int = 2) -> np.ndarray:
    """``(n, dim)`` normalised, in 2,000 loose clusters."""
    rng, centres = np.random.default_rng(seed), np.random.default_rng(7).normal(size=(2000, dim)).astype(np.float32)
    vectors = np.empty((n, dim), np.float32)
    for first in range(0, n, BLOCK):
        size = min(BLOCK, n - first)
        noise = rng.normal(size=(size, dim)).astype(np.float32)
        vectors[first : first + size] = normalise(centres[rng.integers(2000, size=size)] + 0.7 * noise)
    return vectors


class Clock:
    """Wall and CPU seconds of a block."""

    def __enter__(self) -> Clock:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu

    def __str__(self) -> str:
        return f"{self.wall:.0f} s ({self.cpu:.0f} s CPU)"


def build(options: argparse.Namespace) -> None:
    model, n = model_for(options.dim), options.items
    config = GalleryConfig(
        pictures=str(options.folder.absolute()), source="", model="small" if options.dim == 256 else "",
        fingerprint=model.fingerprint, dim=options.dim, index="exact" if options.exact else "approximate", poses=True,
    )  # fmt: skip
    options.folder.mkdir(parents=True, exist_ok=True)
    config.save(options.folder)
    with Clock() as making:
        joints, vectors = synthetic(n), made_vectors(n, options.dim)
    print(f"items made in {making}; process {peak():.0f} MiB", flush=True)
    store = open_store(options.folder, config, write=True)
    with Clock() as writing:
        for first in range(0, n, BLOCK):
            items = [item(first + i, pose) for i, pose in enumerate(joints[first : first + BLOCK])]
            store.put(items, vectors[first : first + BLOCK])
    del joints, vectors
    with Clock() as publishing:
        store.publish()
    print(f"{n:,} x {options.dim}: rows written in {writing}, files published in {publishing}")
    print(f"recall@50 {store.recall():.3f} (stated by the index)")
    sizes(options.folder)


def sizes(folder: Path) -> None:
    found: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.name.split("-")[0].split(".")[0] if path.parent == folder else path.parent.name.split("-")[0]
            found[name] = found.get(name, 0) + path.stat().st_size
    print("on disk, MiB:", ", ".join(f"{name} {size / 2**20:.0f}" for name, size in sorted(found.items())))


def opened(options: argparse.Namespace) -> Gallery:
    config = read_config(options.folder)
    assert config, "run the step build first"
    return Gallery(options.folder, config, open_store(options.folder, config), model_for(config.dim))


def rss(pid: str | int = "self") -> float:
    """MiB of a process that are in memory; of these, those that are its own and no mapped file."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(pid: str | int = "self") -> str:
    fields = [int(v) * os.sysconf("SC_PAGE_SIZE") / 2**20 for v in Path(f"/proc/{pid}/statm").read_text().split()]
    return f"{fields[1]:.0f} MiB in memory, of which {fields[2]:.0f} are mapped files"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def search(options: argparse.Namespace) -> None:
    with Clock() as opening:
        gallery = opened(options)
        gallery.store.search(np.eye(1, gallery.config.dim, dtype=np.float32)[0], 10)
    print(f"opened in {opening}; {memory()}", flush=True)
    assert isinstance(gallery.store, EmbeddedStore)
    posed = gallery.store.poses()
    questions = asked(np.asarray(posed.joints[:10_000], float), options.queries)
    keys = [f"{number:015x}" for number in posed.ids[:10_000].tolist()]
    for name, more in {
        "symbolic": {"engine": "symbolic"}, "auto": {"engine": "auto"}, "learned": {"engine": "learned"},
        "auto, a tenth of the items": {"engine": "auto", "where": {"tenth": "3"}},
        "learned, a tenth of the items": {"engine": "learned", "where": {"tenth": "3"}},
    }.items():  # fmt: skip
        asks = [{"text": q.text, "reference": None if q.row is None else keys[q.row], **more} for q in questions]
        times(name, [lambda a=a: gallery.search(k=10, **a) for a in asks])  # type: ignore[misc]
    print(memory())
    vectors_alone(gallery.store, options.queries)
    print(memory())


def vectors_alone(store: EmbeddedStore, count: int) -> None:
    """The model's index alone, beside the exact search of the same vectors."""
    ids = np.array([number for (number,) in store._rows("SELECT id FROM items ORDER BY id")], np.int64)
    rows = store._rows("SELECT vector FROM items ORDER BY id")
    vectors = normalise(np.frombuffer(b"".join(v for (v,) in rows), np.float32).reshape(len(ids), -1))
    del rows
    with Clock() as building:
        exact = VectorIndex.build(ids, vectors, "exact")
    rng, index = np.random.default_rng(5), store._index
    assert index is not None
    near = vectors[rng.integers(len(ids), size=count)]
    queries = normalise(near + normalise(rng.normal(size=near.shape)))
    found = [index.search(query, 50)[0] for query in queries]
    truth = [exact.search(query, 50)[0] for query in queries]
    recall = np.mean([len(np.intersect1d(a, b)) / 50 for a, b in zip(found, truth, strict=True)])
    print(
        f"exact index built in {building}; recall@50 of the approximate one {recall:.3f}, nprobe {index.index.nprobe}"
    )
    times("vectors approximate, top 50", [lambda q=q: index.search(q, 50) for q in queries])  # type: ignore[misc]
    times("vectors exact, top 50", [lambda q=q: exact.search(q, 50) for q in queries])  # type: ignore[misc]


def change(options: argparse.Namespace) -> None:
    """Delete one item in a hundred, add as many, publish; then the gallery answers, without those that are gone."""
    config = read_config(options.folder)
    assert config
    store = open_store(options.folder, config, write=True)
    assert isinstance(store, EmbeddedStore)
    n = store.count()
    gone = [number for (number,) in store._rows("SELECT id FROM items ORDER BY id LIMIT ?", (n // 100,))]
    with Clock() as deleting:
        store.remove(gone)
    base = time.time_ns()  # items that are not there yet, however often this runs
    joints, vectors = synthetic(n // 100), made_vectors(n // 100, config.dim, seed=11)
    with Clock() as adding:
        for first in range(0, len(joints), BLOCK):
            items = [item(base + first + i, pose) for i, pose in enumerate(joints[first : first + BLOCK])]
            store.put(items, vectors[first : first + BLOCK])
    with Clock() as publishing:
        store.publish()
    print(f"{len(gone):,} deleted in {deleting}, {len(joints):,} added in {adding}, published in {publishing}")
    reader = open_store(options.folder, config)
    hits = reader.search(vectors[0], 10)[0]
    new = {each.id for each in items}
    assert reader.count() == n and hits[0] in new | set(hits.tolist()) and not set(gone) & set(hits.tolist())
    assert not np.isin(gone, reader.poses().ids).any()
    sizes(options.folder)


def load(options: argparse.Namespace) -> None:
    """Many clients on loopback, who wait as long as it takes; any answer but 200 is an error."""
    store = open_store(options.folder, read_config(options.folder))  # type: ignore[arg-type]
    keys = [each.key for each in store.sample(500)]
    store.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, __file__, str(options.folder), "serve", "--port", str(port)])
    try:
        with Clock() as starting:
            for path in ("/healthz", f"/api/search?text={quote('raise the left arm')}&ref={keys[0]}"):
                wait_for(port, path, server)
        print(f"first answer after {starting.wall:.0f} s; server {memory(server.pid)}", flush=True)
        taken: list[float] = []
        begin = cpu_seconds(server.pid)
        seen, stop = [], time.perf_counter() + options.seconds
        threads = [threading.Thread(target=client, args=(port, keys, i, stop, taken)) for i in range(options.clients)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(min(5, options.seconds / 6))
            seen.append(rss(server.pid))
        late = time.perf_counter() - stop
        p50, p99 = np.percentile(taken, (50, 99))
        errors = options.clients - sum(thread.name == "done" for thread in threads)
        print(
            f"{options.clients} clients, {options.seconds:.0f} s: {len(taken):,} answers, {errors} clients with errors"
        )
        spent = (cpu_seconds(server.pid) - begin) / len(taken)
        print(
            f"{len(taken) / (options.seconds + late):.1f} requests/s (the last answer {late:.0f} s after the end),"
            f" p50 {p50:.2f} s, p99 {p99:.2f} s, {1000 * spent:.0f} ms of the server's CPU time each"
        )
        print(f"server in memory, MiB: {', '.join(f'{size:.0f}' for size in seen)}; {memory(server.pid)}")
    finally:
        server.terminate()
        server.wait(30)


def serve(options: argparse.Namespace) -> None:
    """The application that ``autocompose serve`` runs, with any model."""
    import torch
    import uvicorn

    from autocompose.gallery.server.app import create_app

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as uploads:
        app = create_app(opened(options), Path(uploads))
        uvicorn.run(app, port=options.port, access_log=False, log_level="warning")


PARTS = ("left arm", "right arm", "left leg", "right knee", "left hand", "right foot")
VERBS = ("raise", "lower", "bend", "straighten", "move forward", "move back")


def client(port: int, keys: list[str], number: int, stop: float, taken: list[float]) -> None:
    rng, connection = np.random.default_rng(number), http.client.HTTPConnection("127.0.0.1", port, timeout=900)
    while time.perf_counter() < stop:
        text = f"{rng.choice(VERBS)} the {rng.choice(PARTS)} and {rng.choice(VERBS)} the {rng.choice(PARTS)}"
        start = time.perf_counter()
        connection.request("GET", f"/api/search?text={quote(text)}&ref={rng.choice(keys)}&k=24")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or len(json.loads(body)["results"]) != 24:
            print(f"client {number}: {answer.status} {body[:200]!r}", flush=True)
            return
        taken.append(time.perf_counter() - start)
    threading.current_thread().name = "done"


def wait_for(port: int, path: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(1500):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
            connection.request("GET", path)
            assert connection.getresponse().status == 200
            return
        except OSError:
            assert server.poll() is None, "the server has ended"
            time.sleep(0.2)
    raise TimeoutError("the server did not start")


def times(name: str, calls: list[Callable[[], object]]) -> None:
    """Every question once for the first time, then twice more."""

    def clock(call: Callable[[], object]) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)

    first = np.array([clock(call) for call in calls])
    again = np.array([min(clock(call) for _ in range(2)) for call in calls])
    for what, found in (("first time", first), ("again", again)):
        p50, p99 = np.percentile(found[:, 0], [50, 99])
        print(f"{name}, {what}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {np.median(found[:, 1]):.0f} ms CPU", flush=True)


if __name__ == "__main__":
    main()
