"""Imports go one way, and the command line starts without the heavy packages."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import autocompose

SRC = Path(autocompose.__file__).parent
LAYERS = [
    "core", "corpus", "bodies", "estimate", "describe", "prepare", "model", "train", "evaluate", "gallery", "demo",
    "cli",
]  # fmt: skip


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("autocompose."):
            found.add(node.module.split(".")[1])
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("autocompose.")}
    return found


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: str(p.relative_to(SRC)))
def test_imports_go_one_way(path):
    layer = path.relative_to(SRC).parts[0]
    if layer not in LAYERS:
        return
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    assert imports(path) <= allowed, f"{path} imports upwards: {imports(path) - allowed}"


def test_the_command_line_imports_nothing_heavy():
    heavy = "('torch', 'open_clip', 'fastapi', 'anny', 'openai', 'matplotlib', 'scipy')"
    code = f"import sys; import autocompose.cli as c; c.load_verbs(); print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(out) == []


def test_public_names_exist():
    for name in autocompose.__all__:
        assert getattr(autocompose, name) is not None


def test_no_internal_paths_are_committed():
    banned = ("/work/", "/tmp/w", "../shared")
    for path in [*SRC.rglob("*.py"), *SRC.rglob("*.toml")]:
        text = path.read_text()
        assert not any(word in text for word in banned), path
