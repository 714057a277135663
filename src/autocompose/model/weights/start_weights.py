"""Initial weights of an encoder. Nothing is downloaded unless the user names a pretrained tag."""

from __future__ import annotations

import os
from pathlib import Path

import open_clip

from autocompose.core.errors import CheckpointError
from autocompose.core.log import say
from autocompose.model.encoder import OPENAI_NAMES, Encoder, EncoderConfig, open_clip_name
from autocompose.model.weights.foreign_weights import fit_clip, load_encoder

RANDOM = "random"
TAG = "pretrained:"
OPENAI_CACHE = Path("~/.cache/clip")  # of OpenAI's own package


def start_encoder(config: EncoderConfig, weights: str | None = None, seed: int = 0, fp16: bool = False) -> Encoder:
    """An encoder with its initial weights.

    :param weights: a weight file or run folder; ``random``; ``pretrained:TAG`` for one of open_clip's tags, which may
        download it; None: OpenAI's file where OpenAI's own package keeps it (``~/.cache/clip``).
    :param fp16: round the weights as the reference does on GPUs.
    :raises CheckpointError: there is no such file, or it does not fit ``config``.
    """
    if weights == RANDOM:
        say("the encoder starts from random weights")
        return Encoder(config, seed)
    if weights and weights.startswith(TAG):
        return _pretrained(config, weights.removeprefix(TAG))
    return load_encoder(Path(weights) if weights else _openai_file(config), config, fp16)


def openai_file(arch: str) -> Path:
    """Path where OpenAI's own package caches a model."""
    cache = Path(os.path.expanduser(OPENAI_CACHE))  # unlike Path.expanduser, content without a home
    return cache / f"{arch.replace('/', '-').replace('@', '-')}.pt"


def _openai_file(config: EncoderConfig) -> Path:
    path = openai_file(config.arch or "")
    if config.arch not in OPENAI_NAMES or not path.exists():
        place = OPENAI_CACHE / path.name
        raise CheckpointError(
            f"no weights for {config.arch or 'this architecture'}: name a file, or {TAG}TAG to let open_clip "
            f"download one (such as {TAG}openai), or {RANDOM}; OpenAI's file would be found at {place}"
        )
    return path


def pretrained_model(name: str) -> tuple[str, str]:
    """``pretrained:TAG`` or ``pretrained:ARCHITECTURE:TAG`` -> open_clip's names of architecture and tag.

    Of several architectures with that tag ViT-B-32 is taken, OpenAI's with QuickGELU.

    :raises CheckpointError: open_clip has no such weights, or several of which none is ViT-B-32.
    """
    arch, _, tag = name.removeprefix(TAG).rpartition(":")
    fits = [known for known, theirs in open_clip.list_pretrained() if theirs == tag]
    wanted = [open_clip_name(arch), arch] if arch else ["ViT-B-32-quickgelu", "ViT-B-32"]
    chosen = next((known for known in wanted if known in fits), fits[0] if len(fits) == 1 and not arch else None)
    if chosen is None:
        there = f"it has {', '.join(fits)} with {tag!r}" if fits else "open_clip.list_pretrained() gives them all"
        raise CheckpointError(f"{name}: open_clip has no such weights; name {TAG}ARCHITECTURE:TAG ({there})")
    return chosen, tag


def _pretrained(config: EncoderConfig, tag: str) -> Encoder:
    name = open_clip_name(config.arch or "")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag not in tags:
        raise CheckpointError(f"{config.arch}: no pretrained tag {tag!r}; open_clip has {', '.join(tags) or 'none'}")
    encoder = Encoder(config)
    try:
        loaded = open_clip.create_model(name, pretrained=tag)
    except Exception as error:  # of hubs and networks
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(f"{TAG}{tag}: cannot be downloaded ({said}); connect, or name a weight file") from None
    return fit_clip(encoder, loaded.state_dict(), f"{name}:{tag}")
