from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autocompose.core.records import Split
from autocompose.corpus.about import About
from autocompose.prepare.adapter import Stage
from tests.fixtures.corpora import make_corpus


def test_pictures_of_a_split_without_pairs_are_not_dropped_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "raw")
    corpus = replace(corpus, root=tmp_path / "raw", pairs={**corpus.pairs, Split.TEST: ()})
    stage = Stage(tmp_path / "out", {"verb": "x"})
    done = stage.finish(corpus, About(name="x"), [], 0, 0)
    assert set(done.pairs) == set(done.galleries) == {Split.TRAIN}
    assert "test: no pair is left, so its 8 pictures are in no gallery" in capsys.readouterr().err
