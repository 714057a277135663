"""Corpora, pictures and audits made by two Ray workers are those of one process."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest

from autocompose.core.ray_workers import RayWorkers, on_ray
from autocompose.core.records import Pair, Split
from autocompose.corpus.format import Corpus
from autocompose.corpus.poses import PoseTable
from autocompose.describe.audit import corpus as audit
from autocompose.describe.audit.corpus import audit_corpus
from autocompose.prepare.photos.photographs import prepare_folder
from autocompose.prepare.rendering.renders import PoseSet, render_poses
from tests.describe.audit.poses import random_joints
from tests.fixtures.bar_finder import BarFinder
from tests.fixtures.photos import make_photos
from tests.fixtures.tree import tree
from tests.prepare.photos.test_photographs import SMALL, WIDE


def prepared(photos: str | Path, out: Path) -> dict[str, bytes]:
    """Every file of a corpus but those that name where it was made."""
    prepare_folder(photos, out, wanted=SMALL, mining=WIDE, finder=BarFinder())
    names = ("captions/", "images/", "image_splits/", "people/", "poses.npz")
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.relative_to(out).as_posix().startswith(names)
    }


def test_photos_at_an_address_make_the_same_corpus(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    for path in photos.rglob("*"):
        if path.is_file():
            fs.pipe(f"/photos/{path.relative_to(photos).as_posix()}", path.read_bytes())
    here, there = prepared(photos, tmp_path / "here"), prepared("memory://photos", tmp_path / "there")
    assert {name for name in here if name.startswith("images/")} == {n for n in there if n.startswith("images/")}
    pictures = [name for name in here if name.startswith("images/")]
    assert pictures and all(here[name] == there[name] for name in pictures)
    before = tree(tmp_path / "there")
    prepared("memory://photos", tmp_path / "there")
    assert tree(tmp_path / "there") == before


def audited(root: Path, joints: np.ndarray, out: Path) -> list[object]:
    names = tuple(f"{i}.png" for i in range(len(joints)))
    table = PoseTable(names, joints.astype(np.float32), np.zeros(len(joints), np.float32))
    texts = {
        "sents": ("Raise your left hand and bend the right knee.", "Nothing."),
        "reverse": ("Lower the left arm.",),
    }
    pairs = tuple(Pair(names[i], names[i + 1], (), dict(texts)) for i in range(len(names) - 1))
    summaries, tally = audit_corpus(Corpus(root, {Split.TEST: pairs}, {Split.TEST: names}, table), (), (), False, out)
    return [[summary.to_json() for summary in summaries], tally.record()]


def test_shards_of_an_audit_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joints = random_joints(25, 1)
    whole = audited(tmp_path, joints, tmp_path / "whole.jsonl")
    monkeypatch.setattr(audit, "SHARD", 7)
    assert audited(tmp_path, joints, tmp_path / "parts.jsonl") == whole
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster", "fast_render")
def test_two_workers_make_what_one_process_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SHARD", 7)
    photos, joints = make_photos(tmp_path / "photos"), random_joints(25, 1)
    names = tuple(f"a/{i}.png" for i in range(40))
    poses = PoseSet(names, np.random.default_rng(0).normal(size=(40, 22, 3)), np.zeros(40, np.float32))

    def work(out: Path) -> list[object]:
        render_poses(poses, out / "renders", size=16)
        return [prepared(photos, out / "corpus"), audited(tmp_path, joints, out / "audit.jsonl"), tree(out / "renders")]

    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = work(tmp_path / "here")
    with on_ray(RayWorkers(2)):
        assert work(tmp_path / "there") == here
    assert (tmp_path / "here/audit.jsonl").read_bytes() == (tmp_path / "there/audit.jsonl").read_bytes()
