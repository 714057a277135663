"""Reading third-party files: pickles, npz, HDF5 and archives, without ever running code inside them."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import tokenize
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from autocompose.core.errors import DependencyError, InputError
from autocompose.core.reading.arrays import ArrayFile

if TYPE_CHECKING:
    import h5py

# exceptions of numpy, zipfile and h5py on damaged files, as fuzzing showed
_DAMAGED = (
    OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, OverflowError, NotImplementedError, RuntimeError,
    SyntaxError, BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip
LARGEST_PICKLE = 512 << 20  # bytes
_NEW_ARRAY = np.zeros(0).__reduce__()[0]  # numpy's own constructor, whatever its module is called in this version


def read_pickle(path: Path) -> Any:
    """Read a pickle made of numbers, strings, containers and numpy arrays; nothing else is ever called.

    The file of ``numpy.save`` for a dictionary is one too. Keys of the outer dictionary that are bytes become texts.

    :raises InputError: missing, truncated, or it calls anything but numpy's array constructors.
    """
    try:
        if path.stat().st_size > LARGEST_PICKLE:
            raise InputError(f"larger than {LARGEST_PICKLE >> 20} MB; split it")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: file not found") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        start = _after_npy_header(data)
        _check_memo(data[start:])
        value = _ArrayUnpickler(io.BytesIO(data[start:]), encoding="latin1").load()
        if start and isinstance(value, np.ndarray) and value.ndim == 0:
            value = value.item()
        return {_text(key): item for key, item in value.items()} if type(value) is dict else value
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # damage can raise anything
        raise InputError(f"{path}: the pickle is damaged or truncated ({error!s:.150}); download it again") from None


def _text(key: Any) -> Any:
    return key.decode("latin1") if isinstance(key, bytes) else key


def _after_npy_header(data: bytes) -> int:
    """Where the pickle starts in a file that ``numpy.save`` made of a dictionary; 0 in any other."""
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        return 0
    file = io.BytesIO(data)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    if not read[np.lib.format.read_magic(file)[0]](file)[2].hasobject:
        raise InputError("a single array, not a pickle; name it .npy")
    return file.tell()


def _check_memo(data: bytes) -> None:
    """Refuse slots of the unpickler's memory far beyond the file: it allocates up to the highest number."""
    for code, number, _ in pickletools.genops(data):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(number, int) and number > len(data):
            raise pickle.UnpicklingError(f"slot {number:,}")


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
        raise InputError(f"the pickle tries to call {module}.{name}; refused, because only plain numpy data is allowed")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> Any:
    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("not a plain array")
    return _NEW_ARRAY(_PickledArray, (0,), code)  # type: ignore[operator]


class _PickledArray(np.ndarray):
    """An array that refuses to grow beyond the data that the pickle contains for it."""

    def __setstate__(self, state: Any) -> None:
        shape, items = state[1], state[4]
        if isinstance(items, list) and math.prod(shape) != len(items):
            raise pickle.UnpicklingError(f"{len(items)} objects for an array {shape}")
        super().__setstate__(state)


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


def read_npz(
    path: Path, keys: tuple[str, ...], optional: tuple[str, ...] = (), one_of: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """The arrays ``keys``, and ``optional`` and ``one_of`` where there, of an npz file.

    Object arrays (pickles) are refused. Of a file of ``numpy.save``, the array is taken for the first of ``one_of``.

    :raises InputError: missing, truncated, or without one of the keys, or any of ``one_of`` (names those there).
    """
    file = ArrayFile(path)
    if file.single and not keys and one_of:  # numpy.save in place of savez: the one array that matters
        return {one_of[0]: file[""]}
    there = "a single array (numpy.save)" if file.single else ", ".join(sorted(file))
    missing = [key for key in keys if key not in file]
    if missing:
        raise InputError(f"{path}: no array {missing[0]!r}; there are {there:.300}")
    if one_of and not {*one_of} & {*file}:
        raise InputError(f"{path}: no array {' or '.join(one_of)}; there are {there:.300}")
    return {key: file[key] for key in file if key in (*keys, *optional, *one_of)}


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


def hdf5_rows(file: h5py.File, key: str, path: Path) -> int:
    """Rows of a data set.

    :raises InputError: there is none of that name, or the file is damaged.
    """
    try:
        if key in file:
            return len(file[key])
        there = ", ".join(file)
    except _DAMAGED as error:
        raise InputError(f"{path}: {key} cannot be read ({error}); download it again") from None
    raise InputError(f"{path}: no dataset {key!r}; there are {there}")


def hdf5_row(file: h5py.File, key: str, row: int, path: Path) -> Any:
    """One row of a data set.

    :raises InputError: the file is damaged or truncated.
    """
    try:
        return file[key][row]
    except _DAMAGED as error:
        raise InputError(f"{path}: {key}[{row}] cannot be read ({error}); download it again") from None


def find_file(root: Path, name: str, what: str, folders: tuple[str, ...] = (".",)) -> Path:
    """The file ``name`` in one of ``folders`` below ``root``.

    :raises InputError: not there; says which archive to unpack, or that an archive is only half downloaded.
    """
    root = expect_folder(root, f"the folder with {what}")
    for folder in folders:
        if (root / folder / name).exists():
            return root / folder / name
    searched = ", ".join(str(root / folder) for folder in folders)
    raise InputError(f"{name} ({what}) not found in {searched}{archive_hint(root)}")


def expect_folder(root: Path, what: str) -> Path:
    """``root``, when it is a folder.

    :raises InputError: it is a file, such as an archive that is still to be unpacked, or nothing at all.
    """
    root = Path(root)
    if root.is_file():
        hint = "; unpack it and name the folder it becomes" if root.suffix in (".zip", ".tar", ".gz", ".bz2") else ""
        raise InputError(f"{root}: is a file; expected {what}{hint}")
    if not root.is_dir():
        raise InputError(f"{root}: folder not found; expected {what}")
    return root


def archive_hint(root: Path) -> str:
    """Advice on archives in ``root``: '' if there are none."""
    for path in sorted([*root.glob("*.zip"), *root.glob("*.crdownload"), *root.glob("*.zip.part")]):
        try:
            with ZipFile(path) as archive:
                archive.infolist()
        except (BadZipFile, OSError):
            return f"; {path.name} is damaged or only half downloaded: download it again"
        return f"; unpack {path.name} there first (unzip {path.name})"
    tar = next(iter(sorted(root.glob("*.tar*"))), None)
    return f"; unpack {tar.name} there first (tar xf {tar.name})" if tar else ""


def as_texts(value: Any, place: str) -> tuple[str, ...]:
    """Texts that a file gives as one string or as a list of strings; spaces normalised, blank texts dropped.

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


def positive(value: Any, what: str) -> float:
    """The one number in a scalar or an array of one.

    :raises InputError: not a number above 0.
    """
    try:
        number = float(np.asarray(value).reshape(-1)[0])
    except (TypeError, ValueError, IndexError):
        raise InputError(f"{what} = {value!r:.40}, expected a positive number") from None
    if not 0 < number < np.inf:
        raise InputError(f"{what} = {number:g}, expected a positive number")
    return number


def array_of(value: Any, what: str) -> np.ndarray:
    """An array of floats from any numeric value.

    :raises InputError: text, ragged lists or other values that are not numbers.
    """
    try:
        with np.errstate(invalid="ignore"):  # what is not finite is refused where it matters
            return np.asarray(value, float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: expected numbers ({error})") from None
