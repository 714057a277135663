from __future__ import annotations

from pathlib import Path

import pytest

from autocompose.core.config import Config
from autocompose.core.errors import ConfigError


class Settings(Config):
    rate: float = 0.1
    steps: int = 5


def test_files_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("rate = 0.5\n")
    assert Settings.load(path) == Settings(rate=0.5, steps=5)
    assert Settings.load(path, steps=7, rate=None) == Settings(rate=0.5, steps=7)
    with pytest.raises(Exception, match="frozen"):
        Settings().rate = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rat = 1", r"x.toml: unknown key 'rat'; allowed: rate, steps"),
        ("steps = 'many'", r"x.toml: steps = 'many': .*integer"),
        ("steps = ", r"x.toml: not valid TOML"),
    ],
)
def test_errors_name_file_key_and_what_is_allowed(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        Settings.load(tmp_path / "x.toml")
    with pytest.raises(ConfigError, match=r"none\.toml: file not found"):
        Settings.load(tmp_path / "none.toml")
