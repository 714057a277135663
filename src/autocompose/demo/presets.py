"""Settings of the demo; the two presets are TOML files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from autocompose.core.config import Config
from autocompose.model.small import SmallSizes
from autocompose.train.loop import LoopSettings
from autocompose.train.pretrain import PretrainSettings
from autocompose.train.runs import CombinerSettings, FinetuneSettings


class DemoSettings(Config):
    """Everything the demo does.

    :param preset: size of BodyCPR.
    :param train_pairs: pairs kept per cube for training; BodyCPR has 48.
    :param statements: most statements of a text.
    :param finetune, head: stage 1, first with the text encoder alone, then with the head of the image side.
    :param singles: pictures of single bodies that the image encoder is pretrained on.
    :param processes: that train together; part of what decides the result, so the machine's cores do not choose it.
    :param symbolic_every: every n-th query is also answered by the symbolic search, which is slow.
    """

    preset: str = "demo"
    train_pairs: int = Field(24, ge=1, le=48)
    statements: int = Field(3, ge=1)
    wordings: int = Field(3, ge=1, le=5)
    singles: int = Field(12000, ge=64)
    sizes: SmallSizes
    pretrain: PretrainSettings
    pretrain_loop: LoopSettings
    finetune: FinetuneSettings
    head: FinetuneSettings
    combiner: CombinerSettings
    processes: int = Field(1, ge=1)
    symbolic_every: int = Field(4, ge=1)

    @classmethod
    def preset_file(cls, name: str, seed: int) -> DemoSettings:
        """The settings of ``demo`` or ``quick`` with one seed for every stage."""
        settings = cls.load(Path(__file__).with_name(f"{name}.toml"))
        stages = {
            key: stage.model_copy(
                update={part: getattr(stage, part).model_copy(update={"seed": seed}) for part in ("loop", "compose")}
            )
            for key, stage in (
                ("finetune", settings.finetune),
                ("head", settings.head),
                ("combiner", settings.combiner),
            )
        }
        loop = settings.pretrain_loop.model_copy(update={"seed": seed})
        return settings.model_copy(update={"pretrain_loop": loop, **stages})

    def on(self, device: torch.device, recorded: str | None = None) -> DemoSettings:
        """With the precision of all stages decided; the parameters are those of ``LoopSettings.on``."""
        pretrain = self.pretrain_loop.on(device, recorded)
        changes: dict[str, Any] = {"pretrain_loop": pretrain}
        for name in ("finetune", "head", "combiner"):
            stage = getattr(self, name)
            if stage.loop.precision == "auto":
                loop = stage.loop.model_copy(update={"precision": pretrain.precision})
                changes[name] = stage.model_copy(update={"loop": loop})
        return self.model_copy(update=changes)
