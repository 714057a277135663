import sys
from pathlib import Path

import anny
import numpy as np
import pytest
from anny.paths import get_anny_cache_path, set_anny_cache_path
from safetensors import SafetensorError

from autocompose.bodies.rendering.body import Body
from autocompose.bodies.rendering.rig import load_anny
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import DependencyError, StorageError


class FakeAnny:
    """Writes caches as anny does; ``fail`` breaks off in the middle, as a killed process would."""

    built = 0
    fail: BaseException | None = None

    def __init__(self, skinning_method: str) -> None:
        data = Path(get_anny_cache_path()) / "v14"
        if (data / "build_compact_model_data_0.safetensors").exists():
            return
        assert not data.exists(), "left-overs of an earlier build would be taken for whole"
        data.mkdir(parents=True)
        (data / "load_data_0.safetensors").write_bytes(b"large")
        if FakeAnny.fail:
            raise FakeAnny.fail
        (data / "build_compact_model_data_0.safetensors").write_bytes(b"small")
        FakeAnny.built += 1


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = get_anny_cache_path()
    monkeypatch.setattr(anny, "Anny", FakeAnny)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    FakeAnny.built, FakeAnny.fail = 0, None
    yield tmp_path / "cache"
    set_anny_cache_path(before)


def test_the_cache_is_built_once_and_keeps_only_what_is_needed(home: Path, capfd: pytest.CaptureFixture) -> None:
    load_anny()
    assert "takes a few seconds, once" in capfd.readouterr().err
    load_anny()
    assert FakeAnny.built == 1 and capfd.readouterr().err == ""
    assert [p.name for p in home.rglob("*.safetensors")] == ["build_compact_model_data_0.safetensors"]


def test_a_build_that_was_cut_short_begins_again(home: Path) -> None:
    for fail, shown in ((KeyboardInterrupt(), KeyboardInterrupt), (SafetensorError("disk full"), StorageError)):
        FakeAnny.fail = fail
        with pytest.raises(shown):
            load_anny()
    FakeAnny.fail = None
    load_anny()
    assert FakeAnny.built == 1


def test_a_cache_folder_that_cannot_be_written_is_named(home: Path) -> None:
    home.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match=r"cannot be written.*XDG_CACHE_HOME"):
        load_anny()


def test_a_model_that_is_ready_is_read_where_nobody_may_write(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_anny()
    (lock,) = home.rglob("lock")
    lock.unlink()
    monkeypatch.setattr("autocompose.bodies.rendering.rig.alone", lambda _: pytest.fail("needs no lock"))
    monkeypatch.setattr(
        "autocompose.bodies.rendering.rig.writable_cache", lambda: pytest.fail("needs no place to write")
    )
    load_anny()
    assert FakeAnny.built == 1


def test_a_missing_anny_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anny", None)
    with pytest.raises(DependencyError, match=r"autocompose\[demo\]"):
        load_anny()


def test_every_vertex_is_carried_in_full(body: Body) -> None:
    np.testing.assert_allclose(body._weights.sum(1), 1, atol=1e-5)
    assert body._weights.min() >= 0
    idle = {i for i, total in enumerate(body._weights.sum(0)) if total < 1}
    assert idle == {SMPL22.index("left_elbow"), SMPL22.index("right_elbow")}  # forearms are twisted bones only
