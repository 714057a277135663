"""Reading weight files: safetensors in half precision, of which the package ships one for each network."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from autocompose.core.errors import CheckpointError
from autocompose.estimate.detector import Detector
from autocompose.estimate.landmarks import SHAPES, LandmarkNet

FOLDER = Path(__file__).with_name("weights")
SHIPPED = FOLDER / "blazepose-full.safetensors"
NETWORK = "network"  # key of the variant in the file's metadata
REMEDY = "expected a file written by runs/convert_blazepose.py; leave the option out to use the shipped weights"


def load_networks(path: Path | None = None) -> tuple[Detector, LandmarkNet]:
    """Detector and landmark network, ready to run in float32.

    :param path: default: the shipped file, ``full``.
    :raises CheckpointError: missing, damaged, or not one of ours.
    """
    path = Path(path or SHIPPED)
    tensors, about = read_tensors(path, REMEDY)
    shape = SHAPES.get(about.get(NETWORK, ""))
    if shape is None:
        raise CheckpointError(f"{path}: not weights for pose estimation; {REMEDY}")
    with torch.device("meta"):
        nets = {"detector": Detector(), "landmarks": LandmarkNet(shape)}
    for prefix, net in nets.items():
        own = {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}
        try:
            net.load_state_dict(own, assign=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise CheckpointError(f"{path}: does not fit the network {about[NETWORK]!r} ({reason}); {REMEDY}") from None
        net.requires_grad_(False).eval().to(memory_format=torch.channels_last)
    return nets["detector"], nets["landmarks"]  # type: ignore[return-value]


def read_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors in float32, and the metadata of a safetensors file.

    :param remedy: what to do about a file that cannot be read.
    :raises CheckpointError: missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: file not found; {remedy}")
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key).float() for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors ({error}); {remedy}") from None
