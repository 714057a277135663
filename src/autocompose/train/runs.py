"""Training runs with validation: a corpus and settings in, a run folder (= a model) out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from autocompose.core.config import Config
from autocompose.core.distributed import first_process_first, rank
from autocompose.core.log import say
from autocompose.corpus.pictures.decoding import decode, decoded
from autocompose.evaluate.questions import Questions, ask
from autocompose.model.checkpoint import load_model, save_model
from autocompose.model.combiner import Combiner, ElementwiseSum
from autocompose.model.encoder import Encoder
from autocompose.model.features import ImageFeatures, image_features, text_features
from autocompose.model.model import Model
from autocompose.train.compose_stages import CombinerStage, ComposeSettings, HeadStage, TextStage
from autocompose.train.loop import LoopSettings, Metrics, Stage, run
from autocompose.train.picture_stage import PictureStage
from autocompose.train.precision import recorded_precision
from autocompose.train.run_data import Data
from autocompose.train.run_identity import MadeWith
from autocompose.train.sampling import TextMode, TripletTable

NAME = "training"


class FinetuneSettings(Config):
    """Stage 1: CLIP learns, prediction = normalised sum.

    :param part: the encoder to train; features of a frozen one are computed once. ``head``: the text encoder and the
        head of the small backbone's image side, whose trunk is frozen.
    :param gradient_checkpointing: transformers keep one activation per block and recompute the rest.
    """

    text: TextMode = TextMode()
    part: Literal["both", "text", "image", "head"] = "text"
    gradient_checkpointing: bool = False
    compose: ComposeSettings = ComposeSettings()
    loop: LoopSettings = LoopSettings(
        epochs=30, batch_size=128, learning_rate=1e-5, eps=1e-7, select="recall_at10", validate_every=2
    )


class CombinerSettings(Config):
    """Stage 2: CLIP is frozen, the Combiner learns.

    :param projection_dim, hidden_dim: its sizes (the paper's defaults).
    :param from_sum: the Combiner starts as (nearly) the sum of stage 1 instead of at random.
    """

    text: TextMode = TextMode()
    projection_dim: int = Field(2560, ge=1)
    hidden_dim: int = Field(5120, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    from_sum: bool = False
    compose: ComposeSettings = ComposeSettings()
    loop: LoopSettings = LoopSettings(
        epochs=50, batch_size=512, learning_rate=1e-4, weight_decay=0.0, select="recall_at10", validate_every=5
    )


def finetune(
    data: Data,
    encoder: Encoder,
    settings: FinetuneSettings,
    folder: Path,
    keep: bool = True,
    start: Combiner | None = None,
) -> Model:
    """Stage 1. Continues an interrupted run; a finished folder is only loaded.

    :param encoder: changed in place.
    :param start: a Combiner that composes, and trains too, in place of the sum.
    :param keep: write the weights. If False, the folder keeps the state for continuing until ``forget`` is called.
    :return: on the device of ``encoder``.
    :raises ConfigError: the folder belongs to another run; says what differs.
    """
    folder = Path(folder)
    table = data.table(settings.text, settings.loop.batch_size)
    loop = data.chosen(settings.loop).on(encoder.device, recorded_precision(folder, "train"))
    settings = settings.model_copy(update={"loop": loop})
    made_with = MadeWith.of(data, table, encoder, settings, start)
    if made_with.has_finished(folder):
        return load_model(folder).to(encoder.device)
    encoder.train_only(settings.part).clip.set_grad_checkpointing(settings.gradient_checkpointing)
    model = Model(encoder, (start or ElementwiseSum()).to(encoder.device))
    stage = _finetune_stage(data, table, model, settings)
    gallery = _val_gallery(data, encoder, settings.part)
    if data.val and settings.part in (
        "both",
        "image",
    ):  # otherwise first opened after a trained epoch; report faults now
        for _ in decode([data.corpus.image_path(n) for n in data.corpus.galleries[data.val]], lambda _: None):
            pass

    def validate() -> Metrics:
        if data.val is None:
            return {}
        questions = ask(encoder, data.corpus, data.val, data.key, data.flatten, gallery=gallery())
        return questions.answers(model).ranks.metrics()

    return _train(stage, settings.loop, folder, validate, model, made_with, _card(data, table), keep)


def _val_gallery(data: Data, encoder: Encoder, part: str) -> Callable[[], np.ndarray | None]:
    """Features of the validation gallery with the current weights; None: compute them from the pictures."""
    if part not in ("text", "head") or data.val is None:
        return lambda: None
    paths = [data.corpus.image_path(n) for n in data.corpus.galleries[data.val]]
    fixed = image_features(encoder, paths, data.cache, trunk=part == "head", all_processes=True).plain
    if part == "text":
        return fixed.numpy
    return lambda: encoder.encode_head(fixed.to(encoder.device)).detach().cpu().numpy()


def _finetune_stage(data: Data, table: TripletTable, model: Model, settings: FinetuneSettings) -> Stage:
    encoder, paths = model.encoder, [data.corpus.image_path(n) for n in table.images]
    size = settings.loop.batch_size
    if settings.part in ("text", "head"):
        head = settings.part == "head"
        with settings.loop.autocast(encoder.device):
            images = image_features(encoder, paths, data.cache, settings.text.mirror, trunk=head, all_processes=True)
        return (HeadStage if head else TextStage)(table, images, encoder, model.composer, settings.compose, size)
    with first_process_first():
        config = encoder.config
        folder = data.cache or Path(data.corpus.root) / ".cache"
        pixels = decoded(paths, config.transform, encoder.image_size, config.target_ratio, folder)
    frozen = settings.part == "image"
    with settings.loop.autocast(encoder.device):
        texts = text_features(encoder, table.texts, data.cache, all_processes=True) if frozen else None
    return PictureStage(table, pixels, texts, encoder, model.composer, settings.compose, size)


def train_combiner(
    data: Data,
    encoder: Encoder,
    settings: CombinerSettings,
    folder: Path,
    start: Combiner | None = None,
    encode_size: int | None = None,
    keep: bool = True,
    inherited: Mapping[str, Any] = {},
) -> Model:
    """Stage 2. Continues an interrupted run; a finished folder is only loaded.

    :param encoder: frozen; every picture and text is encoded once.
    :param start: weights to start from.
    :param encode_size: pictures that the encoder takes at a time; None: what suits the device.
    :param keep: as in ``finetune``. :param inherited: entries of the card of the model that training starts from.
    :return: on the device of ``encoder``.
    :raises ConfigError: the folder belongs to another run; says what differs.
    """
    folder = Path(folder)
    table = data.table(settings.text, settings.loop.batch_size)
    loop = data.chosen(settings.loop).on(encoder.device, recorded_precision(folder, "train"))
    settings = settings.model_copy(update={"loop": loop})
    made_with = MadeWith.of(data, table, encoder, settings, start)
    if made_with.has_finished(folder):
        return load_model(folder).to(encoder.device)
    encoder.train_only("none")
    composer = start or new_combiner(encoder.dim, settings)
    model = Model(encoder, composer.to(encoder.device))
    encoded = Encoded.of(data, table, encoder, settings, encode_size)

    def validate() -> Metrics:
        return encoded.metrics(model)

    stage = encoded.stage(composer)
    card = {**inherited, **_card(data, table)}
    return _train(stage, settings.loop, folder, validate, model, made_with, card, keep)


@dataclass(frozen=True)
class Encoded:
    """A frozen encoder's features of a corpus: everything needed to train and validate a composer.

    :param images: of ``table.images``. :param texts: ``(T, D)`` of ``table.texts``, not normalised; NaN for those that
        the settings' epochs never draw. :param questions: None without validation.
    """

    table: TripletTable
    images: ImageFeatures
    texts: Tensor
    questions: Questions | None
    settings: CombinerSettings

    @classmethod
    def of(
        cls, data: Data, table: TripletTable, encoder: Encoder, settings: CombinerSettings, size: int | None = None
    ) -> Encoded:
        """Encode, or load cached features.

        :param size: pictures that the encoder takes at a time; None: what suits the device.
        """
        paths = [data.corpus.image_path(n) for n in table.images]
        compose, loop = settings.compose, settings.loop
        drawn = table.drawn(compose.seed, loop.epochs, loop.batch_size, compose.per_group)
        texts = torch.full((len(table.texts), encoder.dim), torch.nan)
        with loop.autocast(encoder.device):
            images = image_features(encoder, paths, data.cache, settings.text.mirror, size, all_processes=True)
            texts[drawn] = text_features(encoder, [table.texts[t] for t in drawn], data.cache, all_processes=True)
        questions = None
        if data.val is not None:
            with first_process_first():
                questions = ask(encoder, data.corpus, data.val, data.key, data.flatten, data.cache)
        return cls(table, images, texts, questions, settings)

    def metrics(self, model: Model) -> Metrics:
        """Validation metrics of a model with this encoder; {} without validation."""
        return self.questions.answers(model).ranks.metrics() if self.questions is not None else {}

    def stage(self, composer: nn.Module) -> CombinerStage:
        """The training of a composer: (image features, text features) -> normalised prediction."""
        loop, compose = self.settings.loop, self.settings.compose
        return CombinerStage(self.table, self.images, self.texts, composer, compose, loop.batch_size)


def new_combiner(dim: int, settings: CombinerSettings) -> Combiner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.loop.seed)
        combiner = Combiner(dim, settings.projection_dim, settings.hidden_dim, settings.dropout)
    return combiner.start_as_sum() if settings.from_sum else combiner


def _train(
    stage: Stage,
    loop: LoopSettings,
    folder: Path,
    validate: Callable[[], Metrics],
    model: Model,
    made_with: MadeWith,
    card: dict[str, Any],
    keep: bool,
) -> Model:
    own = made_with.own(folder)
    if rank() == 0:  # not before: what has to be repaired in the data until here makes no other run of it
        own.claim(made_with.settings, made_with.old)
    metrics = run(stage, loop, folder, validate, NAME)
    model.encoder.eval()
    model.composer.eval()
    model.card = {**card, "settings": made_with.settings, "validation": metrics}
    if rank() == 0 and keep:
        save_model(folder, model)
        model.folder = folder
        own.finish(made_with.settings, validation=metrics)
        forget(folder)
    return model


def forget(folder: Path) -> None:
    """Remove the state that only an unfinished run needs to continue."""
    (Path(folder) / f"{NAME}.pt").unlink(missing_ok=True)


def _card(data: Data, table: TripletTable) -> dict[str, Any]:
    say(table.tally.line())
    return {
        "corpus": data.corpus.root.name,
        "train": {"split": data.name(data.train), **table.tally.record()},
        "validated_on": {"split": data.name(data.val), "text": data.key} if data.val is not None else None,
    }
