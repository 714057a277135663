"""Weights of Hugging Face's ``CLIPModel`` under OpenAI's names.

The networks are the same, but queries, keys and values have a matrix each, projections are layers, and names differ.
``config.json`` beside the weights holds what shapes do not show.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autocompose.core.errors import CheckpointError
from autocompose.core.files import read_json

FILES = ("model.safetensors", "pytorch_model.bin")
NAMES = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "logit_scale": "logit_scale",
}
TRANSPOSED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
NORMS = {
    "text_model.final_layer_norm": "ln_final",
    "vision_model.pre_layrnorm": "visual.ln_pre",
    "vision_model.post_layernorm": "visual.ln_post",
}
BLOCKS = {"text_model": "transformer.resblocks", "vision_model": "visual.transformer.resblocks"}
LAYERS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
LAYER = re.compile(r"(text_model|vision_model)\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")


def model_file(folder: Path) -> Path | None:
    """The weights in a downloaded repository of transformers; None: the folder is none.

    :raises CheckpointError: it is one, but of another kind of model, or without weights.
    """
    if (folder / "model.json").exists() or not (folder / "config.json").exists():
        return None
    kind = _config(folder).get("model_type")
    if kind is None:
        return None
    if kind != "clip":
        raise CheckpointError(f"{folder}: a {kind} model of Hugging Face transformers; only CLIPModel can be read")
    for name in FILES:
        if (folder / name).exists():
            return folder / name
    raise CheckpointError(f"{folder}: a CLIPModel of Hugging Face transformers without {' or '.join(FILES)}")


def openai_names(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of a ``CLIPModel`` as OpenAI names and shapes them.

    :raises CheckpointError: not all of an attention layer is there, or a name is not a CLIPModel's.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        if name in NAMES:
            renamed[NAMES[name]] = tensor
        elif name in TRANSPOSED:
            renamed[TRANSPOSED[name]] = tensor.T.contiguous()
        elif stem in NORMS:
            renamed[f"{NORMS[stem]}.{kind}"] = tensor
        elif match := LAYER.fullmatch(name):
            side, number, layer, kind = match.groups()
            block = f"{BLOCKS[side]}.{number}"
            if layer in LAYERS:
                renamed[f"{block}.{LAYERS[layer]}.{kind}"] = tensor
            elif layer == "self_attn.q_proj":
                renamed[f"{block}.attn.in_proj_{kind}"] = _joined(tensors, name, path)
            elif layer not in ("self_attn.k_proj", "self_attn.v_proj"):
                raise _unknown(name, path)
        else:
            raise _unknown(name, path)
    return renamed


def _joined(tensors: dict[str, Tensor], query: str, path: Path) -> Tensor:
    names = [query.replace("q_proj", f"{letter}_proj") for letter in "qkv"]
    lacking = [name for name in names if name not in tensors]
    if lacking:
        raise CheckpointError(f"{path}: a CLIPModel of Hugging Face transformers without {lacking[0]}")
    return torch.cat([tensors[name] for name in names])


def _unknown(name: str, path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: weights of Hugging Face transformers, but not of a CLIPModel ({name})")


def unseen_in_shapes(path: Path) -> dict[str, Any]:
    """Activation and heads from the ``config.json`` beside a weight file; {} without one.

    :return: ``quick_gelu``, ``heads`` (of the text side) and ``head_width`` (of the image side), where they are stated.
    """
    config = _config(path.parent) if (path.parent / "config.json").exists() else {}
    text, vision = (config.get(f"{side}_config") or {} for side in ("text", "vision"))
    if config.get("model_type") != "clip" or not isinstance(text, dict) or not isinstance(vision, dict):
        return {}
    heads, width = vision.get("num_attention_heads", 12), vision.get("hidden_size", 768)  # those are the defaults
    numbers = (text.get("num_attention_heads", 8), heads, width)
    if not all(isinstance(n, int) and n > 0 for n in numbers):
        raise CheckpointError(f"{path.parent / 'config.json'}: num_attention_heads and hidden_size must be numbers")
    quick = vision.get("hidden_act", "quick_gelu") == "quick_gelu"
    return {"quick_gelu": quick, "heads": numbers[0], "head_width": width // heads}


def _config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / "config.json")
    return config if isinstance(config, dict) else {}
