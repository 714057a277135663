"""The CLIP encoder: any open_clip architecture, built without a download.

Parameter names below ``Encoder.clip`` are open_clip's (which are OpenAI's), so published state dicts load unchanged.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Literal

import numpy as np
import open_clip
import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor, nn

from autocompose.core.config import Config
from autocompose.core.errors import AutocomposeError, ConfigError
from autocompose.core.log import say
from autocompose.core.several import several
from autocompose.corpus.pictures.transforms import Transform, preprocess
from autocompose.model.packed import end_states, packs
from autocompose.model.small2.claim_bag import ClaimBag
from autocompose.model.small2.claim_text import claim_text
from autocompose.model.small2.pose_net import PoseNet, PoseSizes, eyes
from autocompose.model.token_ids import token_ids
from autocompose.model.visual import JointPool, JointPoolNet

# OpenAI trained these with QuickGELU; open_clip calls those variants NAME-quickgelu.
OPENAI_NAMES = ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px")
VOCABULARY = 49_408
SOT, EOT = 49_406, 49_407
CPU_TEXTS = 64  # at a time: large batches make tensors for which memory is mapped anew, a third of the time

MAX_SIZE, MAX_LAYERS, COUNTS = 100_000, 500, ("layers", "blocks")

Part = Literal["both", "text", "image", "head", "none"]
Reads = Literal["words", "claims", "both"]


class EncoderConfig(Config):
    """The description of an encoder without its weights.

    :param arch: an OpenAI name (``RN50``, ``ViT-B/32`` ...: QuickGELU, as OpenAI trained them) or any open_clip name
        whose text side uses CLIP's own tokenizer.
    :param model: an open_clip model configuration in place of ``arch``.
    :param quick_gelu: overrides the activation; None = as the architecture says.
    :param image_size: input side in pixels; None = as the architecture says.
    :param transform: how a picture becomes a square; ``target_ratio`` belongs to ``targetpad``.
    :param reads: the input of the text side: the words, the claims that the parser finds in them (the words where it
        finds none), or the claims followed by the words.
    :param vocabulary: sorted CLIP token ids that have their own row in the token embedding; all others share the last
        row. None = all 49,408.
    """

    arch: str | None = None
    model: dict[str, Any] | None = None
    quick_gelu: bool | None = None
    image_size: int | None = Field(None, ge=32)
    transform: Transform = Transform.TARGETPAD
    target_ratio: float = Field(1.25, ge=1)
    reads: Reads = "words"
    vocabulary: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _one_architecture(self) -> EncoderConfig:
        if (self.arch is None) == (self.model is None):
            raise ValueError("give either arch or model")
        if self.model is not None:
            for part in ("vision_cfg", "text_cfg"):
                if not isinstance(self.model.get(part), dict):
                    raise ValueError(f"model lacks {part}, as open_clip describes it")
            if not isinstance(self.model.get("embed_dim"), int):
                raise ValueError("model lacks embed_dim, the length of a feature")
            _check_sizes("model", self.model)
        return self

    def open_clip_config(self) -> dict[str, Any]:
        """The open_clip model configuration with all overrides applied.

        :raises ConfigError: no such architecture, or its text side needs a tokenizer other than CLIP's.
        """
        config = self.model if self.model is not None else open_clip.get_model_config(open_clip_name(self.arch or ""))
        if config is None:
            raise ConfigError(
                f"unknown architecture {self.arch!r}; choose one of {', '.join(OPENAI_NAMES)} "
                "or a name that open_clip.list_models() gives"
            )
        values = copy.deepcopy(config)
        text = values["text_cfg"]
        if text.get("hf_model_name") or text.get("hf_tokenizer_name"):
            raise ConfigError(
                f"architecture {self.arch!r}: its text side has a tokenizer of its own, and only models with CLIP's "
                f"can be trained; to search or evaluate with it: --model pretrained:{self.arch}:TAG"
            )
        if self.quick_gelu is not None:
            values["quick_gelu"] = self.quick_gelu
        if self.image_size is not None:
            values["vision_cfg"]["image_size"] = self.image_size
        if self.vocabulary is not None:
            text["vocab_size"] = len(self.vocabulary) + 1
        return values


def _check_sizes(name: str, value: object) -> None:
    """A damaged description must not ask for more memory or time than any encoder needs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_sizes(str(key), inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_sizes(name, inner)
    elif isinstance(value, (int, float)) and not abs(value) <= (limit := MAX_LAYERS if name in COUNTS else MAX_SIZE):
        raise ValueError(f"{name} {value!r} is more than {limit:,}")


def open_clip_name(arch: str) -> str:
    """open_clip's name of an architecture: OpenAI's names mean the QuickGELU variant."""
    name = arch.replace("/", "-").replace("@336px", "-336")
    return f"{name}-quickgelu" if arch in OPENAI_NAMES else name


class Encoder(nn.Module):
    """Pictures and texts into one space.

    :param config: architecture, transform and vocabulary.
    :param seed: decides the random weights; the global random state is left alone.
    """

    clip: Any  # open_clip's module; typed loosely, since its towers differ
    _vocabulary: Tensor | None

    def __init__(self, config: EncoderConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.clip = _build(config)
        self.visual.to(memory_format=torch.channels_last)  # the same numbers, a third faster on CPUs, more on GPUs
        self.clip.requires_grad_(True)
        self.clip.logit_scale.requires_grad_(False)  # the method's scale is the constant 100
        vocabulary = torch.tensor(config.vocabulary) if config.vocabulary is not None else None
        self.register_buffer("_vocabulary", vocabulary, persistent=False)

    @property
    def visual(self) -> nn.Module:
        """The image side: ``(B, 3, S, S)`` -> ``(B, D)``."""
        return self.clip.visual

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.clip.logit_scale.device

    @cached_property
    def dim(self) -> int:
        """Feature size D."""
        return self.config.open_clip_config()["embed_dim"]

    @property
    def context_length(self) -> int:
        """Maximum number of tokens in a text, including start and end; longer texts are truncated."""
        return self.clip.context_length

    @property
    def image_size(self) -> int:
        """Input side in pixels."""
        size = self.clip.visual.image_size
        return size[0] if isinstance(size, (tuple, list)) else size

    @cached_property
    def preprocess(self) -> Callable[[Image.Image], Tensor]:
        """RGB picture -> ``(3, S, S)`` float32."""
        return preprocess(self.config.transform, self.image_size, self.config.target_ratio)

    def tokenize(self, texts: str | Sequence[str]) -> Tensor:
        """CLIP token ids ``(B, L)`` int64, L the longest text of the batch; shorter rows end in zeros.

        Texts beyond ``context_length`` are truncated (the end token stays), with one warning.
        """
        return self.tokens_of([self.read(text) for text in several(texts)])

    def read(self, text: str) -> str:
        """The input of the text side for a text; see ``EncoderConfig.reads``."""
        reads = self.config.reads
        return text if reads == "words" else shown(text, claim_text(text), reads)

    def tokens_of(self, texts: Sequence[str]) -> Tensor:
        """``tokenize`` after ``read``."""
        longest = self.context_length
        rows = [[SOT, *token_ids(text), EOT] for text in texts]
        cut = [i for i, row in enumerate(rows) if len(row) > longest]
        for i in cut:
            rows[i] = [*rows[i][: longest - 1], EOT]
        if cut:
            say(f"{len(cut):,} of {len(rows):,} texts have more than {longest} tokens and are truncated")
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        tokens = torch.zeros(len(rows), int(lengths.max()) if rows else 1, dtype=torch.int64)
        filled = torch.arange(tokens.shape[1]) < lengths[:, None]
        tokens[filled] = torch.from_numpy(np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum())))
        return tokens

    def encode_image(self, pixels: Tensor) -> Tensor:
        """``(B, 3, S, S)`` preprocessed pictures -> ``(B, D)`` float32, not normalised."""
        return self.clip.encode_image(pixels.contiguous(memory_format=torch.channels_last)).float()

    def encode_text(self, tokens: Tensor) -> Tensor:
        """``(B, L)`` CLIP token ids, L <= context length -> ``(B, D)`` float32, not normalised.

        Padding costs nothing and changes nothing; see ``model.packed``.
        """
        clip, rows = self.clip, self.rows(tokens)
        if isinstance(clip.transformer, ClaimBag):
            return (clip.transformer(tokens, clip.token_embedding(rows)) @ clip.text_projection).float()
        if not packs(clip):
            missing = self.context_length - tokens.shape[1]
            return clip.encode_text(nn.functional.pad(rows, (0, missing))).float()
        size = CPU_TEXTS if tokens.device.type == "cpu" else max(1, len(tokens))
        parts = zip(tokens.split(size), rows.split(size), strict=True)
        ends = clip.ln_final(torch.cat([end_states(clip, *part) for part in parts]))
        projection = clip.text_projection
        return (projection(ends) if isinstance(projection, nn.Linear) else ends @ projection).float()

    def rows(self, tokens: Tensor) -> Tensor:
        """Rows of the token embedding that CLIP token ids stand for."""
        if self._vocabulary is None:
            return tokens
        rows = torch.searchsorted(self._vocabulary, tokens).clamp_(max=len(self._vocabulary) - 1)
        return torch.where(self._vocabulary[rows] == tokens, rows, len(self._vocabulary))

    def encode_trunk(self, pixels: Tensor) -> Tensor:
        """``(B, 3, S, S)`` preprocessed pictures -> ``(B, T)`` float32 that ``visual.head`` makes features of.

        :raises ConfigError: the image side has no head of its own.
        """
        if not has_head(self.clip.visual):
            raise ConfigError('part = "head": only the small backbones have one; use text, image or both')
        return self.clip.visual.trunk(pixels).float()

    def encode_head(self, trunk: Tensor) -> Tensor:
        """``(B, T)`` of ``encode_trunk`` -> ``(B, D)`` float32, not normalised."""
        head: nn.Module = self.clip.visual.head
        return head(trunk).float()

    def train_only(self, part: Part) -> Encoder:
        """Choose the side to train; the other is frozen. ``head``: text side and head of the small backbone."""
        for name, parameter in self.clip.named_parameters():
            side = "image" if name.startswith("visual.") else "text"
            learns = side == "text" or name.startswith("visual.head.") if part == "head" else part in ("both", side)
            parameter.requires_grad_(learns and name not in ("logit_scale", "logit_bias"))
        return self

    def with_vocabulary(self, texts: Iterable[str], keep: bool = False, as_shown: bool = False) -> Encoder:
        """A copy whose token embedding has rows only for the tokens of ``texts``, plus one for all other tokens.

        Rows that exist keep their weights; new ones, and the row of unknown tokens, start from the mean row.

        :param keep: also keep the rows of the present vocabulary.
        :param as_shown: the texts are what ``read`` has made of others.
        """
        known = self.config.vocabulary or () if keep else ()
        shown_texts = set(texts) if as_shown else map(self.read, set(texts))
        ids = sorted({SOT, EOT, *known}.union(*map(token_ids, shown_texts)))
        new = Encoder(self.config.model_copy(update={"vocabulary": tuple(ids)}))
        state = self.clip.state_dict()
        old = state["token_embedding.weight"]
        rows = self.rows(torch.tensor([*ids, 0], device=self.device))
        table = old[rows].clone()
        table[-1] = old.mean(0)
        if self._vocabulary is not None:
            table[rows == len(self._vocabulary)] = old.mean(0)
        new.clip.load_state_dict({**state, "token_embedding.weight": table})
        return new.to(self.device).train(self.training)

    def fingerprint(self, part: Literal["both", "text", "image", "trunk"] = "both") -> str:
        """SHA-256 of configuration and weights of a side: equal fingerprints give equal features.

        :param part: ``trunk``: the image side without the head of the small backbone.
        """
        config = self.config.model_copy(update={"transform": self.config.transform.geometry})
        digest = hashlib.sha256(config.model_dump_json(exclude=_OTHER_SIDE[part]).encode())
        if part != "text" and isinstance(self.visual, PoseNet):
            digest.update(eyes().encode())
        for name, tensor in sorted(self.clip.state_dict().items()):
            side = "image" if name.startswith("visual.") else "text"
            if part in ("both", side) or (part == "trunk" and side == "image" and not name.startswith("visual.head.")):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


# what the features of a side do not depend on
_OTHER_SIDE: dict[str, set[str]] = {
    "both": set(),
    "image": {"vocabulary", "reads"},
    "text": {"transform", "target_ratio", "image_size"},
    "trunk": {"vocabulary", "reads"},
}


def has_head(visual: nn.Module) -> bool:
    """Whether an image side is one of ours: a trunk, and a small head that turns its output into features."""
    return isinstance(visual, (JointPoolNet, PoseNet))


def shown(words: str, claims: str, reads: Reads) -> str:
    """The input of a text side for a text and its claims, either of which may be empty."""
    if reads == "both" and claims and words:
        return f"{claims} ; {words}"
    return claims or words if reads != "words" else words


def _build(config: EncoderConfig) -> nn.Module:
    values = config.open_clip_config()
    custom = values.pop("custom_text", False) or "timm_model_name" in values["vision_cfg"]
    if "multimodal_cfg" in values:
        raise ConfigError(f"architecture {config.arch!r} is a captioning model; choose a plain CLIP")
    try:
        bag = values["text_cfg"].pop("claim_bag", False)
        if (own := _own_image_side(values)) is not None:
            clip = _around(own, values)
            return _own_text_side(clip, values["text_cfg"]["width"]) if bag else clip
        if custom:
            values["vision_cfg"]["timm_model_pretrained"] = False  # nothing is downloaded without a request
            return open_clip.CustomTextCLIP(**values)
        return open_clip.CLIP(**values)
    except AutocomposeError:
        raise
    except Exception as error:  # open_clip checks little; what it says of a wrong value is of any type
        raise ConfigError(f"architecture {config.arch or config.model}: open_clip refuses it ({error})") from error


def _own_text_side(clip: Any, width: int) -> nn.Module:
    """Replaces the transformer by a ``ClaimBag``."""
    clip.transformer = ClaimBag(width)
    clip.positional_embedding = None
    clip.ln_final = nn.Identity()
    return clip


def _own_image_side(values: dict[str, Any]) -> nn.Module | None:
    """Takes the description of an image side of ours out of a configuration, and builds it."""
    vision, dim = values["vision_cfg"], values["embed_dim"]
    if (pool := vision.pop("joint_pool", None)) is not None:
        return JointPoolNet(JointPool.parse(pool, "vision_cfg.joint_pool"), vision["image_size"], dim)
    if (pose := vision.pop("pose", None)) is not None:
        return PoseNet(PoseSizes.parse(pose, "vision_cfg.pose"), vision["image_size"], dim)
    return None


def _around(visual: nn.Module, values: dict[str, Any]) -> nn.Module:
    """open_clip builds the rest around a token image side."""
    clip = open_clip.CLIP(
        **{**values, "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}}
    )
    clip.visual = visual
    return clip
