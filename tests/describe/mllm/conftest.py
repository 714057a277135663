from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from autocompose.corpus.format import Corpus
from tests.simulator.figures import figure_corpus


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return figure_corpus(tmp_path_factory.mktemp("figures"), 4)


@pytest.fixture
def corpus(figures: Corpus, tmp_path: Path) -> Corpus:
    """Four pairs of stick figures, a copy for this test."""
    root = tmp_path / "corpus"
    shutil.copytree(figures.root, root)
    return replace(figures, root=root)
