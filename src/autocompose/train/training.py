"""Training on a corpus: the verbs ``finetune`` and ``train`` as functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autocompose.core.config import read_toml
from autocompose.core.distributed import join
from autocompose.core.errors import ConfigError
from autocompose.core.log import say
from autocompose.corpus.format import Corpus, as_corpus
from autocompose.model.bundled import model_folder
from autocompose.model.encoder import Encoder, EncoderConfig
from autocompose.model.model import Model
from autocompose.model.weights.foreign_weights import load_encoder
from autocompose.model.weights.start_weights import start_encoder
from autocompose.train import runs
from autocompose.train.run_data import Data
from autocompose.train.run_options import changed_settings, merged
from autocompose.train.runs import CombinerSettings, FinetuneSettings
from autocompose.train.sampling import TextMode


def finetune(
    corpus: Corpus | str | Path,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    arch: str | None = None,
    transform: str | None = None,
    part: str | None = None,
    texts: str | None = None,
    cycle: bool | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    tracker: str | None = None,
    config: str | Path | None = None,
    cache: str | Path | None = None,
    validate: bool = True,
) -> Model:
    """Stage 1: fine-tune CLIP so that picture + text finds the target. The best epoch on ``val`` is kept.

    Parameters that are None come from ``config``, or else from ``FinetuneSettings``. The same call continues an
    interrupted run and loads a finished one.

    :param out: run folder. :param config: TOML file with settings. :param cache: default ``CORPUS/.cache``.
    :param weights: initial weights: a file, a run folder, ``small``, ``pretrained:TAG`` (may download) or ``random``;
        default: OpenAI's weights of ``arch``.
    :param arch: ``RN50`` (the default), ``ViT-B/32`` ... or an open_clip name.
    :param transform: ``clip``, ``squarepad``, ``targetpad`` or ``stretch``.
    :param part: the encoder to train: ``text`` (the default), ``image`` or ``both``.
    :param texts: ``SOURCE[-mirror][-reverse]_N``: ``human_1``, ``rules-mirror-reverse_3``, ``mllm_3`` ...
    :param cycle: add the cyclic loss; the texts must include ``-reverse``.
    :param validate: False trains on all pairs and keeps the last epoch.
    :return: on the device where it was trained.
    :raises ConfigError: settings, or a folder of another run; CorpusError: texts or pairs are missing.
    """
    device, loaded = join(), as_corpus(corpus)
    file = read_toml(Path(config)) if config else {}
    origin = str(config or "options")
    encoder = _encoder_section(file, origin)
    encoder |= {k: v for k, v in {"arch": arch, "transform": transform}.items() if v is not None}
    first = encoder.pop("weights", None) if weights is None else str(weights)
    encoder.pop("weights", None)
    changes = changed_settings(texts, cycle, epochs, batch_size, learning_rate, seed, tracker)
    changes |= {"part": part} if part else {}
    settings = merged(FinetuneSettings, file, changes, origin)
    network = _start(encoder, first, settings.loop.seed, origin)
    data = Data.of(loaded, settings.text, _cache(loaded, cache), settings.loop.seed, validate)
    if settings.part != "image":
        network = _with_words(network, data, settings.text)
    model = runs.finetune(data, network.to(device), settings, Path(out))
    say(f"{out}: {_line(model.card['validation'])}")
    return model


def train_combiner(
    corpus: Corpus | str | Path,
    clip: str | Path | Model,
    out: str | Path,
    *,
    texts: str | None = None,
    cycle: bool | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    tracker: str | None = None,
    config: str | Path | None = None,
    cache: str | Path | None = None,
    validate: bool = True,
) -> Model:
    """Stage 2: train the Combiner on frozen CLIP. The best epoch on ``val`` is kept.

    :param clip: the model of stage 1, its run folder, ``small``, or a CLIP weight file.
    :param out: run folder; the other parameters are those of ``finetune``, with ``CombinerSettings`` for defaults.
    :return: on the device where it was trained.
    :raises ConfigError: settings, or a folder of another run; CorpusError: texts or pairs are missing.
    """
    device, loaded = join(), as_corpus(corpus)
    file = read_toml(Path(config)) if config else {}
    file.pop("encoder", None)
    changes = changed_settings(texts, cycle, epochs, batch_size, learning_rate, seed, tracker)
    settings = merged(CombinerSettings, file, changes, str(config or "options"))
    encoder = clip.encoder if isinstance(clip, Model) else load_encoder(Path(clip))
    data = Data.of(loaded, settings.text, _cache(loaded, cache), settings.loop.seed, validate)
    model = runs.train_combiner(data, encoder.to(device), settings, Path(out))
    say(f"{out}: {_line(model.card['validation'])}")
    return model


def _cache(corpus: Corpus, cache: str | Path | None) -> Path:
    return Path(cache) if cache else corpus.root / ".cache"


def _encoder_section(file: dict[str, Any], origin: str) -> dict[str, Any]:
    """Take the section ``[encoder]`` out of the settings."""
    section = file.pop("encoder", {})
    if not isinstance(section, dict) or not isinstance(section.get("weights", ""), str):
        raise ConfigError(f"{origin}: encoder = {section!r:.80}: expected a section with arch, transform, weights")
    return dict(section)


def _start(encoder: dict[str, Any], weights: str | None, seed: int, origin: str) -> Encoder:
    if not encoder and weights and model_folder(weights).is_dir():  # a run folder describes itself
        return load_encoder(Path(weights))
    values = encoder if "model" in encoder else {"arch": "RN50", **encoder}
    return start_encoder(EncoderConfig.parse(values, origin), weights, seed)


def _with_words(network: Encoder, data: Data, mode: TextMode) -> Encoder:
    """Extend a small text encoder's vocabulary with the new words of the training texts."""
    known = network.config.vocabulary
    if known is None:
        return network
    pairs = data.corpus.split(data.train)
    texts = (text for pair in pairs for edit in mode.edits for text in pair.texts_of(mode.source, edit))
    network = network.with_vocabulary(texts, keep=True)
    more = len(network.config.vocabulary or ()) - len(known)
    if more:
        say(f"{more:,} new words were added to the text encoder")
    return network


def _line(metrics: dict[str, float]) -> str:
    values = ", ".join(f"{k} {v:.2f}" for k, v in metrics.items())
    return f"validation {values}" if values else "the last epoch, not validated"
