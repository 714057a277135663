"""BodyCPR-v1: the frozen test part of the benchmark, shipped with the package.

``data/bodycpr_v1.npz`` holds everything that determines the test pictures apart from the renderer: poses, bodies,
clothes, backdrops, light and cameras as values, not as seeds. Every machine renders the pictures from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from pydantic import TypeAdapter

from autocompose.bodies.rendering.appearance import Look, Shot
from autocompose.bodies.rendering.body import Body
from autocompose.core.errors import InputError
from autocompose.core.files import write_npz
from autocompose.core.records import Split
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable

FILE = "bodycpr_v1.npz"
HASH = "b23ac2ac5e05db10c0ea0edf0d26a6075c245f8a76547805423a170d7c08c0e0"  # content_hash of FILE
_LOOKS = TypeAdapter(dict[int, Look])
_SHOTS = TypeAdapter(list[Shot])
_KEPT = ("cube", "body", "mask", "family", "origin", "sequence", "split", "parts")


@dataclass(frozen=True)
class Frozen:
    """The test part as values.

    :param names: N picture names.
    :param rotations: ``(N, 22, 3)`` float32 that float16 can hold, the yaw in the root.
    :param yaw: ``(N,)`` degrees.
    :param columns: further columns of the pose table.
    :param looks: cluster number -> look of its pictures.
    :param shots: N lights and cameras.
    """

    names: tuple[str, ...]
    rotations: np.ndarray
    yaw: np.ndarray
    columns: dict[str, np.ndarray]
    looks: Mapping[int, Look]
    shots: Sequence[Shot]

    def table(self, body: Body) -> PoseTable:
        """The pose table, with joints in metres on the floor."""
        phenotypes = [self.looks[int(number)].phenotype for number in self.columns["body"]]
        joints, coco = body.joints_on_floor(self.rotations, phenotypes)
        columns = {**self.columns, "rotations": self.rotations, "coco": coco}
        return PoseTable(self.names, joints, self.yaw, columns)

    def appearance(self, rows: np.ndarray) -> tuple[Look, tuple[Shot, ...]]:
        """The appearance of rows of one cluster."""
        return self.looks[int(self.columns["body"][rows[0]])], tuple(self.shots[int(row)] for row in rows)


@lru_cache(maxsize=1)
def load() -> Frozen:
    """Read the shipped file.

    :raises InputError: its content is not that of BodyCPR-v1.
    """
    with as_file(files("autocompose.prepare.bodycpr") / "data" / FILE) as path:
        return read(path, HASH)


def read(path: Path, expected: str) -> Frozen:
    """Read a frozen test part and check its content.

    :param expected: ``content_hash`` of the file.
    :raises InputError: missing, damaged, or another content.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}); install the package again") from None
    if content_hash(arrays) != expected:
        raise InputError(f"{path}: not the content of BodyCPR-v1; install the package again")
    looks = _LOOKS.validate_json(arrays["looks"].tobytes())
    shots = _SHOTS.validate_json(arrays["shots"].tobytes())
    columns = {key: arrays[key] for key in _KEPT}
    rotations = arrays["rotations"].astype(np.float32)
    return Frozen(tuple(map(str, arrays["names"])), rotations, arrays["yaw"], columns, looks, shots)


def write(path: Path, table: PoseTable, looks: Mapping[int, Look], shots: Sequence[Shot]) -> str:
    """Freeze the test rows of a table; returns the content hash.

    :param looks: cluster number -> look, of all test clusters.
    :param shots: one for each test row.
    """
    rows = table.columns["split"] == Split.TEST.value
    arrays = {key: table.columns[key][rows] for key in _KEPT}
    arrays["names"] = np.array(table.names)[rows]
    arrays["yaw"] = table.yaw[rows]
    arrays["rotations"] = table.columns["rotations"][rows].astype(np.float16)
    arrays["looks"] = np.frombuffer(_LOOKS.dump_json(dict(looks)), np.uint8)
    arrays["shots"] = np.frombuffer(_SHOTS.dump_json(list(shots)), np.uint8)
    write_npz(path, arrays)
    return content_hash(arrays)


def rounded(rotations: np.ndarray) -> np.ndarray:
    """Rotations in the precision of the frozen file: float32 that float16 can hold (within 0.1 degrees)."""
    return rotations.astype(np.float16).astype(np.float32)


def content_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and values of arrays; the compression does not matter."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def benchmark_hash(corpus: Corpus) -> str:
    """The hash in a metrics file: figures are comparable if it is equal.

    Covers the test part: gallery, pairs with their texts, and the poses behind the pictures. The bank ``mllm`` has a
    hash of its own (``frozen_texts.bank_hashes``), so that figures on the other texts stay comparable with those from
    before it.
    """
    pairs = [
        [p.reference, p.target, list(p.img_set), {k: t for k, t in sorted(p.texts.items()) if k != "mllm"}]
        for p in corpus.split(Split.TEST)
    ]
    gallery = list(corpus.galleries[Split.TEST])
    digest = hashlib.sha256(json.dumps([pairs, gallery], sort_keys=True).encode())
    if corpus.poses is not None and "rotations" in corpus.poses.columns:
        digest.update(corpus.poses.columns["rotations"][corpus.poses.rows(gallery)].astype(np.float16).tobytes())
    return digest.hexdigest()[:16]
