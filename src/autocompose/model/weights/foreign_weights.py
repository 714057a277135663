"""Weights of others: the paper's ``tuned_clip_N.pt`` and ``combiner_N.pt``, OpenAI's CLIP files, plain state dicts,
checkpoints of training scripts, and Hugging Face's ``CLIPModel``.

Such files hold tensors only. The architecture follows from their shapes; what shapes cannot tell is a convention:
QuickGELU, and one attention head for each 64 channels.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autocompose.core.errors import CheckpointError, InputError
from autocompose.core.files import atomic_file
from autocompose.model.bundled import model_folder
from autocompose.model.checkpoint import fit, load_model
from autocompose.model.combiner import Combiner
from autocompose.model.encoder import OPENAI_NAMES, VOCABULARY, Encoder, EncoderConfig
from autocompose.model.model import Model
from autocompose.model.weights.hugging_face import model_file, openai_names, unseen_in_shapes
from autocompose.model.weights.state_dicts import CLIP, COMBINER, HUGGING_FACE, Network, weights_of
from autocompose.model.weights.weight_files import read_archive

HEAD = 64


def load_encoder(path: Path, wanted: EncoderConfig | None = None, weights_fp16: bool = False) -> Encoder:
    """An encoder from a run folder, a weight file, or a downloaded repository of Hugging Face transformers.

    :param wanted: the configuration of the flags. A folder or file that contradicts it is an error. A file does not
        contain its transform, so ``wanted`` decides; without ``wanted`` it is that of ``EncoderConfig``.
    :param weights_fp16: round as ``round_to_fp16`` does.
    :raises CheckpointError: unreadable, not CLIP weights, or different from ``wanted``; lists the differences.
    """
    path = _own_folder(model_folder(path))
    file = model_file(path) if path.is_dir() else path
    if file is None:
        encoder = load_model(path).encoder
        if wanted is not None:
            check_same(encoder.config, wanted, str(path))
    else:
        encoder = _encoder_from_file(file, wanted)
    return round_to_fp16(encoder) if weights_fp16 else encoder


def _own_folder(path: Path) -> Path:
    """The run folder, where its weights are named instead of it: only ``model.json`` says what they belong to."""
    own = path.name == "model.safetensors" and path.with_name("model.json").exists()
    return path.parent if own else path


def _encoder_from_file(path: Path, wanted: EncoderConfig | None) -> Encoder:
    tensors = read_archive(path)
    theirs = weights_of(tensors, HUGGING_FACE, path)
    stated: dict[str, Any] = {}
    if theirs is not None:
        state, origin = openai_names(theirs.tensors, path), f"{path} (CLIPModel of Hugging Face transformers)"
        stated, marked = unseen_in_shapes(path), False
    else:
        weights = weights_of(tensors, CLIP, path)
        if weights is None:
            raise CheckpointError(_nothing_of(CLIP, tensors, path))
        state, origin = weights.tensors, str(path)
        marked = weights.place == CLIP.key  # the paper's files use QuickGELU; for others, the flags decide
    config = config_of(state, origin, stated)
    if wanted is not None:
        update = {"transform": wanted.transform, "target_ratio": wanted.target_ratio}
        config = config.model_copy(update=update)
        known = marked or bool(stated)
        check_same(config, wanted if known else _with_activation(wanted, True), origin)
        config = config if known else wanted
    return fit_clip(Encoder(config), state, origin)


def _nothing_of(network: Network, tensors: dict[str, Tensor], path: Path) -> str:
    there = f"it holds {', '.join(list(tensors)[:3])} ..." if tensors else "it holds no tensors with names"
    return f"{path}: no weights of a {network.name}: none is called {network.marks[0]}; {there}"


def fit_clip(encoder: Encoder, state: dict[str, Tensor], origin: str) -> Encoder:
    """Load weights into an encoder and put it into eval mode."""
    fit(encoder.clip, state, origin)
    return encoder.eval()


def _with_activation(config: EncoderConfig, quick_gelu: bool) -> EncoderConfig:
    return config.model_copy(update={"quick_gelu": quick_gelu})


def load_combiner(path: Path, dim: int | None = None, sizes: tuple[int, int] | None = None) -> Combiner:
    """A Combiner from a run folder or a ``combiner_N.pt``.

    :param dim: feature size of the encoder that it must fit.
    :param sizes: (projection, hidden) that the flags say.
    :raises CheckpointError: unreadable, no Combiner, or of other sizes; says which.
    """
    path = _own_folder(model_folder(path))
    if path.is_dir():
        composer = load_model(path).composer
        if not isinstance(composer, Combiner):
            raise CheckpointError(f"{path}: holds an element-wise sum, not a Combiner; name the folder of stage 2")
        combiner = composer
    else:
        tensors = read_archive(path)
        weights = weights_of(tensors, COMBINER, path)
        state = weights.tensors if weights is not None else {}
        if not state.keys() >= set(COMBINER.marks):
            raise CheckpointError(_nothing_of(COMBINER, tensors, path))
        projection, width = state["text_projection_layer.weight"].shape
        combiner = Combiner(width, projection, state["combiner_layer.weight"].shape[0])
        fit(combiner, state, str(path))
    own = (combiner.projection_dim, combiner.hidden_dim)
    if sizes is not None and own != tuple(sizes):
        raise CheckpointError(f"{path}: projection and hidden size are {own}, the flags say {tuple(sizes)}")
    if dim is not None and combiner.dim != dim:
        raise CheckpointError(f"{path}: made for features of size {combiner.dim}, but the encoder's have size {dim}")
    return combiner.eval()


def config_of(state: dict[str, Tensor], origin: str, stated: dict[str, Any] | None = None) -> EncoderConfig:
    """The architecture that tensors of these shapes belong to, by name where it is one of OpenAI's.

    :param stated: activation and heads where known, as from ``hugging_face.unseen_in_shapes``.
    :raises CheckpointError: not the tensors of a CLIP.
    """
    try:
        values = _model_of(state, stated or {})
    except KeyError as error:
        raise CheckpointError(f"{origin}: not all weights of a CLIP ({error} is missing)") from None
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"{origin}: not the weights of a CLIP, by their shapes ({error})") from None
    for name in OPENAI_NAMES:
        known = EncoderConfig(arch=name)
        if _essence(known.open_clip_config()) == _essence(values):
            return known
    return EncoderConfig(model=values)


def _model_of(state: dict[str, Tensor], stated: dict[str, Any]) -> dict[str, Any]:
    """The open_clip configuration behind tensor shapes."""
    if "visual.proj" in state:
        width, _, patch, _ = state["visual.conv1.weight"].shape
        grid = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
        vision = {"image_size": patch * grid, "layers": _count(state, r"visual\.transformer\.resblocks\.(\d+)\.")}
        vision |= {"width": width, "patch_size": patch}
        if stated.get("head_width", HEAD) != HEAD:
            vision["head_width"] = stated["head_width"]
    else:
        grid = round((len(state["visual.attnpool.positional_embedding"]) - 1) ** 0.5)
        layers = [_count(state, rf"visual\.layer{i}\.(\d+)\.") for i in (1, 2, 3, 4)]
        vision = {"image_size": 32 * grid, "layers": layers, "width": len(state["visual.layer1.0.conv1.weight"])}
    text_width = len(state["ln_final.weight"])
    text = {
        "context_length": len(state["positional_embedding"]),
        "vocab_size": len(state["token_embedding.weight"]),
        "width": text_width,
        "heads": stated.get("heads", max(1, text_width // HEAD)),
        "layers": _count(state, r"transformer\.resblocks\.(\d+)\."),
    }
    quick = stated.get("quick_gelu", True)
    return {"embed_dim": state["text_projection"].shape[1], "quick_gelu": quick, "vision_cfg": vision, "text_cfg": text}


def _count(state: dict[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})


def _essence(model: dict[str, Any]) -> dict[str, Any]:
    """The settings on which weights and activation depend, flat and comparable."""
    vision, text = model["vision_cfg"], model["text_cfg"]
    return {
        "feature size": model["embed_dim"],
        "activation": "QuickGELU" if model.get("quick_gelu") else "GELU",
        "image size": vision.get("image_size", 224),
        "vision layers": tuple(vision["layers"])
        if isinstance(vision.get("layers"), (list, tuple))
        else vision.get("layers"),
        "vision width": vision.get("width"),
        "patch size": vision.get("patch_size"),
        "vision head width": vision.get("head_width", HEAD),
        "joint pool": vision.get("joint_pool"),
        "text width": text["width"],
        "text layers": text["layers"],
        "text heads": text["heads"],
        "vocabulary": text.get("vocab_size", VOCABULARY),
        "context length": text.get("context_length", 77),
    }


def check_same(actual: EncoderConfig, wanted: EncoderConfig, origin: str) -> None:
    """Compare the configuration of a checkpoint with the flags.

    :raises CheckpointError: lists every difference as (checkpoint, flags).
    """
    has, expected = _described(actual), _described(wanted)
    if actual.vocabulary is not None:  # a compact vocabulary is the same tokenizer
        has["vocabulary"] = expected["vocabulary"]
    faults = [f"{key} is {has[key]}, the flags say {expected[key]}" for key in has if has[key] != expected.get(key)]
    if faults:
        names = f" ({actual.arch or 'own architecture'}, the flags say {wanted.arch or 'own architecture'})"
        raise CheckpointError(f"{origin}{names if actual.arch != wanted.arch else ''}: {'; '.join(faults)}")


def _described(config: EncoderConfig) -> dict[str, Any]:
    values = _essence(config.open_clip_config()) | {"transform": config.transform.geometry.value}
    if config.transform.value == "targetpad":
        values["target ratio"] = config.target_ratio
    return values


def round_to_fp16(encoder: Encoder) -> Encoder:
    """Round, in place, the weights that the reference holds in half precision on GPUs: convolutions, linear layers,
    attention and projections. Published figures depend on it.
    """
    with torch.no_grad():
        for module in encoder.clip.modules():
            chosen = []
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                chosen = [module.weight, module.bias]
            elif isinstance(module, nn.MultiheadAttention):
                chosen = [module.in_proj_weight, module.in_proj_bias]
            chosen += [p for n, p in module.named_parameters(recurse=False) if n in ("text_projection", "proj")]
            for parameter in chosen:
                if parameter is not None:
                    parameter.copy_(parameter.half().float())
    return encoder


def write_authors_format(folder: Path, model: Model, epoch: int, replace: bool = False) -> list[Path]:
    """Write ``tuned_clip_{epoch}.pt`` and, with a Combiner, ``combiner_{epoch}.pt`` as the paper's scripts read them.

    A compact vocabulary is spread to all 49,408 rows.

    :raises CheckpointError: the format cannot say what this encoder is (activation, heads).
    :raises InputError: such a file is there already and ``replace`` is not set.
    """
    state = export_state(model.encoder)
    written = [Path(folder) / f"tuned_clip_{epoch}.pt"]
    if isinstance(model.composer, Combiner):
        written.append(Path(folder) / f"combiner_{epoch}.pt")
    if not replace and (there := next((path for path in written if path.exists()), None)):
        raise InputError(f"{there}: already exists; choose another folder or --epoch, or move the file")
    _save({"epoch": epoch, "CLIP": state}, written[0])
    if isinstance(model.composer, Combiner):
        _save({"epoch": epoch, "Combiner": _on_cpu(model.composer.state_dict())}, written[1])
    return written


def export_state(encoder: Encoder) -> dict[str, Tensor]:
    """OpenAI's parameter names -> tensors on the CPU, with all 49,408 token rows.

    :raises CheckpointError: a reader would rebuild another network from these tensors.
    """
    state = _on_cpu(encoder.clip.state_dict())
    state["token_embedding.weight"] = state["token_embedding.weight"][encoder.rows(torch.arange(VOCABULARY)).cpu()]
    full = encoder.config.model_copy(update={"vocabulary": None})
    if "joint_pool" in full.open_clip_config()["vision_cfg"]:
        raise CheckpointError("the paper's format cannot hold this encoder: its image side is our own, not CLIP's")
    has, read = _essence(full.open_clip_config()), _essence(_model_of(state, {}))
    faults = [f"{key} would be read as {read[key]} instead of {has[key]}" for key in has if has[key] != read[key]]
    if faults:
        raise CheckpointError(f"the paper's format cannot hold this encoder: {'; '.join(faults)}")
    return state


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n: t.detach().cpu().clone(memory_format=torch.contiguous_format) for n, t in state.items()}


def _save(content: dict[str, Any], path: Path) -> None:
    with atomic_file(path) as file:
        torch.save(content, file)
