from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.embedders import sentence_clip, sentence_joint, siglip_folder


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return siglip_folder(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="session")
def st_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    return sentence_clip(tmp_path_factory.mktemp("st-clip"))


@pytest.fixture(scope="session")
def st_joint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    return sentence_joint(tmp_path_factory.mktemp("st-joint"))


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of the hub, whatever the test does."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
