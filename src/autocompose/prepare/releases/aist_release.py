"""The annotations of AIST++ (ICCV 2021): names, splits, cameras, and one sequence's arrays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from autocompose.core.errors import InputError
from autocompose.core.files import read_json
from autocompose.core.log import say
from autocompose.core.records import Split
from autocompose.corpus.names import name_fault
from autocompose.prepare.foreign_files import array_of, expect, find_file, positive, read_pickle
from autocompose.prepare.motion.smpl import rotations_of

FPS = 60
VIEWS = tuple(f"c{k:02d}" for k in range(1, 10))
FRAME = (1920, 1080)
EXPECTED = {"mapping": 1408, "train": 868, "val": 70, "test": 470}
"""Sequences in mapping.txt and in the files of the split by subject."""
BAD_VIEWS = {("gBR_sBM_cAll_d04_mBR0_ch01", "c05"), ("gJB_sBM_cAll_d07_mJB3_ch05", "c07")}
"""Not synchronised, and of another size; the authors mask both."""
NAME = re.compile(r"g[A-Z]{2}_s[A-Z]{2}_cAll_d(\d\d)_m[A-Z]{2}\d_ch\d\d")
EXAMPLE = "gBR_sBM_cAll_d04_mBR0_ch01"
FOLDERS = (".", "annotations", "aist_plusplus_final", "aist_plusplus")


@dataclass(frozen=True)
class Camera:
    """One view. World to camera: x = R X + t; the camera looks along its own +z, y points down (OpenCV)."""

    matrix: np.ndarray  # (3, 3)
    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,)
    distortions: np.ndarray  # (k1, k2, p1, p2, k3)

    @property
    def heading(self) -> float:
        """Yaw in degrees of a person in the y-up world who faces this camera."""
        back = -self.rotation[2]
        return float(np.degrees(np.arctan2(back[0], back[2])))

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points ``(..., 3)`` -> pixels ``(..., 2)``, with OpenCV's lens model."""
        local = points @ self.rotation.T + self.translation
        x, y = local[..., 0] / local[..., 2], local[..., 1] / local[..., 2]
        k1, k2, p1, p2, k3 = self.distortions
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        uv: np.ndarray = np.stack([u, v, np.ones_like(u)], -1) @ self.matrix.T
        return uv[..., :2]


@dataclass(frozen=True)
class Sequence:
    """The arrays of one dance, N frames at 60 fps, world y up.

    :param rotations: ``(N, 22, 3)`` local axis-angle.
    :param keypoints3d: ``(N, 17, 3)`` COCO in metres (divided by the body's scale), may hold NaN.
    :param keypoints2d: ``(9, N, 17, 3)`` pixels of the 1920 x 1080 frame and confidence, NaN where nobody was found.
    :param scale: units of the world per metre.
    """

    name: str
    rotations: np.ndarray
    keypoints3d: np.ndarray
    keypoints2d: np.ndarray | None
    scale: float

    def video(self, view: str) -> str:
        """Name of the video file of a view."""
        return self.name.replace("cAll", view) + ".mp4"


@dataclass(frozen=True)
class Annotations:
    """The annotation folder.

    :param splits: split -> sequence names, ignored ones removed.
    :param cameras: sequence -> its nine cameras; empty when the camera files are missing.
    :param official: the splits come from the authors' files.
    """

    root: Path
    splits: dict[Split, list[str]]
    cameras: dict[str, dict[str, Camera]]
    official: bool


def read_annotations(raw: Path) -> Annotations:
    """Read names, splits and cameras.

    :raises InputError: no ``motions`` folder, or files that are not as published.
    """
    root = find_file(raw, "motions", "AIST++ annotations", FOLDERS).parent
    files = [path for path in (root / "motions").iterdir() if path.suffix.lower() == ".pkl"]
    there = {path.stem for path in files if not path.name.startswith(".")}  # a Mac leaves ._NAME.pkl
    odd = sorted(name for name in there if not NAME.fullmatch(name))
    if odd or not there:
        example = odd[0] if odd else "no .pkl files"
        raise InputError(f"{root / 'motions'}: {example}; expected files such as {EXAMPLE}.pkl")
    ignored = {n for f in (root, root / "splits") for n in _lines(f / "ignore_list.txt")}
    splits, official = _splits(root, there)
    kept = {split: [n for n in names if n in there and n not in ignored] for split, names in splits.items()}
    absent = sum(n not in there for names in splits.values() for n in names)
    say(f"AIST++: {len(there):,} sequences, {len(ignored & there):,} of them ignored; {absent:,} of the splits missing")
    return Annotations(root, kept, _cameras(root), official)


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", errors="replace").split() if path.is_file() else []


def _splits(root: Path, there: set[str]) -> tuple[dict[Split, list[str]], bool]:
    """The authors' split by subject, or its rule: dancers whose number is a multiple of 3 are the test."""
    files = {split: root / "splits" / f"pose_{split}.txt" for split in Split}
    if all(path.is_file() for path in files.values()):
        splits = {split: _lines(path) for split, path in files.items()}
        for split, names in splits.items():
            if len(names) != EXPECTED[split.value]:
                say(f"{files[split].name}: {len(names):,} sequences; the published file has {EXPECTED[split.value]:,}")
        return splits, True
    say("AIST++: no splits/pose_*.txt; dancers with a number divisible by 3 become the test split")
    test = {name for name in there if dancer_of(name) % 3 == 0}
    return {Split.TRAIN: sorted(there - test), Split.TEST: sorted(test)}, False


def dancer_of(name: str) -> int:
    """The dancer's number in a sequence name."""
    match = NAME.fullmatch(name)
    if not match:
        raise InputError(f"{name}: not an AIST++ sequence name")
    return int(match[1])


def _cameras(root: Path) -> dict[str, dict[str, Camera]]:
    mapping = _lines(root / "cameras" / "mapping.txt")
    if not mapping:
        say("AIST++: no cameras/mapping.txt; headings are relative to the world")
        return {}
    if len(mapping) != 2 * EXPECTED["mapping"]:
        say(f"mapping.txt: {len(mapping) // 2:,} sequences; the published file has {EXPECTED['mapping']:,}")
    pairs = list(zip(mapping[::2], mapping[1::2], strict=False))
    odd = [name for name, env in pairs if not NAME.fullmatch(name) or name_fault(env)]
    if odd or len(mapping) % 2:
        where = root / "cameras" / "mapping.txt"
        raise InputError(f"{where}: {(odd or mapping)[-1]!r}; expected lines such as {EXAMPLE} setting1")
    settings = {env: _environment(root / "cameras" / f"{env}.json") for env in sorted({env for _, env in pairs})}
    return {name: settings[env] for name, env in pairs}


def _environment(path: Path) -> dict[str, Camera]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of cameras")
    cameras = dict(_camera(entry, f"{path}[{i}]") for i, entry in enumerate(entries))
    missing = [view for view in VIEWS if view not in cameras]
    if missing:
        raise InputError(f"{path}: no camera {missing[0]}; there are {', '.join(map(str, cameras))}")
    return cameras


def _camera(entry: Any, place: str) -> tuple[str, Camera]:
    if not isinstance(entry, dict):
        raise InputError(f"{place}: expected an object, got {type(entry).__name__}")
    expect(entry, ("name", "matrix", "rotation", "translation", "distortions"), place)
    try:
        matrix = np.array(entry["matrix"], float).reshape(3, 3)
        rotation = Rotation.from_rotvec(np.array(entry["rotation"], float).reshape(3)).as_matrix()
        translation = np.array(entry["translation"], float).reshape(3)
        lens = np.array(entry["distortions"], float).reshape(-1)
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: not a camera ({error})") from None
    return str(entry["name"]), Camera(matrix, rotation, translation, np.pad(lens, (0, 5))[:5])


def read_sequence(root: Path, name: str) -> Sequence:
    """The arrays of one sequence.

    :raises InputError: a pickle is missing, damaged, of another shape, or of another length than the rest.
    """
    motion = _read(_pickle(root / "motions", name), ("smpl_poses", "smpl_scaling"))
    points = _read(_pickle(root / "keypoints3d", name), ())
    key = "keypoints3d_optim" if "keypoints3d_optim" in points else "keypoints3d"
    expect(points, (key,), str(root / "keypoints3d" / f"{name}.pkl"))
    rotations = rotations_of(motion["smpl_poses"], "y", f"motions/{name}.pkl")
    scale = positive(motion["smpl_scaling"], f"motions/{name}.pkl: smpl_scaling")
    flat = None
    if (flat_file := _pickle(root / "keypoints2d", name)).exists():
        seen = _read(flat_file, ("keypoints2d",))["keypoints2d"]
        flat = array_of(seen, f"keypoints2d/{name}.pkl")
    keypoints = array_of(points[key], f"keypoints3d/{name}.pkl")
    n = len(rotations)
    if keypoints.shape != (n, 17, 3) or (flat is not None and flat.shape != (len(VIEWS), n, 17, 3)):
        raise InputError(
            f"{name}: {n} frames of motion need keypoints3d ({n}, 17, 3) and keypoints2d (9, {n}, 17, 3),"
            f" got {keypoints.shape} and {None if flat is None else flat.shape}"
        )
    return Sequence(name, rotations, keypoints / scale, flat, scale)


def _pickle(folder: Path, name: str) -> Path:
    """NAME.pkl, or NAME.PKL of a disk that knows capitals only."""
    capitals = folder / f"{name}.PKL"
    return capitals if capitals.exists() else folder / f"{name}.pkl"


def _read(path: Path, keys: Iterable[str]) -> dict[str, Any]:
    value = read_pickle(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a dictionary, got {type(value).__name__}")
    expect(value, tuple(keys), str(path))
    return value
