"""The examples run, each with tiny settings, and each leaves its picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from autocompose.prepare.bodycpr.clusters import prepare_bodycpr

    folder = tmp_path_factory.mktemp("examples")
    prepare_bodycpr(folder / "corpus", "tiny")
    return folder


def example(folder: Path, name: str, *arguments: str, picture: str) -> str:
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with Image.open(folder / picture / f"{name}.png") as shown:
        assert len(shown.convert("RGB").getcolors(1 << 20) or range(99)) > 20  # something is drawn
    return done.stdout


def test_search(folder: Path) -> None:
    reference = next((folder / "corpus/images").iterdir())
    arguments = (str(folder / "corpus/images"), "raise your left arm", "--reference", str(reference))
    said = example(folder, "search_photos", *arguments, picture="search")
    assert len(said.splitlines()) == 5 and reference.name not in said


def test_train_then_evaluate(folder: Path) -> None:
    said = example(folder, "train_on_corpus", "corpus", "--epochs", "1", picture="runs")
    assert "rule texts: " in said
    models = ("runs/clip", "runs/combiner")
    said = example(folder, "evaluate_and_compare", "corpus", *models, picture=".")
    assert "group_recall_at1" in said and "p = " in said


def test_annotate(folder: Path) -> None:
    said = example(folder, "annotate_with_model", "corpus", "--pairs", "2", picture="annotated")
    assert "mllm: 2 in, 2 kept" in said and "% supported by the poses" in said


def test_every_example_is_described_with_its_picture() -> None:
    page = (ROOT / "examples/README.md").read_text()
    for path in (ROOT / "examples").glob("*.py"):
        assert f"`{path.name} " in page and f"({path.stem}.png)" in page
        assert path.with_suffix(".png").stat().st_size > 5000
