"""Reading other people's files: pickles, npz, HDF5 and archives, without ever running what is inside them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from autocompose.core.errors import DependencyError, InputError

if TYPE_CHECKING:
    import h5py

_NEW_ARRAY = np.zeros(0).__reduce__()[0]  # numpy's own constructor, whatever its module is called in this version


def read_pickle(path: Path) -> Any:
    """Read a pickle made of numbers, strings, containers and numpy arrays; nothing else is ever called.

    :raises InputError: missing, truncated, or it wants to run anything but numpy's array constructors.
    """
    try:
        with open(path, "rb") as file:
            return _ArrayUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise InputError(f"{path}: file not found") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise InputError(f"{path}: the pickle is damaged or truncated ({error}); download it again") from None
    except (OSError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        numpy_module = module.removeprefix("numpy.").removeprefix("_").removeprefix("core.")
        allowed: dict[tuple[str, str], Callable[..., Any] | type] = {
            ("multiarray", "_reconstruct"): _empty_array,
            ("multiarray", "scalar"): _scalar,
            ("numeric", "_frombuffer"): _from_buffer,
        }
        if module.startswith("numpy") and (numpy_module, name) in allowed:
            return allowed[numpy_module, name]
        named = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _encode,
            ("__builtin__", "bytes"): _no_bytes,
            ("builtins", "bytes"): _no_bytes,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if (module, name) in named:
            return named[module, name]
        raise InputError(f"the pickle wants to call {module}.{name}; refused, only plain numpy data are read")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> Any:
    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("not a plain array")
    return _NEW_ARRAY(kind, (0,), code)  # type: ignore[operator]


def _scalar(dtype: np.dtype, data: Any = b"") -> Any:
    if dtype.hasobject:
        raise pickle.UnpicklingError("object scalar")
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype)[0]


def _from_buffer(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order="F" if order == "F" else "C")


def _no_bytes() -> bytes:  # how old protocols spell b""
    return b""


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {encoding}")
    return text.encode("latin1")


def read_npz(path: Path, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays ``keys``, and ``optional`` where there, of an npz file; object arrays (pickles) are refused.

    :raises InputError: missing, truncated, or without one of the keys (names those that are there).
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise InputError(f"{path}: expected an npz archive, got a single array")
            missing = [key for key in keys if key not in file.files]
            if missing:
                raise InputError(f"{path}: no array {missing[0]!r}; there are {', '.join(sorted(file.files))}")
            return {key: file[key] for key in file.files if key in keys or key in optional}
    except FileNotFoundError:
        raise InputError(f"{path}: file not found") from None
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        raise InputError(f"{path}: damaged, truncated, or not an npz of plain arrays ({error})") from None


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    :raises InputError: missing, truncated or not HDF5. DependencyError: no h5py.
    """
    try:
        import h5py
    except ImportError:
        raise DependencyError("h5py", "datasets", "reading HDF5 files") from None
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise InputError(f"{path}: file not found") from None
    except OSError as error:
        raise InputError(f"{path}: damaged, truncated or not HDF5 ({error}); download it again") from None
    with file:
        yield file


def find_file(root: Path, name: str, what: str, folders: tuple[str, ...] = (".",)) -> Path:
    """The file ``name`` in one of ``folders`` below ``root``.

    :raises InputError: not there; says which archive to unpack, or that an archive is only half downloaded.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: folder not found; expected the folder with {what}")
    for folder in folders:
        if (root / folder / name).exists():
            return root / folder / name
    searched = ", ".join(str(root / folder) for folder in folders)
    raise InputError(f"{name} ({what}) not found in {searched}{archive_hint(root)}")


def archive_hint(root: Path) -> str:
    """What to do about zip archives that lie in ``root``: '' if there are none."""
    for path in sorted([*root.glob("*.zip"), *root.glob("*.crdownload"), *root.glob("*.zip.part")]):
        try:
            with ZipFile(path) as archive:
                archive.infolist()
        except (BadZipFile, OSError):
            return f"; {path.name} is damaged or only half downloaded: download it again"
        return f"; unpack {path.name} there first (unzip {path.name})"
    return ""


def as_texts(value: Any, place: str) -> tuple[str, ...]:
    """Texts that a file gives as one string or as a list of strings; spaces tidied, blank ones left out.

    :raises InputError: neither a string nor a list of strings.
    """
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise InputError(f"{place}: expected a text or a list of texts, got {type(value).__name__}")
    return tuple(tidy for v in values if (tidy := " ".join(v.split())))


def base_name(path: str) -> str:
    """The last part of a path of either kind of slash."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def expect(value: Mapping[str, Any], keys: tuple[str, ...], place: str) -> None:
    """Check that a record has the keys.

    :raises InputError: names the missing key and what is there.
    """
    missing = [key for key in keys if key not in value]
    if missing:
        raise InputError(f"{place}: no key {missing[0]!r}; there are {', '.join(map(str, value))}")
