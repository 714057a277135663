"""Settings of a training run: defaults, overridden by a file, then by options."""

from __future__ import annotations

import re
from typing import Any

from autocompose.core.config import Config
from autocompose.core.errors import ConfigError
from autocompose.core.text_fields import Source
from autocompose.train.sampling import TextMode


def text_mode(name: str, cycle: bool) -> TextMode:
    """``human_1``, ``rules-reverse_3``, ``mllm-mirror-reverse_3`` ... as a text mode.

    The names of the corpus format work too: ``sents_1``, ``auto_3``.

    :raises ConfigError: not such a name.
    """
    match = re.fullmatch(r"(human|sents|rules|auto|mllm)((?:-(?:mirror|reverse))*)_(\d+)", name)
    parts = match[2].split("-")[1:] if match else []
    if not match or len(set(parts)) < len(parts):
        raise ConfigError(f"texts {name!r}: expected human_N, rules_N or mllm_N, with -mirror, -reverse before the _N")
    values = {"mirror": "mirror" in parts, "reverse": "reverse" in parts, "texts": int(match[3]), "cycle": cycle}
    return TextMode.parse({"source": Source(match[1]), **values}, f"texts {name!r}")


def changed_settings(
    texts: str | None,
    cycle: bool | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    seed: int | None,
    tracker: str | None,
) -> dict[str, Any]:
    """The given options as nested settings."""
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
