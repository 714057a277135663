from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocompose.bodies.kinematics import forward
from autocompose.bodies.skeleton import turn
from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.core.errors import CorpusError, InputError, NothingLeftError
from autocompose.core.records import Split
from autocompose.corpus.validate import validate
from autocompose.prepare.motion.smpl import face_viewer, read_sequence
from autocompose.prepare.releases.posefix import Training, Where, prepare_posefix
from autocompose.prepare.releases.posefix_release import amass_file, read_release
from tests.fixtures.posefix import STEP, make_amass, make_posefix, sequence_name


@pytest.fixture
def raw(tmp_path: Path) -> tuple[Path, Path]:
    return make_posefix(tmp_path / "raw"), make_amass(tmp_path / "amass")


def edit(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.usefixtures("fast_render")
def test_texts_splits_and_pictures(raw: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = prepare_posefix(*raw, tmp_path / "out", size=24)
    assert {str(s): len(p) for s, p in corpus.pairs.items()} == {"train": 21, "val": 20, "test": 20}
    first = corpus.pairs[Split.TRAIN][0]
    assert (first.reference, first.target) == ("000000.png", "000001-after-000000.png")
    assert first.texts["sents"] == ("Bend the knee 0.", "Lift the left arm 0.", "Left arm up 0.")
    assert corpus.pairs[Split.TRAIN][1].texts["sents"][0] == "Raise the left arm 1."  # a string, with a double space
    assert len(first.texts["auto"]) == 3 and first.texts["auto-reverse"]
    out_of_sequence = [p for p in corpus.pairs[Split.TRAIN] if p.extra["sequence_relation"] == "out"]
    assert out_of_sequence and all("after" not in p.reference + p.target for p in out_of_sequence)
    assert not [fault for check in validate(tmp_path / "out", images=True) for fault in check.faults]
    assert json.loads((tmp_path / "out/missing_sequences.json").read_text()) == {"BMLrub/s2_1/missing_poses.npz": 1}
    said = capsys.readouterr().err
    assert "dropped 1: AMASS sequence missing" in said and "dropped 1: frame outside the sequence" in said
    assert "PoseFix pairs: 83, the published release has 135,305" in said


@pytest.mark.usefixtures("fast_render")
def test_in_sequence_b_keeps_its_heading_relative_to_a(raw: tuple[Path, Path], tmp_path: Path) -> None:
    corpus = prepare_posefix(*raw, tmp_path / "out", size=24)
    assert corpus.poses is not None
    clip = read_sequence(raw[1] / sequence_name("train", 0)).rotations[[0, STEP]]  # poses 0 and 1 = pair 0
    joints = forward(clip)[0]
    yaw_a = face_viewer(clip[:1])[1][0]
    a, b = corpus.poses.rows(["000000.png", "000001-after-000000.png"])
    shown = forward(corpus.poses.columns["rotations"][[a, b]].astype(float))[0]
    np.testing.assert_allclose(shown, turn(joints, -yaw_a), atol=1e-5)
    assert corpus.poses.yaw[a] == 0 and abs(corpus.poses.yaw[b]) > 0.1


@pytest.mark.usefixtures("fast_render")
def test_options_choose_pairs(raw: tuple[Path, Path], tmp_path: Path) -> None:
    every = prepare_posefix(*raw, tmp_path / "all", size=24, training=Training.ALL, reverse_texts=0)
    assert len(every.pairs[Split.TRAIN]) == 27 and "auto-reverse" not in every.pairs[Split.TRAIN][0].texts
    only_in = prepare_posefix(*raw, tmp_path / "in", size=24, where=Where.IN)
    assert {p.extra["sequence_relation"] for pairs in only_in.pairs.values() for p in pairs} == {"in"}


@pytest.mark.usefixtures("fast_render")
def test_damaged_sequences_and_a_pickle_inside_are_counted(raw: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = (raw[1] / sequence_name("train", k) for k in (0, 1))
    one.write_bytes(one.read_bytes()[:500])
    np.savez(other, poses=np.array([{"x": 1}], dtype=object), mocap_framerate=120.0)
    corpus = prepare_posefix(*raw, tmp_path / "out", size=24)
    record = json.loads((tmp_path / "out/prepare.manifest.json").read_text())["tallies"]["pairs"]
    assert record["dropped"]["AMASS sequence damaged"] > 5
    assert all(sequence_name("train", k) not in corpus.poses.columns["sequence"] for k in (0, 1))  # type: ignore[union-attr]


def test_sequences_are_found_under_both_names_of_a_data_set_and_below_its_archive(tmp_path: Path) -> None:
    for place in ("BMLrub/s1/a_poses.npz", "TCDHands/MPI_HDM05/s/b_poses.npz", "CMU/CMU/01/c[1]_poses.npz"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()
    wanted = ("BioMotionLab_NTroje/s1/a_poses.npz", "HDM05/s/b_poses", "CMU/01/c[1]_poses.npz", "CMU/s1/a_poses.npz")
    found = [path and path.relative_to(tmp_path).parts[0] for path in (amass_file(tmp_path, name) for name in wanted)]
    assert found == ["BMLrub", "TCDHands", "CMU", None]


BAD: list[tuple[str, Callable[[Any], object], str]] = [
    ("pair_id_2_pose_ids", lambda v: v.append([0, 9999]), r"pair_id_2_pose_ids\.json\[83\]: pose 9999 is not"),
    ("pair_id_2_pose_ids", lambda v: v.append([0]), r"\[83\]: \[0\], expected two pose ids"),
    ("posefix_human_6157", lambda v: v.update({"0": 5}), "expected a text or a list of texts"),
    ("posefix_human_6157", lambda v: v.update({"700": "x"}), "'700' is no pair id"),
    (
        "train_in_sequence_pair_ids",
        lambda v: v.append("7"),
        r"train_in_sequence_pair_ids\.json\[\d+\]: '7' is no pair id",
    ),
    (
        "ids_2_dataset_sequence_and_frame_index_100k",
        lambda v: v.update({"0": ["AMASS", "../../x.npz", 0]}),
        "leaves the",
    ),
    (
        "ids_2_dataset_sequence_and_frame_index_100k",
        lambda v: v.update({"0": ["AMASS", "a\\..\\..\\x.npz", 0]}),
        "leaves the",
    ),
    ("ids_2_dataset_sequence_and_frame_index_100k", lambda v: v.update({"0": ["AMASS", 3, 0]}), "expected .dataset"),
    (
        "ids_2_dataset_sequence_and_frame_index_100k",
        lambda v: v.update({"0": ["BABEL", "x", 0]}),
        "only AMASS is known",
    ),
]


@pytest.mark.parametrize(("name", "change", "words"), BAD)
def test_a_release_that_differs_is_refused_with_the_entry(
    raw: tuple[Path, Path], name: str, change: Any, words: str
) -> None:
    edit(raw[0] / f"{name}.json", change)
    with pytest.raises(CorpusError, match=words):
        read_release(raw[0])


def test_wrong_folders(raw: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="expected the root of AMASS"):
        prepare_posefix(raw[0], tmp_path / "no", tmp_path / "out")
    (tmp_path / "release.zip").touch()
    with pytest.raises(InputError, match=r"release\.zip: is a file; expected the unpacked .*; unpack it"):
        prepare_posefix(tmp_path / "release.zip", raw[1], tmp_path / "out")
    with pytest.raises(InputError, match=r"no ids_2_dataset"):
        prepare_posefix(raw[1], raw[1], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/CMU.tar.bz2").touch()
    with pytest.raises(NothingLeftError, match="nothing is left"):
        prepare_posefix(raw[0], tmp_path / "empty", tmp_path / "out")
    said = capsys.readouterr().err
    assert "10 of 10 AMASS sequences" in said and "unpack CMU.tar.bz2 there first (tar xf CMU.tar.bz2)" in said
    assert not (tmp_path / "out/captions").exists()


def test_labels_on_the_wrong_side_are_reported(raw: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    edit(raw[0] / "test_in_sequence_pair_ids.json", lambda v: v.append(0))
    edit(raw[0] / "test_out_sequence_pair_ids.json", lambda v: v.append(1))
    read_release(raw[0])
    assert "1 pairs are on the wrong side" in capsys.readouterr().err
