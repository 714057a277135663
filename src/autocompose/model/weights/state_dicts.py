"""The weights of one network among the tensors of a file, whatever wraps them.

Training scripts save weights under ``state_dict``, ``model_state_dict`` and so on, and wrappers of modules put
``module.``, ``_orig_mod.``, ``model.`` before or into their names. A network is found by the name of one tensor that it
must have: whatever stands before that name is the wrapping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from autocompose.core.errors import CheckpointError
from autocompose.core.log import say

WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_forward_module", "_checkpoint_wrapped_module"}
USUAL = ("state_dict", "model_state_dict", "model")  # where of several sets of weights the main one is


@dataclass(frozen=True)
class Network:
    """The marks by which a network's weights are recognised.

    :param name: for messages. :param key: where the paper's scripts put them. :param marks: tensors of which it must
        have one. :param parts: first words of the names of all its tensors.
    :param constants: last words of tensors in some files that are not weights.
    """

    name: str
    key: str
    marks: tuple[str, ...]
    parts: tuple[str, ...]
    constants: tuple[str, ...] = ()


CLIP = Network(
    "CLIP",
    "CLIP",
    ("visual.conv1.weight", "token_embedding.weight"),
    (
        "visual",
        "transformer",
        "token_embedding",
        "positional_embedding",
        "ln_final",
        "text_projection",
        "logit_scale",
        "logit_bias",
        "text",
    ),
    ("input_resolution", "context_length", "vocab_size", "attn_mask"),
)
HUGGING_FACE = Network(
    "CLIP of Hugging Face transformers",
    "CLIP",
    ("vision_model.embeddings.patch_embedding.weight", "text_model.embeddings.token_embedding.weight"),
    ("vision_model", "text_model", "visual_projection", "text_projection", "logit_scale"),
    ("position_ids",),
)
COMBINER = Network(
    "Combiner",
    "Combiner",
    ("combiner_layer.weight", "text_projection_layer.weight"),
    ("text_projection_layer", "image_projection_layer", "combiner_layer", "output_layer", "dynamic_scalar"),
)


@dataclass(frozen=True)
class Weights:
    """The tensors of a network under its own names; ``place``: what stood before them in the file."""

    tensors: dict[str, Tensor]
    place: str


def weights_of(tensors: dict[str, Tensor], network: Network, path: Path) -> Weights | None:
    """Find a network's weights.

    :param tensors: as ``read_archive`` gives them.
    :return: None: there are none.
    :raises CheckpointError: there are several, and none stands in a usual place.
    """
    bare = {".".join(part for part in name.split(".") if part not in WRAPPERS): t for name, t in tensors.items()}
    places = _places(bare, network)
    if not places:
        return None
    place = next((usual for usual in (network.key, *USUAL, "") if usual in places), places[0])
    if len(places) > 1:
        named = ", ".join(repr(p) for p in places)
        if place not in (network.key, *USUAL, ""):
            raise CheckpointError(f"{path}: holds several {network.name}s, under {named}; save the one to use alone")
        say(f"{path}: of the weights under {named} those under {place!r} are used")
    start = f"{place}." if place else ""
    inner = {name.removeprefix(start): t for name, t in bare.items() if name.startswith(start)}
    inner = {name: t for name, t in inner.items() if name.rpartition(".")[2] not in network.constants}
    own = {name: t for name, t in inner.items() if name.partition(".")[0] in network.parts}
    others = [name for name in inner if name not in own]
    if others and len(places) == 1:
        say(f"{path}: {len(others):,} tensors do not belong to the {network.name} and are skipped (first: {others[0]})")
    return Weights(own, place)


def _places(names: Sequence[str] | dict[str, Tensor], network: Network) -> list[str]:
    """The prefixes of the names that end in a mark of the network, in file order."""
    for mark in network.marks:
        prefixes = [name.removesuffix(mark).rstrip(".") for name in names if f".{name}".endswith(f".{mark}")]
        if prefixes:
            return list(dict.fromkeys(prefixes))
    return []
