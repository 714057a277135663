"""A small CLIP for CPUs: the family of OpenAI's RN50 (ModifiedResNet and text transformer), scaled down."""

from __future__ import annotations

from pydantic import Field

from autocompose.core.config import Config
from autocompose.corpus.images import Transform
from autocompose.model.encoder import EncoderConfig


class SmallSizes(Config):
    """Sizes of the small backbone.

    :param image_size: input side in pixels, a multiple of 32.
    :param width: channels behind the stem; the last stage has 32 times as many.
    :param layers: residual blocks in each of the four stages.
    :param dim: feature size D.
    """

    image_size: int = Field(96, ge=32, multiple_of=32)
    width: int = Field(24, ge=8, multiple_of=4)
    layers: tuple[int, int, int, int] = (1, 1, 2, 1)
    dim: int = Field(256, ge=8)
    text_width: int = Field(128, ge=8)
    text_layers: int = Field(2, ge=1)
    text_heads: int = Field(4, ge=1)
    context_length: int = Field(77, ge=8)


def small_config(sizes: SmallSizes | None = None, transform: Transform = Transform.SQUAREPAD) -> EncoderConfig:
    """The encoder configuration of these sizes."""
    s = sizes or SmallSizes()
    vision = {"image_size": s.image_size, "layers": list(s.layers), "width": s.width, "head_width": 64}
    if s.width * 32 % 64:
        vision["head_width"] = s.width
    text = {
        "context_length": s.context_length,
        "vocab_size": 49_408,
        "width": s.text_width,
        "heads": s.text_heads,
        "layers": s.text_layers,
    }
    return EncoderConfig(
        model={"embed_dim": s.dim, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}, transform=transform
    )
