"""Imports go one way, and the command line starts without the heavy packages."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import autocompose

SRC = Path(autocompose.__file__).parent
# Each package with those that it may import from; a partial order, so that neighbours stay apart.
BELOW = {
    "core": set(),
    "web": {"core"},
    "corpus": {"core"},
    "bodies": {"core"},
    "estimate": {"core", "corpus", "bodies"},
    "describe": {"core", "web", "corpus", "bodies", "estimate"},
    "prepare": {"core", "corpus", "bodies", "estimate", "describe"},
    "model": {"core", "corpus", "bodies", "estimate", "describe"},
    "evaluate": {"core", "corpus", "bodies", "describe", "model"},
    "rerank": {"core", "corpus", "bodies", "describe", "model", "evaluate"},
    "train": {"core", "corpus", "bodies", "estimate", "describe", "prepare", "model", "evaluate"},
    "gallery": {"core", "web", "corpus", "bodies", "estimate", "describe", "model", "evaluate", "rerank"},
    "paper": {"core", "corpus", "model", "evaluate", "train"},
    "demo": {"core", "corpus", "bodies", "estimate", "describe", "prepare", "model", "evaluate", "train", "gallery"},
}
MOST_MODULES = 15


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SRC.rglob("*.py")}


def imports(path: Path, everywhere: bool = True, types: bool = True) -> set[str]:
    """Modules of ours that a module imports: ``from autocompose.a.b import c`` is a.b.c if that is a module, else a.b.

    :param everywhere: also inside functions. :param types: also what only annotations need (``if TYPE_CHECKING``).
    """
    tree = ast.parse(path.read_text("utf-8"))
    if not types:
        tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node))]
    nodes = ast.walk(tree) if everywhere else tree.body
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "autocompose":
            base = node.module.partition(".")[2]
            inner = {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
            names |= {name if name in MODULES else base for name in inner}
        if isinstance(node, ast.Import):
            names |= {a.name.partition(".")[2] for a in node.names if a.name.partition(".")[0] == "autocompose"}
    return names - {""}


def test_imports_are_read():
    assert "gallery.search" in imports(MODULES["gallery.server.app"])
    assert "bodies.sampling.limits" in imports(MODULES["bodies.sampling.sampler"])


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down(name):
    package = name.partition(".")[0]
    if package not in BELOW:  # the command line may import everything; the package itself imports lazily
        return
    above = {m for m in imports(MODULES[name]) if m.partition(".")[0] not in BELOW[package] | {package}}
    assert not above, f"{name} imports upwards: {sorted(above)}"


def test_no_circles():
    ahead = {name: imports(path, types=False) & set(MODULES) - {name} for name, path in MODULES.items() if name}
    ahead["model.model"] -= {"model.hub", "model.checkpoint"}  # a model loads and saves itself, for convenience
    while leaves := {name for name, needed in ahead.items() if not needed & set(ahead)}:
        ahead = {name: needed for name, needed in ahead.items() if name not in leaves}
    assert not ahead, f"modules that import each other, or what leads to them: {sorted(ahead)}"


def test_packages_are_small():
    counts = Counter(path.parent.relative_to(SRC) for path in SRC.rglob("*.py") if path.name != "__init__.py")
    crowded = {str(folder): count for folder, count in counts.items() if count > MOST_MODULES}
    assert not crowded, f"more than {MOST_MODULES} modules side by side: {crowded}"


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


MAX_LINES = 40
LONG = {
    "describe.reading.meaning._relation": "one rule of English a line",
}


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, without its docstring and the functions defined inside it."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    inner = [
        n for n in ast.walk(function) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n is not function
    ]
    total = function.end_lineno - body[0].lineno + 1 if body else 0
    return total - sum(n.end_lineno - n.lineno + 1 for n in inner)


def test_functions_are_short():
    long = {}
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and own_lines(node) > MAX_LINES:
                long[f"{name}.{node.name}"] = own_lines(node)
    assert long.keys() <= LONG.keys(), f"over {MAX_LINES} lines: split it, or add it to LONG with the reason: {long}"
    assert long.keys() == LONG.keys(), "LONG names a function that is short by now"
