from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autocompose.bodies.kinematics import forward
from autocompose.bodies.pose_frame import yaw_of
from autocompose.bodies.skeleton import COCO17
from autocompose.cli import data as _verbs  # noqa: F401
from autocompose.core.errors import InputError, NothingLeftError
from autocompose.core.records import Split
from autocompose.corpus.validate import validate
from autocompose.prepare.pairing.mined import Mining
from autocompose.prepare.releases.aist import Choice, prepare_aist
from autocompose.prepare.releases.aist_release import dancer_of, read_annotations, read_sequence
from autocompose.prepare.releases.aist_sides import check_sides, measure_sides
from tests.fixtures.aist import ALL, IGNORED, SEQUENCES, camera_models, cameras, dump, make_aist, make_videos

WIDE = Mining(gap=5.0, low=0.2, high=0.999, texts=1)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return make_aist(tmp_path / "raw")


@pytest.mark.usefixtures("fast_render")
def test_annotations_alone_give_rendered_bodies(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = prepare_aist(raw, tmp_path / "out", choice=Choice(per_sequence=6, size=16), mining=WIDE)
    assert corpus.poses is not None
    assert set(corpus.poses.columns["sequence"]) == set(ALL) - {IGNORED}
    assert {s: len(g) for s, g in corpus.galleries.items()} == {Split.TRAIN: 18, Split.VAL: 6, Split.TEST: 12}
    assert all(p.texts["auto"] and p.texts["auto-reverse"] for p in corpus.pairs[Split.TRAIN])
    assert {dancer_of(n) % 3 for n in SEQUENCES["test"]} == {0}
    assert not [fault for check in validate(tmp_path / "out", images=True) for fault in check.faults]
    said = capsys.readouterr().err
    assert "left and right: face 100.0%, SMPL like key points 100.0%, left is right in front views 100.0%" in said
    assert "reprojection 0.0 px" in said and "7 sequences, 1 of them ignored" in said


def test_views_that_see_the_front_have_small_yaw(raw: Path, tmp_path: Path, fast_render: None) -> None:
    front = prepare_aist(raw, tmp_path / "front", choice=Choice(per_sequence=6, views=("front",), size=16), mining=WIDE)
    assert front.poses is not None and np.abs(front.poses.yaw).max() <= 22.5 + 1e-6
    several = prepare_aist(raw, tmp_path / "two", choice=Choice(6, ("c01", "c03"), 16), mining=WIDE)
    assert several.poses is not None
    columns = several.poses.columns
    for i, name in enumerate(several.poses.names):
        if columns["view"][i] == "c01":
            other = several.poses.index()[name.replace("_c01_", "_c03_")]
            assert (several.poses.yaw[i] - several.poses.yaw[other]) % 360 == pytest.approx(90, abs=1e-3)


def test_joints_are_relative_to_the_camera(raw: Path, tmp_path: Path, fast_render: None) -> None:
    """COCO points and SMPL joints of poses.npz agree with what the camera saw: picture right is x."""
    corpus = prepare_aist(raw, tmp_path / "out", choice=Choice(6, ("c02",), 16), mining=WIDE)
    assert corpus.poses is not None
    left, right = COCO17.index("left_shoulder"), COCO17.index("right_shoulder")
    for i, name in enumerate(corpus.poses.columns["sequence"]):
        seen = read_sequence(raw, str(name)).keypoints2d[1, corpus.poses.columns["frame"][i]]  # type: ignore[index]
        across = corpus.poses.columns["coco"][i, left] - corpus.poses.columns["coco"][i, right]
        if abs(across[0]) > 0.1:
            assert np.sign(across[0]) == np.sign(seen[left, 0] - seen[right, 0])
    np.testing.assert_allclose(yaw_of(corpus.poses.joints.astype(float)), corpus.poses.yaw, atol=1e-2)
    turned = forward(corpus.poses.columns["rotations"].astype(float))[0]
    np.testing.assert_allclose(yaw_of(turned), corpus.poses.yaw, atol=1e-2)


def test_frames_of_videos_are_cropped_around_the_dancer(raw: Path, tmp_path: Path, fast_render: None) -> None:
    videos = make_videos(tmp_path / "videos", ("c01", "c03"))
    choice = Choice(per_sequence=5, views=("c01", "c03"), size=32)
    corpus = prepare_aist(raw, tmp_path / "out", videos=videos, choice=choice, mining=WIDE)
    record = json.loads((tmp_path / "out/prepare.manifest.json").read_text())["tallies"]["frames"]
    assert record["dropped"]["video missing"] == 10
    assert not (tmp_path / "out/images" / ALL[0].replace("cAll", "c01")).exists()
    for name in corpus.poses.names:  # type: ignore[union-attr]
        pixels = np.asarray(Image.open(tmp_path / "out/images" / name)).astype(int)
        red = (pixels[..., 0] > 170) & (pixels[..., 1] < 110)
        middle = np.argwhere(red).mean(0)
        assert red.sum() > 4 and np.abs(middle - 15.5).max() < 8, name  # the spot is at the hips, in the crop's middle
    assert not [fault for check in validate(tmp_path / "out", images=True) for fault in check.faults]


def test_left_and_right_are_measured_and_exchanged_key_points_repaired(tmp_path: Path) -> None:
    raw = make_aist(tmp_path / "raw", swap_coco=True)
    models = camera_models()
    sides = measure_sides((read_sequence(raw, name), models) for name in ALL)
    assert sides.face == 0 and sides.smpl < 0.1 and sides.front == 0 and sides.reprojection < 1e-6
    assert check_sides(sides) is True
    sides = measure_sides((read_sequence(make_aist(tmp_path / "right"), n), models) for n in ALL)
    assert check_sides(sides) is False


def test_rotations_of_the_wrong_side_are_refused(tmp_path: Path) -> None:
    raw = make_aist(tmp_path / "raw", swap_smpl=True)
    sides = measure_sides((read_sequence(raw, name), None) for name in ALL)
    assert np.isnan(sides.front)
    if sides.smpl < 0.9:
        with pytest.raises(InputError, match="the texts would swap left and right"):
            check_sides(sides)


def test_front_camera_shows_the_own_left_on_the_right() -> None:
    models = camera_models()
    assert models["c01"].heading == pytest.approx(0) and models["c03"].heading == pytest.approx(90)
    left, right = models["c01"].project(np.array([[30.0, 100, 0], [-30.0, 100, 0]]))
    assert left[0] > right[0]


def test_projection_equals_opencv() -> None:
    """Expected pixels come from cv2.projectPoints of OpenCV 4.11."""
    points = np.array([[30.0, 150, -20], [-45, 20, 60]])
    expected = {
        "c01": [[1040.7207, 593.825], [818.2128, 1012.21]],
        "c06": [[862.4177, 595.2048], [1161.4113, 947.3665]],
    }
    for view, pixels in expected.items():
        np.testing.assert_allclose(camera_models()[view].project(points), pixels, atol=1e-3)


def test_rule_split_by_dancer_without_the_split_files(raw: Path, tmp_path: Path, fast_render: None) -> None:
    for path in (raw / "splits").iterdir():
        path.unlink()
    annotations = read_annotations(raw)
    assert set(annotations.splits[Split.TEST]) == set(SEQUENCES["test"]) and not annotations.official
    corpus = prepare_aist(raw, tmp_path / "out", choice=Choice(6, size=16), mining=WIDE, val_share=0.4)
    dancers = {
        s: {dancer_of(n.split("/")[0].replace("_c01_", "_cAll_")) for n in g} for s, g in corpus.galleries.items()
    }
    assert not dancers[Split.TRAIN] & dancers[Split.TEST]


def test_bad_input(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder not found"):
        prepare_aist(tmp_path / "no", tmp_path / "out")
    with pytest.raises(InputError, match=r"motions \(AIST\+\+ annotations\) not found"):
        prepare_aist(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="no: folder not found; expected the folder with the 10M videos"):
        prepare_aist(raw, tmp_path / "out", videos=tmp_path / "no")
    with pytest.raises(NothingLeftError, match=r"nothing is left \(frames: 72 in, 0 kept; dropped 72: video missing"):
        prepare_aist(raw, tmp_path / "out", videos=raw / "motions")
    with pytest.raises(InputError, match="expected some of c01"):
        Choice(views=("c11",))
    name = ALL[1]
    dump(raw / "keypoints3d" / f"{name}.pkl", {"keypoints3d_optim": np.zeros((5, 17, 3))})
    with pytest.raises(InputError, match=r"90 frames of motion need keypoints3d \(90, 17, 3\)"):
        read_sequence(raw, name)
    dump(raw / "motions" / f"{name}.pkl", {"smpl_poses": np.zeros((5, 72)), "smpl_scaling": np.zeros(1)})
    with pytest.raises(InputError, match="smpl_scaling = 0"):
        read_sequence(raw, name)
    (raw / "cameras" / "setting1.json").write_text('[{"name": "c01"}]')
    with pytest.raises(InputError, match=r"setting1.json\[0\]: no key 'matrix'"):
        read_annotations(raw)
    (raw / "cameras" / "setting1.json").write_text(json.dumps(cameras()[:8]))
    with pytest.raises(InputError, match=r"setting1.json: no camera c09"):
        read_annotations(raw)
    (raw / "cameras" / "setting1.json").write_text('["c01"]')
    with pytest.raises(InputError, match=r"setting1.json\[0\]: expected an object, got str"):
        read_annotations(raw)
    (raw / "cameras" / "mapping.txt").write_text(f"{name} ../setting1\n")
    with pytest.raises(InputError, match=r"mapping.txt: 'gPO.*expected lines such as"):
        read_annotations(raw)
    (raw / "cameras" / "mapping.txt").write_text(f"{name} setting1 {name}\n")
    with pytest.raises(InputError, match=r"mapping.txt: 'gPO"):
        read_annotations(raw)
    (raw / "motions" / "other.pkl").write_bytes(b"")
    with pytest.raises(InputError, match=r"other; expected files such as gBR"):
        read_annotations(raw)


def test_front_views_leave_out_sequences_without_cameras(raw: Path, tmp_path: Path, fast_render: None) -> None:
    mapping = raw / "cameras" / "mapping.txt"
    mapping.write_text("".join(line for line in mapping.read_text().splitlines(True) if ALL[1] not in line))
    corpus = prepare_aist(raw, tmp_path / "out", choice=Choice(6, ("front",), size=16), mining=WIDE)
    assert ALL[1] not in set(corpus.poses.columns["sequence"])  # type: ignore[union-attr]
    record = json.loads((tmp_path / "out/prepare.manifest.json").read_text())["tallies"]["frames"]
    assert record["dropped"] == {"not in mapping.txt, so the front is not known": 1}


def test_a_truncated_pickle_costs_one_sequence_only(raw: Path, tmp_path: Path, fast_render: None) -> None:
    path = raw / "motions" / f"{ALL[1]}.pkl"
    path.write_bytes(path.read_bytes()[:300])
    corpus = prepare_aist(raw, tmp_path / "out", choice=Choice(6, size=16), mining=WIDE)
    assert ALL[1] not in set(corpus.poses.columns["sequence"])  # type: ignore[union-attr]
    record = json.loads((tmp_path / "out/prepare.manifest.json").read_text())["tallies"]["frames"]
    assert record["dropped"] == {"annotations missing or damaged": 1}


def test_side_files_of_a_mac_and_capitals_are_no_obstacle(raw: Path, tmp_path: Path) -> None:
    root = read_annotations(raw).root
    name = ALL[0]
    whole = read_sequence(root, name)
    (root / "motions" / f"._{name}.pkl").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    for folder in ("motions", "keypoints3d", "keypoints2d"):
        (root / folder / f"{name}.pkl").rename(root / folder / f"{name}.PKL")
    assert any(name in names for names in read_annotations(raw).splits.values())
    np.testing.assert_array_equal(read_sequence(root, name).rotations, whole.rotations)
