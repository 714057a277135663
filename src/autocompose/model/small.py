"""A small CLIP for CPUs: residual network and text transformer as OpenAI's RN50, scaled down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from pydantic import Field

from autocompose.core.config import Config
from autocompose.corpus.pictures.transforms import Transform
from autocompose.model.encoder import Encoder, EncoderConfig, Reads
from autocompose.model.small2.pose_net import PoseSizes
from autocompose.model.visual import JointPool

TEXT_LENGTH = 0.8  # of an untrained text's features; those of a picture have 1


class SmallSizes(Config):
    """Sizes of the small backbone.

    :param image_size: input side in pixels, a multiple of 32.
    :param width, layers: CLIP's own residual network: channels behind the stem (the last stage has 32 times as many)
        and blocks in each of its four stages.
    :param pool: our image side (``model.visual``) in place of that one; ``pose``: that of ``model.small2.pose_net``.
    :param dim: feature size D.
    :param reads: see ``EncoderConfig``. :param claim_bag: read each claim by itself (``model.small2.claim_bag``).
    """

    image_size: int = Field(96, ge=32, multiple_of=32)
    width: int = Field(24, ge=8, multiple_of=4)
    layers: tuple[int, int, int, int] = (1, 1, 2, 1)
    pool: JointPool | None = None
    pose: PoseSizes | None = None
    dim: int = Field(256, ge=8)
    text_width: int = Field(128, ge=8)
    text_layers: int = Field(2, ge=1)
    text_heads: int = Field(4, ge=1)
    context_length: int = Field(77, ge=8)
    reads: Reads = "words"
    claim_bag: bool = False


def small_config(sizes: SmallSizes | None = None, transform: Transform = Transform.SQUAREPAD) -> EncoderConfig:
    """The encoder configuration of these sizes."""
    s = sizes or SmallSizes()
    vision: dict[str, Any] = {"image_size": s.image_size, "layers": list(s.layers), "width": s.width}
    vision["head_width"] = s.width if s.width * 32 % 64 else 64
    if s.pool is not None:
        vision = {"image_size": s.image_size, "joint_pool": s.pool.model_dump(mode="json")}
    if s.pose is not None:
        vision = {"image_size": s.image_size, "pose": s.pose.model_dump(mode="json")}
    text: dict[str, Any] = {
        "context_length": s.context_length,
        "vocab_size": 49_408,
        "width": s.text_width,
        "heads": s.text_heads,
        "layers": s.text_layers,
    }
    if s.claim_bag:
        text["claim_bag"] = True
        text["layers"] = 1
    model = {"embed_dim": s.dim, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    return EncoderConfig(model=model, transform=transform, reads=s.reads)


def small_encoder(sizes: SmallSizes, texts: Iterable[str], seed: int = 0, as_shown: bool = False) -> Encoder:
    """A fresh encoder with a vocabulary of its own.

    :param texts: the training texts. :param as_shown: as ``Encoder.read`` makes them.
    """
    encoder = Encoder(small_config(sizes), seed).with_vocabulary(texts, as_shown=as_shown)
    with torch.no_grad():  # CLIP's start gives them the length sqrt(D), beside which a picture would not count
        encoder.clip.text_projection.mul_(TEXT_LENGTH / sizes.dim**0.5)
    return encoder
