"""Models by name: a folder of this machine, or a repository on the Hugging Face hub; sharing models and data there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader

from autocompose.core.errors import AutocomposeError, CheckpointError, InputError
from autocompose.core.files import read_json
from autocompose.core.log import say
from autocompose.corpus.about import About
from autocompose.model.bundled import model_folder
from autocompose.model.checkpoint import load_model
from autocompose.model.model import Model

HUB = "hf://"
CARD = "README.md"
FILES = ("model.json", "model.safetensors")
EXPORT = ("pairs/*.parquet", "pictures/*.parquet", "*.tar", "poses.npz", "about.json", CARD)


def load(source: str | Path = "small") -> Model:
    """Open a model, in eval mode on the CPU.

    :param source: a run folder, ``small`` (the model of this package), or ``hf://OWNER/NAME`` for a repository on the
        hub, which is downloaded.
    :raises CheckpointError: there is no such folder or repository, or it holds no model.
    """
    name = str(source)
    if not name.startswith(HUB):
        return load_model(source)
    from huggingface_hub import snapshot_download

    with _hub(f"{name}: cannot be downloaded"):
        return load_model(Path(snapshot_download(name.removeprefix(HUB), allow_patterns=list(FILES))))


def push_to_hub(folder: Path, name: str, private: bool = False) -> str:
    """Upload a model with a model card, or an exported corpus with its dataset card; the user's own login is used.

    Everything is checked before a repository is made: the files, the name, the login. A card that the folder or the
    repository has already is kept.

    :param folder: a run folder, ``small``, or a folder that ``autocompose export`` wrote.
    :return: the address.
    :raises CheckpointError: nothing to share, or the hub refuses; InputError: data that may not be passed on.
    """
    folder = model_folder(folder)
    export = any(any(folder.glob(pattern)) for pattern in EXPORT[:3])
    kind: Literal["dataset", "model"] = "dataset" if export else "model"
    files = _data_files(folder, private) if export else _model_files(folder, name)
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.utils import validate_repo_id

    with _hub(f"{name}: not pushed"):
        validate_repo_id(name)
        api = HfApi()
        api.whoami()
        new = not api.repo_exists(name, repo_type=kind)
        if CARD in files and not new and not (folder / CARD).exists() and api.file_exists(name, CARD, repo_type=kind):
            say(f"{name}: keeps its existing card")
            del files[CARD]
        if new:
            api.create_repo(name, private=private, repo_type=kind)
    made = ("; the repository is made and empty" if new else "") + "; push again"
    with _hub(f"{name}: upload failed{made}"):
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        commit = api.create_commit(name, operations, commit_message="Upload by autocompose", repo_type=kind)
    return str(commit.repo_url)


@contextmanager
def _hub(what: str) -> Iterator[None]:
    """Turn any exception of the hub's library into one line."""
    try:
        yield
    except AutocomposeError:
        raise
    except Exception as error:
        reason = next(iter(str(error).split("\n")), "") or type(error).__name__
        raise CheckpointError(f"{what} ({reason})") from None


def _model_files(folder: Path, name: str) -> dict[str, Any]:
    """Path in the repository -> file or bytes."""
    load_model(folder)  # nothing that would not load is shared
    card = (folder / CARD).read_bytes() if (folder / CARD).exists() else model_card(folder, name).encode()
    return {**{file: folder / file for file in FILES}, CARD: card}


def _data_files(folder: Path, private: bool) -> dict[str, Any]:
    if not (folder / CARD).exists():
        raise CheckpointError(f"{folder}: an unfinished export without {CARD}; run `autocompose export` again")
    about = About.of(folder)
    if not private and about.redistribution == About(name="").redistribution:
        raise InputError(
            f"{folder / 'about.json'}: does not state that the data may be redistributed; state it as "
            "`redistribution`, or push with --private"
        )
    say(f"{folder}: redistribution: {about.redistribution}")
    paths = sorted({path for pattern in EXPORT for path in folder.glob(pattern)})
    return {path.relative_to(folder).as_posix(): path for path in paths}


def model_card(folder: Path, name: str) -> str:
    """The README of a shared model: the model, its training data and its results.

    :param folder: a run folder; the card has test figures if ``autocompose evaluate`` has written them there.
    :param name: ``OWNER/NAME`` on the hub.
    """
    info = read_json(folder / "model.json")
    card = info.get("card", {})
    settings = card.get("settings", {})
    text = settings.get("text", {})
    edits = [edit for edit in ("mirror", "reverse", "cycle") if text.get(edit)]
    encoder = info["encoder"]
    figures = {"Validation": card.get("validation"), "Test": card.get("test")}
    if (folder / "test/metrics.json").exists():
        figures["Test"] = read_json(folder / "test/metrics.json")
    loader = PackageLoader("autocompose.model", "templates")
    environment = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return environment.get_template("model_card.md").render(
        name=name,
        card=card,
        architecture=encoder.get("arch") or _sizes(encoder.get("model", {})),
        composer=info["composer"]["kind"],
        transform=encoder.get("transform"),
        pairs=f"{card['train']['kept']:,}" if "kept" in card.get("train", {}) else "not stated",
        texts=" with ".join([text.get("source", "not stated"), *([", ".join(edits)] if edits else [])]),
        loop={
            key: settings.get("loop", {}).get(key, "?")
            for key in ("epochs", "batch_size", "learning_rate", "precision", "seed")
        },
        first=settings.get("encoder", "not stated"),
        data=settings.get("data", "not stated"),
        figures={title: _percentages(metrics) for title, metrics in figures.items() if metrics},
    )


def _sizes(model: dict[str, Any]) -> str:
    vision = json.dumps(model.get("vision_cfg", {}))
    return f"own sizes: {model.get('embed_dim', '?')} numbers for each picture and text; `{vision}`"


def _percentages(metrics: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if "recall" in key and isinstance(value, (int, float))}
