"""Models by name: a folder of this machine, or a repository on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from autocompose.core.errors import CheckpointError
from autocompose.model.checkpoint import Model, load_model

HUB = "hf://"
FILES = ("model.json", "model.safetensors")


def load(source: str | Path) -> Model:
    """Open a model.

    :param source: a run folder, ``small`` (the model of this package), or ``hf://OWNER/NAME`` for a repository on the
        hub, which is downloaded.
    :raises CheckpointError: there is no such folder or repository, or it holds no model.
    """
    name = str(source)
    if not name.startswith(HUB):
        return load_model(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return load_model(Path(snapshot_download(name.removeprefix(HUB), allow_patterns=list(FILES))))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise CheckpointError(f"{name}: cannot be downloaded ({str(error).splitlines()[0]})") from None


def push_to_hub(folder: Path, name: str, private: bool = False) -> str:
    """Upload a model's files; the user's own hub login is used.

    :return: the address.
    :raises CheckpointError: the folder holds no model, or the hub refuses.
    """
    load_model(folder)  # nothing that would not load is shared
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=list(FILES)))
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"{name}: the hub refuses ({str(error).splitlines()[0]})") from None
