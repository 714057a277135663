"""Reading tensors from weight files without running any code in them; the content decides what a file is.

Read: safetensors; ``torch.save`` files; TorchScript archives such as OpenAI's CLIP files. Anything else in a file
(options of a training script, numpy numbers, whole modules) is skipped and named.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from autocompose.core.errors import CheckpointError, missing_file
from autocompose.core.log import say
from autocompose.model.weights.stand_ins import StandIn, read_pickled

AGAIN = "download or copy it again"
LONGEST_HEADER = 100_000_000  # of a safetensors file, in bytes, as the format itself says
# files mistaken for weights: first bytes, and the remedy
IMPOSTORS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights: run `git lfs pull`, or download the file itself"),
    (b"\x1f\x8b", "a compressed archive (gzip): unpack it first"),
    (b"BZh", "a compressed archive (bzip2): unpack it first"),
    (b"7z\xbc\xaf", "a compressed archive (7z): unpack it first"),
    (b"\xfd7zXZ", "a compressed archive (xz): unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a compressed archive (zstd): unpack it first"),
    (b"\x89HDF", "an HDF5 file (Keras, TensorFlow): weights of PyTorch are needed"),
    (b"\x93NUMPY", "a numpy array: weights of PyTorch are needed"),
    (b"GGUF", "a GGUF file (llama.cpp): weights of PyTorch are needed"),
)
MODULE_PARTS = ("_parameters", "_buffers", "_modules")  # how a pickled nn.Module names what it holds


def read_archive(path: Path) -> dict[str, Tensor]:
    """All tensors of a weight file.

    :return: name -> tensor; a name is the path to it, such as ``state_dict.visual.proj``. Of a number (``logit_scale``
        as a float) a tensor is made where it is called so.
    :raises CheckpointError: missing, unreadable, damaged, or something else than a weight file; says what.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(str(missing_file(path, "weight file", "check the path, or download the file yourself")))
    try:
        if _holds_safetensors(path):
            return read_safetensors(path)
        return _flat(_read_torch(path))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise CheckpointError(f"{path}: damaged or not a weight file ({_line(error)}); {AGAIN}") from None


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    :raises CheckpointError: truncated, or not a safetensors file; says what it is instead.
    """
    try:
        if not _holds_safetensors(path):
            raise CheckpointError(f"{path}: {_impostor(path) or 'not a safetensors file'}")
        return load_file(path)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{path}: not a complete safetensors file ({_line(error)}); {AGAIN}") from None


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).split(". ")[0]


def _holds_safetensors(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(9)
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER


def _read_torch(path: Path) -> Any:
    """Read a file of ``torch.save`` or ``torch.jit.save``."""
    reason = _impostor(path)
    if reason:
        raise CheckpointError(reason)
    if not _is_torchscript(path):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            pass  # holds more than tensors: see below
    tree, names = read_pickled(path)
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        say(f"{path}: it also contains {', '.join(names[:3])}{more}; skipped, and none of its code was run")
    return tree


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _impostor(path: Path) -> str | None:
    """What a file is if it is not a weight file, or why it cannot be one; None if it may be one."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head:
        return f"the file is empty; {AGAIN}"
    for start, what in IMPOSTORS:
        if head.startswith(start):
            return what
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model: weights of PyTorch are needed"
    if head.startswith(b"PK"):
        return _poor_zip(path)
    if not head.startswith(b"\x80"):  # every pickle that torch writes does
        return _text(head) or f"not a weight file (safetensors, torch.save, TorchScript), or damaged; {AGAIN}"
    return None


def _poor_zip(path: Path) -> str | None:
    if not zipfile.is_zipfile(path):
        return f"the file is cut off; {AGAIN}"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return None
    if any(name.endswith(".npy") for name in names):
        return "arrays of numpy (npz): weights of PyTorch are needed"
    return f"a zip archive without weights ({', '.join(names[:3]) or 'empty'}): unpack it first"


def _text(head: bytes) -> str | None:
    """The kind of a text file in place of weights; None if it is not a text."""
    try:
        text = head.decode("utf-8-sig", "strict" if len(head) < 512 else "ignore").strip()
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    if text.startswith("<"):
        return "a web page, not the weights: the address was wrong, or the download needs a login; download it again"
    start = " ".join(text.split())[:40]
    return f"a text file ({start!r}...), not the weights; download them again"


def _flat(tree: Any) -> dict[str, Tensor]:
    """Tensors of nested dictionaries and stand-ins under dotted names, each container once."""
    tensors: dict[str, Tensor] = {}
    waiting: list[tuple[str, Any]] = [("", tree)]
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Tensor):
            tensors[name] = _checked(name, value)
        elif isinstance(value, (int, float)) and name.rpartition(".")[2] == "logit_scale":
            tensors[name] = torch.tensor(float(value))
        content = value.content if isinstance(value, StandIn) else value
        if isinstance(content, dict) and id(content) not in seen:
            seen.add(id(content))
            inner = [(_joined(name, key), part) for key, part in content.items()]
            waiting += reversed(inner)
    return tensors


def _joined(name: str, key: Any) -> str:
    return name if key in MODULE_PARTS else f"{name}.{key}".lstrip(".")


def _checked(name: str, tensor: Tensor) -> Tensor:
    """A tensor with no more numbers than are stored for it, so that a small file cannot fill the memory."""
    if tensor.layout is not torch.strided:
        raise CheckpointError(f"{name} is not a plain tensor ({tensor.layout})")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise CheckpointError(f"{name} has {tensor.numel():,} numbers, more than the file contains")
    return tensor.detach()
