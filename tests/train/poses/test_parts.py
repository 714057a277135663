"""The parts that composing on poses is measured on, and the figures of several seeds."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autocompose.bodies.skeleton import turn
from autocompose.core.errors import InputError
from autocompose.evaluate.metrics import bootstrap_means
from autocompose.model.small2.pose_net import TRUNK
from autocompose.prepare.bodycpr import frozen
from autocompose.train.poses import parts as module
from autocompose.train.poses.ablation import CELLS, PAIRS, settings_of
from autocompose.train.poses.figures import hits, summary
from autocompose.train.poses.fit import SmallSettings
from autocompose.train.poses.parts import Part, part_paths


def part(questions: list[tuple[str, int, int]]) -> Part:
    n = 16
    poses, found = np.zeros((n, 22, 3)), np.ones(n, bool)
    return Part(torch.zeros(n, TRUNK), poses, poses[..., 0], found, np.zeros(n, int), {"auto": questions})


def test_a_group_is_the_cube_without_the_reference():
    rows = part([("raise your left arm", 9, 12)]).rows("auto")
    assert rows.groups is not None and rows.groups[0].tolist() == [8, 10, 11, 12, 13, 14, 15]


def test_the_halves_share_no_file_and_have_all(tmp_path):
    first, second = (part_paths(tmp_path, name) for name in ("val-first", "val-second"))
    assert not set(first) & set(second)
    assert len(first) + len(second) == 8 * module.PRESET.val // module.CHUNK


def test_missing_files_are_named_with_what_makes_them(tmp_path):
    with pytest.raises(InputError, match=r"full-000\.npz: missing; run python -m autocompose\.train\.poses\.parts"):
        Part.read(tmp_path, "val-first")


def test_questions_by_a_multimodal_model_are_those_of_odd_cubes():
    names = frozen.load().names
    questions = module._test_questions()
    assert {int(names[target][:5]) % 2 for _, _, target in questions["mllm"]} == {1}
    assert all(names[a][:5] == names[b][:5] for rows in questions.values() for _, a, b in rows)


def test_an_interval_of_equal_seeds_is_that_of_one():
    rng = np.random.default_rng(0)
    one, clusters = rng.integers(0, 2, (40, 2)).astype(float), np.arange(40) // 4
    (row, _), low_high = summary(np.repeat(one[None], 3, 0), clusters), bootstrap_means(one, clusters)
    assert row["mean"] == pytest.approx(100 * one[:, 0].mean()) and len(row["seeds"]) == 3
    assert row["ci95"] == pytest.approx((100 * np.percentile(low_high[:, 0], [2.5, 97.5])).tolist())


def test_equal_scores_stand_in_gallery_order():
    rows = part([("", 0, 1), ("", 2, 1)]).rows("auto")
    scores = np.zeros((2, 16))
    assert hits(scores, rows)[:, 0].tolist() == [1, 0]  # picture 0 is the reference of the first question alone


def test_cells_change_what_they_say_and_nothing_else():
    shipped = SmallSettings.shipped()
    assert {name for pair in PAIRS for name in pair} <= set(CELLS)
    for name, changes in CELLS.items():
        changed, epochs = settings_of(name, 0, 5).model_dump(), {"loop": {"epochs": 5}}
        expected = shipped.model_dump()
        for section, values in {**changes, **epochs}.items():
            (expected if section == "own" else expected[section]).update(values)
        assert changed == expected


def test_the_poses_of_a_part_have_their_heading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, own = tmp_path / "full-000.npz", torch.rand(1, 22, 3)
    path.touch()
    seen = SimpleNamespace(seen=None, columns={"found": np.array([True]), "body": np.array([0])})
    monkeypatch.setattr(module, "part_paths", lambda folder, name: [path])
    monkeypatch.setattr(module.Data, "read", lambda paths: seen)
    lifted = (own, torch.tensor([np.pi / 2]), torch.full((1, 22), 0.1))
    monkeypatch.setattr(module.Lifter, "load", lambda: lambda looked_at: lifted)
    monkeypatch.setattr(module, "_val_questions", lambda folder, name: {"auto": []})
    part = Part.read(tmp_path, "val-first")
    assert np.allclose(part.joints, turn(own.numpy(), 90.0), atol=1e-6)
