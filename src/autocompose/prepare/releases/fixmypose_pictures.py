"""The pictures of FixMyPose: PNG files anywhere below a folder, or the HDF5 pixel arrays of the authors' loaders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from autocompose.core.errors import ImageError, InputError
from autocompose.core.files import atomic_file
from autocompose.core.log import say, track
from autocompose.corpus.pictures.transforms import open_image
from autocompose.prepare.adapter import place
from autocompose.prepare.foreign_files import archive_hint, hdf5_row, hdf5_rows, open_hdf5


class HasPictures(Protocol):
    """What this module needs to know of an item."""

    @property
    def file(self) -> str: ...
    @property
    def row(self) -> int: ...
    @property
    def pictures(self) -> dict[str, str]: ...


def place_pictures(items: Sequence[HasPictures], root: Path, images: Path) -> set[str]:
    """Put the pictures of ``items`` into ``images``; PNG files win over HDF5 arrays.

    :return: the names that are there and open.
    :raises InputError: no picture at all, PNG files of one name in two folders, HDF5 arrays that do not fit the JSON.
    """
    wanted = dict.fromkeys(name for item in items for name in item.pictures.values())
    files = _png_files(root)
    there = _place_files([n for n in wanted if n in files], files, images)
    for stem in dict.fromkeys(item.file for item in items):
        left = [item for item in items if item.file == stem and not there.issuperset(item.pictures.values())]
        path = next(iter(sorted(root.rglob(f"{stem}_pixels.hdf5"))), None)
        if left and path is not None:
            there |= _unpack(path, left, {i.row for i in items if i.file == stem}, images, there)
    if not there:
        raise InputError(
            f"{root}: neither PNG files (such as {next(iter(wanted), 'current_*.png')}) nor *_pixels.hdf5 below it;"
            f" get one of the two picture archives that the FixMyPose README links{archive_hint(root)}"
        )
    return there


def _png_files(root: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(root.rglob("*.png")):
        other = files.setdefault(path.name, path)
        if other is not path:
            raise InputError(
                f"{path.name} lies in {other.parent} and in {path.parent}; name one folder with --picture-folder"
            )
    return files


def _place_files(names: list[str], files: dict[str, Path], images: Path) -> set[str]:
    there = set()
    for name in track(names, "pictures"):
        try:
            open_image(files[name])
        except ImageError as error:
            say(str(error))
            continue
        place(files[name], images / name)
        there.add(name)
    return there


def _unpack(path: Path, items: list[HasPictures], rows: set[int], images: Path, there: set[str]) -> set[str]:
    placed: set[str] = set()
    with open_hdf5(path) as file:
        for key in items[0].pictures:
            count = hdf5_rows(file, key, path)
            if count <= max(rows):
                raise InputError(
                    f"{path}: {key} has {count:,} rows, but the JSON file has item {max(rows):,};"
                    " the two files do not belong together, or the download is incomplete"
                )
        for item in track(items, f"pictures of {path.name}"):
            for key, name in item.pictures.items():
                if name in there or name in placed:
                    continue
                if not (images / name).exists():
                    _write_png(images / name, as_rgb(hdf5_row(file, key, item.row, path), f"{path}: {key}[{item.row}]"))
                placed.add(name)
    return placed


def as_rgb(pixels: np.ndarray, place_name: str) -> np.ndarray:
    """``(H, W, 3)`` uint8 from either axis order, from bytes or from floats in 0..1.

    :raises InputError: another shape or range; says which.
    """
    if pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.shape[2] != 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(f"{place_name}: expected pixels (H, W, 3) or (3, H, W), got {pixels.shape}")
    if pixels.dtype == np.uint8:
        return pixels
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite([low, high]).all() and low >= 0 and high <= 255):
        raise InputError(
            f"{place_name}: {pixels.dtype} values {low:.3g}..{high:.3g} are no picture (0..1 or 0..255); if they were"
            " normalised for a network, use the PNG archive instead"
        )
    return (pixels * (255 if high <= 1 else 1)).round().astype(np.uint8)


def _write_png(path: Path, pixels: np.ndarray) -> None:
    with atomic_file(path) as file:
        Image.fromarray(pixels).save(file, "PNG")
