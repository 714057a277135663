"""Models by what names them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from autocompose.core.errors import ConfigError, InputError
from autocompose.model.bundled import FOLDER, NAME, model_folder
from autocompose.model.embedders.embedder import Embedder
from autocompose.model.embedders.options import EmbedderOptions

if TYPE_CHECKING:
    from autocompose.model.model import Model

TAG, SENTENCE, HUB = "pretrained:", "st:", "hf://"
ADDRESS = ("http://", "https://")


def known_model(name: str) -> str | None:
    """What opens the model that a gallery names, judging by the name alone; None: nothing does.

    A gallery of the package's own model names the folder that it lay in, which moves with the package.
    """
    if name.startswith((TAG, SENTENCE, HUB, *ADDRESS)) or (name and Path(name).exists()):
        return name
    return NAME if name == NAME or Path(name).name == FOLDER.name else None


def is_download(name: str) -> bool:
    """Whether opening a model by this name may download its weights."""
    repository = name.startswith(SENTENCE) and not Path(name.removeprefix(SENTENCE)).is_dir()
    return repository or name.startswith((TAG, HUB))


def open_embedder(name: str | Path, options: EmbedderOptions | None = None, consent: bool = False) -> Embedder:
    """A model by what names it.

    :param name: a run folder, ``small``, or ``hf://OWNER/NAME``; a weight file of a CLIP, or a folder of transformers'
        CLIPModel; a folder in open_clip's format, or ``pretrained:TAG``; ``st:NAME_OR_FOLDER`` for
        sentence-transformers; ``URL#NAME`` for an embeddings endpoint.
    :param consent: pictures may be sent to the host of an endpoint.
    :raises CheckpointError: it is none of these; ConfigError: no such address, no key, or options that do not apply.
    """
    text, options = str(name), options or EmbedderOptions()
    if text.startswith(ADDRESS):
        from autocompose.model.embedders.endpoint.endpoint_model import EndpointModel

        return EndpointModel(text, options, consent)
    if text.startswith(SENTENCE):
        from autocompose.model.embedders.sentence_model import SentenceModel

        return SentenceModel(text.removeprefix(SENTENCE), options)
    if text.startswith(HUB):
        from autocompose.model.hub import load

        _require(text, options)
        return as_embedder(load(text))
    return _local(text, model_folder(name), options)


def _local(text: str, path: Path, options: EmbedderOptions) -> Embedder:
    from autocompose.model.embedders.open_clip_model import OpenClipModel, is_open_clip_folder
    from autocompose.model.embedders.own import RunFolder, WeightFile

    if text.startswith(TAG) or is_open_clip_folder(path):
        _require(text, options, "text_weight", "batch_size")
        return OpenClipModel(text if text.startswith(TAG) else str(path), options.text_weight, options.batch_size)
    if path.is_file() or (path.is_dir() and not (path / "model.json").exists()):
        _require(text, options, "text_weight")
        return WeightFile(path, options.text_weight)
    _require(text, options)
    return RunFolder(Path(text))


def _require(name: str, options: EmbedderOptions, *applicable: str) -> None:
    """:raises ConfigError: an option is set that this kind of model has no use for."""
    idle = sorted(options.changed().keys() - set(applicable))
    if idle:
        names = ", ".join(option.replace("_", "-") for option in idle)
        has = f"only {' and '.join(applicable).replace('_', '-')}" if applicable else "no options"
        raise ConfigError(f"{name}: {names} has no effect on this model; it takes {has}")


def results_folder(name: str) -> Path:
    """Where the results of a model go unless the user says: its run folder, else a folder of its name here."""
    foreign = name.startswith((TAG, SENTENCE, HUB, *ADDRESS))
    return Path(re.sub(r"[^\w.-]+", "-", name.partition("://")[2] or name).strip("-.")) if foreign else Path(name)


def as_embedder(model: Embedder | Model | str | Path) -> Embedder:
    """A model, or the name of one, as an embedder.

    :raises CheckpointError: there is no model of that name; InputError: not a model.
    """
    if isinstance(model, Embedder):
        return model
    if isinstance(model, (str, Path)):
        return open_embedder(model)
    if hasattr(model, "compose_features"):
        from autocompose.model.embedders.own import LoadedModel

        return LoadedModel(cast("Model", model))
    raise InputError(f"model: a {type(model).__name__}; expected a run folder, or a model from autocompose.load")
