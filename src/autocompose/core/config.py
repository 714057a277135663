"""Settings: pydantic models read from TOML; unknown keys are refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from autocompose.core.errors import ConfigError, InputError
from autocompose.core.reading.plain import decode, read_file

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

C = TypeVar("C", bound="Config")
MAX_TOML = 1 << 20  # bytes
SHOWN = 5  # faults of one file that are named


class Config(BaseModel):
    """Base of all settings. Frozen; unknown keys are an error that lists the allowed ones; numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def parse(cls: type[C], values: dict[str, Any], origin: str = "settings") -> C:
        """Build from a dictionary.

        :param origin: file or place that the values come from, named in errors.
        :raises ConfigError: unknown key, wrong type or value out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{origin}: {_explain(cls, error)}") from None

    @classmethod
    def load(cls: type[C], path: Path, **overrides: Any) -> C:
        """Read a TOML file; ``overrides`` that are not None win over the file.

        :raises ConfigError: file missing, not TOML, or values refused by ``parse``.
        """
        return cls.parse({**read_toml(path), **{k: v for k, v in overrides.items() if v is not None}}, str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file, with or without a byte order mark.

    :raises ConfigError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(decode(read_file(path, MAX_TOML), path).replace("\r\n", "\n"))
    except InputError as error:
        raise ConfigError(str(error)) from None
    except ValueError as error:  # TOMLDecodeError, and what Python's numbers and dates refuse
        raise ConfigError(f"{path}: not valid TOML ({error})") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML (nested too deeply)") from None


def _explain(cls: type[BaseModel], error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        key = ".".join(str(step) for step in item["loc"])
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown key {_short(key)}; allowed: {', '.join(_owner(cls, item['loc']).model_fields)}")
        else:
            said = item["msg"].removeprefix("Value error, ")
            value = "" if item["type"] == "missing" else f" = {_short(item.get('input'))}"
            parts.append(f"{key}{value}: {said}" if key else said)
    return "; ".join(parts[:SHOWN]) + (f"; and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _owner(cls: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """The settings class that a nested key belongs to, as far as plain nesting tells."""
    for step in place[:-1]:
        field = cls.model_fields.get(str(step))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        cls = inner
    return cls
