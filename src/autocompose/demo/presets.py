"""Settings of the demo; the presets are TOML files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import Field

from autocompose.core.config import Config
from autocompose.model.small import SmallSizes
from autocompose.train.loop import LoopSettings
from autocompose.train.pretrain import PretrainSettings
from autocompose.train.runs import CombinerSettings, FinetuneSettings


class Scratch(Config):
    """The first steps of a demo from scratch: an image encoder, then a text encoder beside it.

    :param singles: pictures of single bodies that the image encoder is pretrained on.
    :param pretrain, loop: its training. :param text: the training of the text encoder alone.
    """

    singles: int = Field(12000, ge=64)
    sizes: SmallSizes
    pretrain: PretrainSettings
    loop: LoopSettings
    text: FinetuneSettings


class DemoSettings(Config):
    """Everything the demo does.

    :param preset: size of BodyCPR.
    :param train_pairs: pairs kept per cube for training; BodyCPR has 48.
    :param statements: most statements of a text.
    :param scratch: how the first encoder is made; None: it is that of the model ``small``.
    :param finetune: stage 1, text encoder and the head of the image side. :param combiner: stage 2.
    :param processes: that train together; part of what decides the result, so the machine's cores do not choose it.
    :param symbolic_every: every n-th query is also answered by the symbolic search, which is slow.
    """

    preset: str = "demo"
    train_pairs: int = Field(24, ge=1, le=48)
    statements: int = Field(3, ge=1)
    wordings: int = Field(3, ge=1, le=5)
    scratch: Scratch | None = None
    finetune: FinetuneSettings
    combiner: CombinerSettings
    processes: int = Field(1, ge=1)
    symbolic_every: int = Field(4, ge=1)

    @classmethod
    def preset_file(cls, name: str, seed: int) -> DemoSettings:
        """The settings of one of the TOML files beside this module, with one seed for every stage."""
        settings = cls.load(Path(__file__).with_name(f"{name}.toml"))
        changes: dict[str, Any] = {key: _seeded(getattr(settings, key), seed) for key in ("finetune", "combiner")}
        if settings.scratch is not None:
            loop = settings.scratch.loop.model_copy(update={"seed": seed})
            changes["scratch"] = settings.scratch.model_copy(
                update={"loop": loop, "text": _seeded(settings.scratch.text, seed)}
            )
        return settings.model_copy(update=changes)

    def on(self, device: torch.device, recorded: str | None = None) -> DemoSettings:
        """With the precision of all stages decided; the parameters are those of ``LoopSettings.on``."""
        first = self.finetune.loop if self.scratch is None else self.scratch.loop
        precision = first.on(device, recorded).precision
        changes: dict[str, Any] = {key: _in(getattr(self, key), precision) for key in ("finetune", "combiner")}
        if self.scratch is not None:
            changes["scratch"] = _in(self.scratch, precision).model_copy(
                update={"text": _in(self.scratch.text, precision)}
            )
        return self.model_copy(update=changes)


S = TypeVar("S", FinetuneSettings, CombinerSettings)
T = TypeVar("T", FinetuneSettings, CombinerSettings, Scratch)


def _seeded(stage: S, seed: int) -> S:
    parts = {part: getattr(stage, part).model_copy(update={"seed": seed}) for part in ("loop", "compose")}
    return stage.model_copy(update=parts)


def _in(stage: T, precision: str) -> T:
    if stage.loop.precision != "auto":
        return stage
    return stage.model_copy(update={"loop": stage.loop.model_copy(update={"precision": precision})})
