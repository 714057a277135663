"""Damaged files of every kind that the program reads: each is read, or refused with one line.

    python -m benchmarks.fuzz                       20,000 pictures and 2,000 side files of each kind; an hour or so
    python -m benchmarks.fuzz --pictures 500 --files 50 --only pictures csv

Each kind is read in a process of its own, whose processor time and memory are watched from outside: C code that hangs
or crashes is found too, and the process starts again behind that file. Exits 1 on any exception that is not one line
for the user, on a file that takes more than 5 s, and on a process of more than 1 GB. Run it from the repository's root,
with what the extra [dev] brings. Faulty files are kept below --keep, to look at.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import multiprocessing
import os
import pickle
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from autocompose.core.errors import AutocomposeError

SECONDS, WALL, MEMORY = 5.0, 60.0, 1 << 30  # processor time; time on a busy machine; bytes
LONGEST_LINE = 2500
Attempt = tuple[bytes, Callable[[], object]]  # a damaged file, and what reads it
Attempts = Iterator[tuple[Path, Attempt]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--files", type=int, default=2_000, help="side files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "autocompose-fuzz"))
    options = parser.parse_args()
    faults = 0
    for kind in options.only:
        faults += watch(kind, options.pictures if kind == "pictures" else options.files, options.seed, options.keep)
    sys.exit(1 if faults else 0)


def watch(kind: str, number: int, seed: int, keep: Path) -> int:
    """Read ``number`` damaged files of a kind; prints the counts, returns how many were faults."""
    counts: collections.Counter[str] = collections.Counter()
    context, begun, start, peak = multiprocessing.get_context("spawn"), time.monotonic(), 0, 0
    longest = 0.0
    while start < number:
        ours, theirs = context.Pipe(duplex=False)
        reader = context.Process(target=read_all, args=(kind, start, number, seed, keep, theirs))
        reader.start()
        theirs.close()
        used = since = None
        while True:
            if ours.poll(0.2):
                try:
                    start, outcome, seconds, peak_now = ours.recv()
                except EOFError:
                    break
                if outcome:
                    counts[outcome] += 1
                    longest, peak = max(longest, seconds), max(peak, peak_now)
                used, since = processor_time(reader.pid), time.monotonic()
            elif since is not None and (
                (processor_time(reader.pid) or 0) - (used or 0) > SECONDS or time.monotonic() - since > WALL
            ):
                counts["hung"] += 1
                reader.kill()
                break
        reader.join()
        if reader.exitcode not in (0, -9):
            counts[f"died with {reader.exitcode}"] += 1
        start += 1
        if since is None:
            raise SystemExit(f"{kind}: cannot be set up")
    too_large = peak > MEMORY
    print(
        f"{kind}: {sum(counts.values()):,} files in {time.monotonic() - begun:.0f} s: {dict(counts.most_common())}; "
        f"longest {longest:.2f} s of processor time; memory {peak >> 20} MB" + (": too much" if too_large else ""),
        flush=True,
    )
    return sum(n for outcome, n in counts.items() if outcome not in ("read", "refused")) + too_large


def processor_time(pid: int | None) -> float | None:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None


def read_all(kind: str, start: int, number: int, seed: int, keep: Path, pipe: Any) -> None:
    """In the watched process: read files ``start`` to ``number``, and tell of each before and after it."""
    import warnings

    warnings.simplefilter("ignore")
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        make = KINDS[kind](Path(scratch))
        sys.stderr = io.StringIO()
        for i in range(start, number):
            path, (data, read) = make(i, np.random.default_rng([seed, i]))
            path.write_bytes(data)
            pipe.send((i, "", 0.0, 0))
            begun = time.process_time()
            outcome = attempt(read)
            took = time.process_time() - begun
            if took > SECONDS:
                outcome = f"slow: {took:.0f} s"
            if outcome not in ("read", "refused"):
                (keep / f"{kind}-{seed}-{i}{path.suffix}").write_bytes(data)
            pipe.send((i, outcome, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
            if i % 100 == 0:
                sys.stderr.seek(0)
                sys.stderr.truncate()


def attempt(read: Callable[[], object]) -> str:
    try:
        read()
    except AutocomposeError as error:
        line = str(error)
        return "refused" if "\n" not in line and len(line) < LONGEST_LINE else f"not one line: {line[:200]!r}"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {place.filename}:{place.lineno}: {str(error)[:80]}"
    return "read"


# -- one function for each kind: makes the sound files, returns what damages the i-th

Make = Callable[[int, np.random.Generator], tuple[Path, Attempt]]


def pictures(folder: Path) -> Make:
    from tests.corpus.pictures.test_gate import seeds
    from tests.fixtures.odd_pictures import mutations

    from autocompose.corpus.pictures.gate import image_size, open_image
    from autocompose.gallery.server.uploads import decode

    sound, path = seeds(), folder / "x.jpg"

    def make(i: int, rng: np.random.Generator) -> tuple[Path, Attempt]:
        turned = sound[i % len(sound) :] + sound[: i % len(sound)]
        data = next(mutations(turned, 1, int(rng.integers(1 << 60))))
        ways: list[Callable[[], object]] = [
            lambda: open_image(path),
            lambda: open_image(data, side=64),
            lambda: image_size(path),
            lambda: _upload(decode, data),
        ]
        return path, (data, ways[int(rng.integers(len(ways)))])

    return make


def _upload(decode: Callable[[bytes], object], data: bytes) -> None:
    from autocompose.core.errors import InputError

    try:
        decode(data)
    except InputError as error:
        assert error.status in (413, 415)  # type: ignore[attr-defined]
        raise


def csv(folder: Path) -> Make:
    from tests.gallery.test_side_files_fuzz import CSV, RANKS

    from autocompose.evaluate.results import read_ranks

    read = beside_pictures(folder)
    metadata, ranks = folder / "photos/metadata.csv", folder / "ranks.csv"
    whole = [CSV, CSV.decode().encode("utf-16"), CSV.decode().encode("cp1252"), CSV.replace(b",", b";")]
    return texts(
        *((metadata, data, read) for data in whole),
        (ranks, RANKS, lambda: read_ranks(ranks)),
    )


def json(folder: Path) -> Make:
    from tests.fixtures.corpora import make_corpus
    from tests.gallery.fakes import FakeModel
    from tests.gallery.test_side_files_fuzz import BOXES

    from autocompose.corpus.about import About
    from autocompose.corpus.format import load_corpus
    from autocompose.corpus.validate import validate
    from autocompose.gallery.gallery_folder import read_config
    from autocompose.gallery.search import Gallery
    from autocompose.model.checkpoint import Model, load_model, save_model

    read = beside_pictures(folder)
    gallery, run = folder / "g", folder / "run"
    corpus = make_corpus(folder / "corpus").root
    save_model(run, Model(tiny_clip(), tiny_combiner()))

    def open_gallery() -> None:
        if read_config(gallery):
            Gallery.open(gallery, FakeModel()).close()

    files: list[tuple[Path, Callable[[], object]]] = [
        (corpus / "captions/test.json", lambda: validate(load_corpus(corpus))),
        (corpus / "image_splits/test.json", lambda: validate(load_corpus(corpus))),
        (gallery / "gallery.json", open_gallery),
        (run / "model.json", lambda: load_model(run)),
    ]
    (folder / "about.json").write_text('{"name": "x", "sources": ["a"], "shares": []}')
    files.append((folder / "about.json", lambda: About.of(folder)))
    return texts((folder / "photos/boxes.json", BOXES, read), *((p, p.read_bytes(), r) for p, r in files))


def toml(folder: Path) -> Make:
    from tests.gallery.test_side_files_fuzz import TOML

    from autocompose.core.config import read_toml
    from autocompose.train.run_options import merged
    from autocompose.train.runs import CombinerSettings, FinetuneSettings

    path = folder / "x.toml"
    both = (FinetuneSettings, TOML), (CombinerSettings, TOML.replace(b'part = "both"', b"from_sum = true"))
    return texts(*((path, data, lambda kind=kind: merged(kind, read_toml(path), {}, str(path))) for kind, data in both))


def bvh(folder: Path) -> Make:
    from tests.fixtures.bvh import write_dialect
    from tests.fixtures.bvh_dialects import DIALECTS

    from autocompose.prepare.motion import clips

    path, whole = folder / "x.bvh", []
    for dialect in DIALECTS.values():
        write_dialect(path, dialect, frames=6)
        whole.append(path.read_bytes())
    return binaries(*((path, data, lambda: clips._bvh(path, "y")) for data in whole))


def npz(folder: Path) -> Make:
    from tests.fixtures.corpora import make_corpus
    from tests.prepare.test_motion_fuzz import npy, packed, pkl
    from tests.prepare.test_motion_fuzz import npz as amass

    from autocompose.corpus.poses import PoseTable
    from autocompose.prepare.motion.clips import read_joints
    from autocompose.prepare.motion.smpl import read_sequence

    poses, path = folder / "poses.npz", folder / "x.npz"
    table = (make_corpus(folder / "corpus").root / "poses.npz").read_bytes()
    return binaries(
        (poses, table, lambda: PoseTable.load(poses)),
        (poses, npy(folder), lambda: PoseTable.load(poses)),
        (path, amass(folder), lambda: read_sequence(path)),
        (path, packed(folder), lambda: read_joints(path)),
        (folder / "x.pkl", pkl(folder), lambda: read_sequence(folder / "x.pkl")),
    )


def pt(folder: Path) -> Make:
    import torch
    from safetensors.torch import save

    from autocompose.model.weights.foreign_weights import load_combiner, load_encoder

    clip, combiner = tiny_clip().clip.state_dict(), tiny_combiner().state_dict()
    module = torch.jit.script(torch.nn.Linear(3, 3))
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)

    def saved(content: object, **options: Any) -> bytes:
        file = io.BytesIO()
        torch.save(content, file, **options)
        return file.getvalue()

    path, tensors = folder / "x.pt", {name: tensor.contiguous() for name, tensor in clip.items()}
    return binaries(
        (path, saved({"epoch": 1, "CLIP": clip}), lambda: load_encoder(path)),
        (path, saved({"epoch": 1, "CLIP": clip}, _use_new_zipfile_serialization=False), lambda: load_encoder(path)),
        (path, saved({"epoch": np.float64(1), "Combiner": combiner}), lambda: load_combiner(path)),
        (path, saved({"state": combiner}, _use_new_zipfile_serialization=False), lambda: load_combiner(path)),
        (path, save(tensors), lambda: load_encoder(path)),
        (path, buffer.getvalue(), lambda: load_encoder(path)),
        (path, pickle.dumps({"CLIP": {"a": 1}}), lambda: load_encoder(path)),
    )


def tiny_clip() -> Any:
    from autocompose.model.encoder import Encoder, EncoderConfig

    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1}
    return Encoder(EncoderConfig(model={"embed_dim": 8, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}))


def tiny_combiner() -> Any:
    from autocompose.model.combiner import Combiner

    return Combiner(8, 4, 6)


def beside_pictures(folder: Path) -> Callable[[], object]:
    """A folder of two pictures and its gallery; what reads the side files beside the pictures."""
    from tests.fixtures.corpora import picture
    from tests.gallery.fakes import FakeModel

    from autocompose.core.log import Tally
    from autocompose.gallery.indexing.index import build
    from autocompose.gallery.indexing.scan import scan

    root = folder / "photos"
    for i, name in enumerate(("p0.jpg", "sub/p1.jpg")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(i, (40, 30)).save(root / name)
    build(root, FakeModel(), folder / "g")
    return lambda: scan(root, Tally("pictures"))


def texts(*sound: tuple[Path, bytes, Callable[[], object]]) -> Make:
    from tests.fixtures.damage import damaged_text

    return _taking_turns(sound, lambda data, rng: damaged_text(data, random.Random(int(rng.integers(1 << 60)))))


def binaries(*sound: tuple[Path, bytes, Callable[[], object]]) -> Make:
    from tests.fixtures.damage import damaged_bytes

    return _taking_turns(sound, damaged_bytes)


def _taking_turns(
    sound: tuple[tuple[Path, bytes, Callable[[], object]], ...], damaged: Callable[[bytes, np.random.Generator], bytes]
) -> Make:
    """Every file in its turn; the others are sound meanwhile, and those that lie beside pictures are away."""

    def make(i: int, rng: np.random.Generator) -> tuple[Path, Attempt]:
        for path, data, _ in sound:
            if path.parent.name == "photos":
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(data)
        path, data, read = sound[i % len(sound)]
        return path, (damaged(data, rng), read)

    return make


KINDS = {each.__name__: each for each in (pictures, csv, json, toml, bvh, npz, pt)}

if __name__ == "__main__":
    main()
