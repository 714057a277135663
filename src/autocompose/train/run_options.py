"""What the learning verbs do with their options."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from autocompose.core.config import Config, read_toml
from autocompose.core.distributed import join
from autocompose.core.errors import ConfigError
from autocompose.core.log import say
from autocompose.core.records import Source, Split
from autocompose.corpus.format import load_corpus
from autocompose.model.bundled import model_folder
from autocompose.model.encoder import Encoder, EncoderConfig
from autocompose.model.weights.foreign_weights import load_encoder
from autocompose.model.weights.start_weights import start_encoder
from autocompose.train.run_data import Data
from autocompose.train.runs import CombinerSettings, FinetuneSettings, train_combiner
from autocompose.train.runs import finetune as run_finetune
from autocompose.train.sampling import TextMode

SOURCES = {"human": Source.HUMAN, "auto": Source.RULES, "mllm": Source.MLLM}


def split_of(name: str) -> Split:
    """The split of that name.

    :raises ConfigError: there is no such split.
    """
    try:
        return Split(name)
    except ValueError:
        raise ConfigError(f"split {name!r}: expected {', '.join(s.value for s in Split)}") from None


def text_mode(name: str, cycle: bool) -> TextMode:
    """``human_1``, ``auto-reverse_3``, ``mllm-mirror-reverse_3`` ... as a text mode.

    :raises ConfigError: not such a name.
    """
    match = re.fullmatch(r"(human|auto|mllm)((?:-(?:mirror|reverse))*)_(\d+)", name)
    parts = match[2].split("-")[1:] if match else []
    if not match or len(set(parts)) < len(parts):
        raise ConfigError(f"texts {name!r}: expected human_N, auto_N or mllm_N, with -mirror, -reverse before the _N")
    values = {"mirror": "mirror" in parts, "reverse": "reverse" in parts, "texts": int(match[3]), "cycle": cycle}
    return TextMode.parse({"source": SOURCES[match[1]], **values}, f"texts {name!r}")


def fields(
    texts: str | None,
    cycle: bool | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    seed: int | None,
    tracker: str | None,
) -> dict[str, Any]:
    """The options that were given, as nested settings."""
    loop = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "tracker": tracker,
    }
    values: dict[str, Any] = {"loop": {k: v for k, v in loop.items() if v is not None}}
    if texts is not None:
        values["text"] = text_mode(texts, bool(cycle)).model_dump()
    elif cycle is not None:
        values["text"] = {"cycle": cycle}
    if seed is not None:
        values["compose"] = {"seed": seed}
    return values


def merged(settings: type[Config], file: dict[str, Any], changes: dict[str, Any], origin: str) -> Any:
    """Defaults, then the file, then the options, key by key."""
    values = settings.parse({}, origin).model_dump()
    for layer in (file, changes):
        for key, value in layer.items():
            values[key] = (
                {**values[key], **value} if isinstance(value, dict) and isinstance(values.get(key), dict) else value
            )
    return settings.parse(values, origin)


def finetune_run(
    corpus: Path,
    out: Path,
    config: Path | None,
    encoder: dict[str, Any],
    changes: dict[str, Any],
    cache: Path | None,
    no_val: bool = False,
) -> None:
    """Stage 1 from the command line.

    :param encoder: arch, transform and weights as given.
    """
    device = join()
    file = read_toml(config) if config else {}
    start = {**_encoder_section(file, config), **{k: v for k, v in encoder.items() if v is not None}}
    settings = merged(FinetuneSettings, file, changes, str(config or "options"))
    loaded = load_corpus(corpus)
    network = _start(start, start.pop("weights", None), settings.loop.seed, str(config or "options"))
    data = Data.of(loaded, settings.text, cache or corpus / ".cache", settings.loop.seed, not no_val)
    if settings.part != "image":
        network = _with_words(network, data, settings.text)
    model = run_finetune(data, network.to(device), settings, out)
    say(f"{out}: {_line(model.card['validation'])}")


def _encoder_section(file: dict[str, Any], config: Path | None) -> dict[str, Any]:
    """Take the section ``[encoder]`` out of the settings."""
    section = file.pop("encoder", {})
    if not isinstance(section, dict) or not isinstance(section.get("weights", ""), str):
        raise ConfigError(f"{config}: encoder = {section!r:.80}: expected a section with arch, transform, weights")
    return section


def _with_words(network: Encoder, data: Data, mode: TextMode) -> Encoder:
    """A small text encoder knows the words it was trained with; new ones of the training texts get rows too."""
    known = network.config.vocabulary
    if known is None:
        return network
    pairs = data.corpus.split(data.train)
    texts = (text for pair in pairs for edit in mode.edits for text in pair.texts_of(mode.source, edit))
    network = network.with_vocabulary(texts, keep=True)
    more = len(network.config.vocabulary or ()) - len(known)
    if more:
        say(f"{more:,} words are new to the text encoder")
    return network


def _start(encoder: dict[str, Any], weights: str | None, seed: int, origin: str) -> Encoder:
    if not encoder and weights and model_folder(weights).is_dir():  # a run folder says itself what it is
        return load_encoder(Path(weights))
    values = encoder if "model" in encoder else {"arch": "RN50", **encoder}
    return start_encoder(EncoderConfig.parse(values, origin), weights, seed)


def train_run(
    corpus: Path,
    clip: Path,
    out: Path,
    config: Path | None,
    changes: dict[str, Any],
    cache: Path | None,
    no_val: bool = False,
) -> None:
    """Stage 2 from the command line."""
    device = join()
    file = read_toml(config) if config else {}
    file.pop("encoder", None)
    settings = merged(CombinerSettings, file, changes, str(config or "options"))
    loaded = load_corpus(corpus)
    encoder = load_encoder(clip).to(device)
    data = Data.of(loaded, settings.text, cache or corpus / ".cache", settings.loop.seed, not no_val)
    model = train_combiner(data, encoder, settings, out)
    say(f"{out}: {_line(model.card['validation'])}")


def _line(metrics: dict[str, float]) -> str:
    values = ", ".join(f"{k} {v:.2f}" for k, v in metrics.items())
    return f"validation {values}" if values else "the last epoch, not validated"
