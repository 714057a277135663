from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from autocompose.bodies.kinematics import forward
from autocompose.bodies.motion import bvh
from autocompose.bodies.motion.mocap import clip_files
from autocompose.bodies.pose_frame import remove_yaw
from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.cli.app import run
from autocompose.core.errors import InputError
from autocompose.core.log import Tally
from autocompose.core.records import Split
from autocompose.corpus.about import About
from autocompose.corpus.validate import validate
from autocompose.prepare.bodycpr.bases import TEST_CLIPS, VAL_CLIPS
from autocompose.prepare.motion.clips import Kind, motion_files, prepare_motion, read_clips, read_joints, split_motions
from autocompose.prepare.motion.smpl import read_sequence
from autocompose.prepare.pairing.diverse import farthest
from autocompose.prepare.pairing.mined import Mining
from tests.fixtures.bvh import write_dialect
from tests.fixtures.bvh_dialects import DIALECTS
from tests.fixtures.motion import LENGTH, make_motions, walk, write_bvh

WIDE = Mining(gap=3.0, low=0.3, high=0.99, texts=1)


@pytest.mark.usefixtures("fast_render")
@pytest.mark.parametrize("kind", [Kind.BVH, Kind.SMPL, Kind.NPZ])
def test_motion_files_become_a_sound_corpus(tmp_path: Path, kind: Kind) -> None:
    source = make_motions(tmp_path / "raw", str(kind))
    up = "z" if kind is Kind.SMPL else "y"
    corpus = prepare_motion(source, tmp_path / "out", kind, up=up, count=60, mining=WIDE, size=16)
    assert corpus.poses is not None and len(corpus.poses.names) == 60
    assert not [fault for check in validate(tmp_path / "out", images=True) for fault in check.faults]
    assert corpus.pairs[Split.TRAIN] and corpus.pairs[Split.TEST]
    assert all(p.texts["auto"] for p in corpus.pairs[Split.TEST])
    sequences = {s: {n.rsplit("/", 1)[0] for n in g} for s, g in corpus.galleries.items()}
    assert not set.intersection(*sequences.values())


@pytest.mark.parametrize("kind", [Kind.BVH, Kind.SMPL, Kind.NPZ])
def test_every_kind_reads_the_same_motion(tmp_path: Path, kind: Kind) -> None:
    """The files hold the same walks; the poses must have the same bone directions, heading included."""
    source = make_motions(tmp_path / "raw", str(kind), n=1)
    up = "z" if kind is Kind.SMPL else "y"
    clip = read_clips(motion_files(source, kind), kind, up, Tally("x"))[0]
    found, expected = forward(clip.rotations)[0], forward(walk(0))[0]
    # metres; of a BVH trunk only hips, neck and head are used, so its spine is interpolated
    assert np.linalg.norm(found - expected, axis=-1).mean() < (0.04 if kind is Kind.BVH else 0.03)
    assert clip.time[-1] == pytest.approx((len(expected) - 1) / 30, abs=1e-3)


def test_farthest_is_the_slow_greedy_choice() -> None:
    points = np.random.default_rng(0).normal(size=(60, 22, 3)).astype(np.float32)
    slow = [0]
    for _ in range(14):
        gaps = [min(np.linalg.norm(points[i] - points[k], axis=-1).mean() for k in slow) for i in range(len(points))]
        slow.append(int(np.argmax(gaps)))
    assert farthest(points, 15).tolist() == slow
    assert len(farthest(np.repeat(points[:4], 5, 0), 20)) == 4  # equal poses are taken once
    assert farthest(points[:0], 3).tolist() == []
    few = farthest(points, 60, apart=1.2)
    gaps = np.linalg.norm(points[few][:, None] - points[few][None], axis=-1).mean(-1)
    assert gaps[~np.eye(len(few), dtype=bool)].min() > 1.2


def test_splits_hold_whole_motions_and_about_their_shares() -> None:
    names = [f"m{i}" for i in range(40) for _ in range(3 + i % 5)]
    splits = split_motions(names, 0)
    share = {s: sum(splits[n] is s for n in names) / len(names) for s in Split}
    assert 0.15 < share[Split.TEST] < 0.25 and 0.05 < share[Split.VAL] < 0.15
    assert splits == split_motions(names, 0) != split_motions(names, 1)
    assert set(split_motions(["a", "a", "b"], 0).values()) == {Split.TRAIN}


def test_damaged_files_are_counted_and_wrong_input_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_motions(tmp_path / "raw", "bvh", n=3)
    path = write_bvh(source / "broken.bvh", walk(9))
    path.write_text(path.read_text()[:-200])
    (source / "other.bvh").write_text("no motion")
    np.savez(tmp_path / "x.npz", joints=np.zeros((3, 19, 3)))
    tally = Tally("motion files")
    assert len(read_clips(motion_files(source, Kind.BVH), Kind.BVH, "y", tally)) == 3
    assert tally.dropped["unreadable"] == 2 and "broken.bvh" in capsys.readouterr().err
    with pytest.raises(InputError, match="no motion file could be read"):
        read_clips({"x": tmp_path / "x.npz"}, Kind.NPZ, "y", Tally("x"))
    assert r"J in [17, 22, 23, 24, 33, 52], got (3, 19, 3)" in capsys.readouterr().err
    np.savez(tmp_path / "y.npz", poses=np.zeros((3, 66)), fps=30)
    with pytest.raises(InputError, match=r"y\.npz: no array joints or keypoints3d; there are fps, poses"):
        read_joints(tmp_path / "y.npz")
    with pytest.raises(InputError, match=r"x\.npz: no array poses or .*; there are joints"):
        read_sequence(tmp_path / "x.npz")
    with pytest.raises(InputError, match="file or folder not found"):
        motion_files(tmp_path / "no", Kind.BVH)
    with pytest.raises(InputError, match=r"no \.npz or \.pkl or \.npy file"):
        motion_files(source, Kind.SMPL)
    assert motion_files(path, Kind.BVH) == {"broken": path}


BAD: list[tuple[list[str], str]] = [
    (["--count", "0"], "Invalid value for '--count'"),
    (["--size", "0"], "Invalid value for '--size'"),
    (["--yaw", "-5"], "Invalid value for '--yaw'"),
    (["--wordings", "-1"], "Invalid value for '--wordings'"),
    (["--processes", "0"], "Invalid value for '--processes'"),
    (["--low", "0.99", "--high", "0.5"], "similarity 0.99 to 0.5: expected low below high"),
    (["--gap", "0"], "gap 0.0: expected seconds, above 0"),
    (["--up", "w"], "up axis 'w': expected y or z or -y"),
]


@pytest.mark.parametrize(("options", "words"), BAD)
def test_options_out_of_range_are_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    source = make_motions(tmp_path / "raw", "npz", n=1)
    assert run(["prepare", "npz", str(source), str(tmp_path / "out"), *options]) == 2
    assert words in " ".join(re.sub(r"[│\s]+", " ", capsys.readouterr().err).split())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fast_render")
@pytest.mark.skipif(not clip_files(), reason="pybullet is not installed")
def test_public_clips_are_divided_as_in_the_benchmark(tmp_path: Path) -> None:
    corpus = prepare_motion(None, tmp_path / "out", Kind.CLIPS, count=200, mining=WIDE, size=8)
    clips = {s: {n.split("/")[0] for n in gallery} for s, gallery in corpus.galleries.items()}
    assert clips[Split.TEST] == set(TEST_CLIPS) and clips[Split.VAL] == set(VAL_CLIPS)
    assert len(clips[Split.TRAIN]) == 10


def test_headings_are_drawn_within_the_bound(tmp_path: Path, fast_render: None) -> None:
    source = make_motions(tmp_path / "raw", "npz", n=3)
    corpus = prepare_motion(source, tmp_path / "out", Kind.NPZ, count=30, yaw=30, mining=WIDE, size=16)
    assert corpus.poses is not None
    assert 15 < np.abs(corpus.poses.yaw).max() <= 30
    turned = forward(corpus.poses.columns["rotations"].astype(float))[0]
    still = forward(
        prepare_motion(source, tmp_path / "b", Kind.NPZ, count=30, mining=WIDE, size=16).poses.columns["rotations"]
    )[0]  # type: ignore[union-attr]
    np.testing.assert_allclose(remove_yaw(turned), still, atol=1e-4)


def test_files_of_every_ending_and_name_are_read(tmp_path: Path) -> None:
    poses = walk(3).reshape(-1, 66)
    (tmp_path / "RUN.PKL").write_bytes(pickle.dumps({b"smpl_poses": poses}))
    np.savez(tmp_path / "run.npz", poses=poses)
    (tmp_path / "run.npz").rename(tmp_path / "run.NPZ")
    np.save(tmp_path / "saved.npy", poses)
    np.save(tmp_path / "dictionary.npy", {"poses": poses, "fps": 30}, allow_pickle=True)  # type: ignore[arg-type]
    np.save(tmp_path / "walk.npy", poses)
    np.savez(tmp_path / "walk.npz", poses=poses)  # the same name but for the ending
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"poses": poses}))  # another kind than it says
    (tmp_path / os.fsdecode(b"\x83_\x83\x93.pkl")).write_bytes(pickle.dumps({"poses": poses}))
    (tmp_path / "._walk.npz").write_bytes(b"\0\5\x16\7Mac OS X")
    tally = Tally("motion files")
    clips = read_clips(motion_files(tmp_path, Kind.SMPL), Kind.SMPL, "y", tally)
    names = {"RUN", "run", "saved", "dictionary", "walk.npy", "walk.npz", "pickle", "%83_%83%93"}
    assert {clip.name for clip in clips} == names and not tally.dropped
    for clip in clips:
        np.testing.assert_allclose(clip.rotations, walk(3), atol=1e-6)
    np.save(tmp_path / "joints.npy", forward(walk(3))[0])
    assert len(read_joints(tmp_path / "joints.npy").time) == LENGTH


def test_one_file_never_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files with bones of no length, exchanged sides, no permission, or what nobody thought of."""
    write_dialect(tmp_path / "good.bvh", DIALECTS["Rokoko"])
    write_dialect(tmp_path / "swapped.bvh", DIALECTS["Rokoko"], swapped=True)
    text = (tmp_path / "good.bvh").read_text()
    (tmp_path / "flat.bvh").write_text(re.sub(r"(JOINT LeftHand\s+{\s+OFFSET)[^\n]*", r"\1 0 0 0", text))
    (tmp_path / "strange.bvh").write_text(text)
    real = bvh.read_bvh

    def fails(path: Path) -> bvh.Motion:
        if path.name == "strange.bvh":
            raise ZeroDivisionError("what nobody\nthought of")
        return real(path)

    monkeypatch.setattr(bvh, "read_bvh", fails)
    tally = Tally("motion files")
    clips = read_clips(motion_files(tmp_path, Kind.BVH), Kind.BVH, "y", tally)
    assert [clip.name for clip in clips] == ["good"]
    assert tally.dropped == {"unreadable": 3}
    said = capsys.readouterr().err
    assert "flat.bvh: zero-length bone left_elbow - left_wrist ('LeftForeArm' - 'LeftHand') in 40 of 40 frames" in said
    assert re.search(r"swapped\.bvh: knees or toes point backwards in \d+% of 40 frames", said)
    assert "strange.bvh: cannot be read (ZeroDivisionError: what nobody" in said


@pytest.mark.usefixtures("fast_render")
def test_a_folder_with_any_name_becomes_a_corpus(tmp_path: Path) -> None:
    """Folders and files in Latin-1 and Shift-JIS: the corpus is sound, and its names can be written anywhere."""
    root = make_motions(tmp_path / os.fsdecode(b"caf\xe9"), "bvh", n=3)
    (root / "take1" / "walk1.bvh").rename(root / "take1" / os.fsdecode(b"\x83_\x83\x93\x83X.bvh"))
    out = tmp_path / os.fsdecode(b"corpus\xe9")
    corpus = prepare_motion(root, out, Kind.BVH, count=40, mining=WIDE, size=16)
    assert {n.rsplit("/", 1)[0] for g in corpus.galleries.values() for n in g} >= {"take1/%83_%83%93%83X"}
    assert not [fault for check in validate(out, images=True) for fault in check.faults]
    assert About.of(out).sources[0] == "motion files: " + os.fsdecode(b"caf\xe9")


def test_a_motion_that_lies_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("Rigify metarig", "Mixamo"):
        write_dialect(tmp_path / f"{DIALECTS[name].up}.bvh", DIALECTS[name])
    files = motion_files(tmp_path, Kind.BVH)
    for up, first in (("y", "z"), ("z", "y")):
        assert len(read_clips(files, Kind.BVH, up, Tally("motion files"))) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"of 1 of 2 motions (first: {first}); where it should stand, prepare those with --up {first}" in said
