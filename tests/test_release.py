"""What a release states about itself is true, and stands in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import autocompose

ROOT = Path(__file__).parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text()


def test_the_version_has_one_source() -> None:
    assert 'dynamic = ["version"]' in PROJECT and not re.search(r"^version = \"", PROJECT, re.M)
    assert f"\nversion: {autocompose.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_addresses_of_the_project_stand_in_one_place() -> None:
    address = re.search(r'^Homepage = "(.*)"', PROJECT, re.M)[1]  # type: ignore[index]
    texts = [ROOT / "mkdocs.yml", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")]
    assert [path for path in texts if address in path.read_text()] == []


def test_systems_are_those_whose_modules_are_imported() -> None:
    only_posix = any("import resource" in path.read_text() for path in (ROOT / "src").rglob("*.py"))
    assert only_posix == ("Windows" not in PROJECT.partition("dependencies")[0])


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff"])
def test_files_that_people_look_for(name: str) -> None:
    assert (ROOT / name).stat().st_size > 300


def test_where_to_change_what_names_files_that_exist() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where to change what")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 10
    for what, files, tests in rows:
        paths = [word for word in re.findall(r"`([^`]+)`", files) if "/" in word]
        assert 1 <= len(paths) <= 3 and all((ROOT / "src/autocompose" / path).exists() for path in paths), what
        assert all((ROOT / path).exists() for path in re.findall(r"tests/[\w/.]+", tests)), what
