"""Options of the verbs that take any multimodal embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

PEER = "Models that are not ours"
MODELS = (
    "Run folder; small (the built-in model); a CLIP weight file (.pt, .safetensors); pretrained:TAG or a folder in "
    "open_clip's format; st:NAME_OR_FOLDER (sentence-transformers); or URL#NAME (an embeddings endpoint)."
)
QueryPrompt = Annotated[
    str | None,
    typer.Option(
        help="Instruction for queries; '' = none.", show_default="one for changes of pose", rich_help_panel=PEER
    ),
]
DocumentPrompt = Annotated[
    str | None,
    typer.Option(
        help="Instruction for the pictures of a gallery.", show_default="the model's own", rich_help_panel=PEER
    ),
]
TextWeight = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Add normalised features of picture and text, with this weight of the text.",
        show_default="the model's own composition; without one fitted on val, else 0.5",
        rich_help_panel=PEER,
    ),
]
ModelOptions = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="TOML file with these and more settings, such as body, key_env, picture_side and limits.",
        show_default="none",
        rich_help_panel=PEER,
    ),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Consent to send the pictures to the host that is named.",
        rich_help_panel=PEER,
    ),
]


def model_changes(
    file: Path | None, query_prompt: str | None, document_prompt: str | None, text_weight: float | None
) -> dict[str, Any]:
    """The settings that the user gives; options win over the file."""
    from autocompose.core.config import read_toml

    given = {"query_prompt": query_prompt, "document_prompt": document_prompt, "text_weight": text_weight}
    return {**(read_toml(file) if file else {}), **{name: value for name, value in given.items() if value is not None}}
