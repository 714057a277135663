"""Symbolic search in large galleries: poses as memory-mapped arrays, a rough score of all, an exact one of the best.

A folder holds ``poses.npy`` (N, 22, 4: x, y, z and uncertainty in metres), ``coordinates.npy`` (F, N: what is compared
of a pose, see ``pose_coordinates``), ``normalised.npy`` (22, 3, N: joints as ``audit.measure`` measures them, column by
column), all float32, and ``poses.json``, written last, which says what they were made from. Features that are not among
the coordinates are measured on the normalised joints when a text first asks for them, and kept.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np

from autocompose.core.errors import StorageError
from autocompose.core.files import read_json, write_json
from autocompose.describe.audit.measure import Feature, Poses
from autocompose.evaluate.measured import Measured
from autocompose.evaluate.pose_coordinates import COLUMN, FEATURES, UNITS
from autocompose.evaluate.pose_scan import Scan
from autocompose.evaluate.symbolic import PoseQuery

FORMAT = 2
DEPTH = 4_000  # candidates that are scored exactly
BLOCK = 32_768  # poses measured at a time
SCANNED = 131_072  # poses looked through at a time: few calls, and what they pass on stays in the cache
KEPT_COLUMNS = 32  # measured features, 4 bytes a pose each
SAMPLE = 10_000  # poses that tell where the best begin
ORDERED = 2000  # of these, what tells which coordinates differ most
LIKELY = 10  # so many of the sample must be among the candidates, else all poses are
THREADS = min(4, os.cpu_count() or 1)
ARRAYS = ("poses.npy", "coordinates.npy", "normalised.npy")
ABOUT = "poses.json"
FILES = (*ARRAYS, ABOUT)
Columns = Mapping[Feature, np.ndarray]


class PoseIndex:
    """N poses that texts are scored on; threads may share it.

    :param poses: ``(N, 22, 4)`` float32 joints and their uncertainty (0 = known), metres.
    :param coordinates: ``(F, N)`` float32; ``normalised``: ``(22, 3, N)`` float32.
    """

    def __init__(self, poses: np.ndarray, coordinates: np.ndarray, normalised: np.ndarray) -> None:
        self.poses, self.coordinates, self.normalised = poses, np.asarray(coordinates), normalised
        self._some = _spread_rows(len(poses))
        self._sample = self.coordinates[:, self._some]
        self.variances = np.zeros(len(FEATURES), np.float32)
        if poses[self._some, :, 3].any():
            self.variances = self._measured_rows(self._some).coordinate_variances.mean(0)
        self._columns: OrderedDict[Feature, np.ndarray] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.poses)

    @classmethod
    def of(cls, joints: np.ndarray, uncertainty: np.ndarray | None = None) -> PoseIndex:
        """In memory: joints ``(N, 22, 3)`` and uncertainty ``(N, 22)``, metres."""
        arrays = tuple(np.empty(shape, np.float32) for shape in _shapes(len(joints)))
        _fill(arrays, joints, uncertainty)
        return cls(*arrays)

    @classmethod
    def write(cls, folder: Path, joints: np.ndarray, uncertainty: np.ndarray | None, made_from: str) -> PoseIndex:
        """Write the files, block by block, and open them.

        :param joints, uncertainty: as in ``of``; may be memory-mapped.
        :param made_from: names the state of what the poses came from, such as a version.
        :raises OSError: no room for them, or the folder cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)
        arrays = tuple(_new_file(folder / n, shape) for n, shape in zip(ARRAYS, _shapes(len(joints)), strict=True))
        _fill(arrays, joints, uncertainty)
        for array in arrays:
            array.flush()
        write_json(folder / ABOUT, {"format": FORMAT, "made_from": made_from, "count": len(joints)})
        written = cls.open(folder, made_from)
        assert written is not None, "it was written just now"
        return written

    @classmethod
    def open(cls, folder: Path, made_from: str) -> PoseIndex | None:
        """Map the files; None when they are missing, unfinished, or made from something else.

        :raises StorageError: a file cannot be read.
        """
        folder = Path(folder)
        if not (folder / ABOUT).exists():
            return None
        about = read_json(folder / ABOUT)
        if not isinstance(about, dict) or (about.get("format"), about.get("made_from")) != (FORMAT, made_from):
            return None
        try:
            arrays = tuple(np.load(folder / name, mmap_mode="r") for name in ARRAYS)
        except (OSError, ValueError) as error:
            raise StorageError(f"{folder}: the poses cannot be read ({error}); delete {', '.join(FILES)}") from None
        return cls(*arrays) if tuple(array.shape for array in arrays) == _shapes(about.get("count", 0)) else None

    def search(
        self, query: PoseQuery, k: int, allowed: np.ndarray | None = None, depth: int = DEPTH
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best rows and their exact scores, best first; ties in the order of rows.

        :param allowed: ``(N,)`` bool: rows that may be found; None = all.
        :param depth: candidates of the rough score that are scored exactly.
        """
        rows = self.candidates(query, max(depth, k), allowed)
        scores = self.scores(query, rows)
        order = np.argsort(-scores, kind="stable")[:k]
        return rows[order], scores[order]

    def candidates(self, query: PoseQuery, depth: int = DEPTH, allowed: np.ndarray | None = None) -> np.ndarray:
        """About ``depth`` rows, in order, among which the best are; all rows of a gallery that is not larger."""
        allowed = np.ones(len(self), bool) if allowed is None else allowed
        count = np.count_nonzero(allowed)
        if count <= depth:
            return np.flatnonzero(allowed)
        scan = Scan.of(query, self.variances)
        columns = self._measured_columns([feature for feature in scan.features if feature not in COLUMN])
        rows, costs = self._best(scan, columns, allowed, depth / count)
        if len(rows) > 2 * depth:  # many poses of equal cost
            rows = np.sort(rows[np.argpartition(costs, depth)[:depth]])
        return rows

    def _best(self, scan: Scan, columns: Columns, allowed: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows and rough costs of about the given share of the allowed poses, the best ones."""
        limit, order = self._limit(scan, columns, allowed, share)

        def within(block: slice) -> tuple[np.ndarray, np.ndarray]:
            def column(feature: Feature) -> np.ndarray:
                return self._values(feature, columns, block)

            rows = np.flatnonzero(scan.possible(limit, column, allowed[block]))
            rows, costs = scan.within(limit, order, self.coordinates[:, block], column, rows)
            return rows + block.start, costs

        parts = [within(block) for block in _blocks(len(self), SCANNED)]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([costs for _, costs in parts])

    def _limit(self, scan: Scan, columns: Columns, allowed: np.ndarray, share: float) -> tuple[float, list[int]]:
        """The rough cost that a share of the allowed poses has at most, and the order to add up coordinates in."""
        chosen = np.flatnonzero(allowed[self._some])
        rows, sample = self._some[chosen], self._sample[:, chosen]
        order = scan.order(sample[:, :ORDERED])
        if len(rows) < LIKELY / share:
            return np.inf, order
        return float(np.quantile(scan.costs(sample, lambda f: self._values(f, columns, rows)), share)), order

    def _values(self, feature: Feature, columns: Columns, rows: slice | np.ndarray) -> np.ndarray:
        """``(R,)`` metres or degrees, unknown ones 0."""
        if feature not in COLUMN:
            return columns[feature][rows]
        values = self.coordinates[COLUMN[feature], rows]
        return values if feature[0] == "coordinate" else _known(values) * UNITS[COLUMN[feature]]

    def scores(self, query: PoseQuery, rows: np.ndarray) -> np.ndarray:
        """``(R,)`` exact scores of some rows."""
        return query.scores(self._measured_rows(rows))

    def _measured_rows(self, rows: np.ndarray | slice) -> Measured:
        poses = self.poses[rows]
        return Measured.of(poses[..., :3], poses[..., 3])

    def _measured_columns(self, features: list[Feature]) -> dict[Feature, np.ndarray]:
        """``(N,)`` of features that are not compared, all unknown ones in one pass; zeros when the data lack one."""
        with self._lock:
            columns = {feature: self._columns[feature] for feature in features if feature in self._columns}
        missing = {f: np.zeros(len(self), np.float32) for f in features if f not in columns}

        def fill(block: slice) -> None:
            poses = Poses.of_normalised(self.normalised[..., block].transpose(2, 0, 1))
            for feature, values in missing.items():
                measured = poses.feature(feature)
                values[block] = 0 if measured is None else _known(measured)

        if missing:
            _in_threads(fill, len(self))
        columns |= missing
        with self._lock:
            for feature, values in columns.items():
                self._columns[feature] = values
                self._columns.move_to_end(feature)
            while len(self._columns) > KEPT_COLUMNS:
                self._columns.popitem(last=False)
        return columns


def _new_file(path: Path, shape: tuple[int, ...]) -> np.memmap:
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if hasattr(os, "posix_fallocate"):  # a disk that is full now is an error; later, it would kill the process
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _shapes(n: int) -> tuple[tuple[int, ...], ...]:
    """Of the three arrays of N poses."""
    return (n, 22, 4), (len(FEATURES), n), (22, 3, n)


def _fill(arrays: Sequence[np.ndarray], joints: np.ndarray, uncertainty: np.ndarray | None) -> None:
    """Compute the arrays, block by block."""
    poses, coordinates, normalised = arrays

    def fill(block: slice) -> None:
        poses[block, :, :3] = joints[block]
        poses[block, :, 3] = 0 if uncertainty is None else uncertainty[block]
        measured = Measured(Poses(poses[block, :, :3]))
        coordinates[:, block] = measured.coordinates.T
        normalised[..., block] = measured.poses.joints.transpose(1, 2, 0)  # type: ignore[union-attr]  # of a Poses

    _in_threads(fill, len(joints))


def _spread_rows(n: int) -> np.ndarray:
    """Rows of a sample, drawn: a filter may have to do with the order of the rows."""
    if n <= SAMPLE:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, SAMPLE, replace=False))


def _known(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), np.float32(0), values)


def _blocks(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(n, start + size)) for start in range(0, n, size))


def _in_threads(work: Callable[[slice], None], n: int) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, _blocks(n, BLOCK)))
