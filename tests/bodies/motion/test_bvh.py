"""Reading BVH: forward kinematics, the spellings that exist, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autocompose.bodies.bvh_text import MAX_JOINTS
from autocompose.bodies.motion import bvh
from autocompose.bodies.motion.bvh import read_bvh, to_smpl22
from autocompose.bodies.points import normal_points
from autocompose.bodies.skeleton import SMPL22
from autocompose.core.errors import PoseError
from autocompose.describe.rules.codes.pair_codes import PAIR_NAMES, pair_levels, pair_measures
from tests.fixtures.bvh import write_dialect
from tests.fixtures.bvh_dialects import DIALECTS, Dialect

LIMB = """JOINT {n}UpLeg {{ OFFSET {x} -10 0 CHANNELS 3 Zrotation Xrotation Yrotation
 JOINT {n}Leg {{ OFFSET 0 -40 0 CHANNELS 3 Zrotation Xrotation Yrotation
  JOINT {n}Foot {{ OFFSET 0 -40 0 CHANNELS 3 Zrotation Xrotation Yrotation
   End Site {{ OFFSET 0 -5 14 }} }} }} }}
"""
ARM = """JOINT {n}Shoulder {{ OFFSET {x} 45 0 CHANNELS 3 Zrotation Xrotation Yrotation
 JOINT {n}Arm {{ OFFSET {x} 0 0 CHANNELS 3 Zrotation Xrotation Yrotation
  JOINT {n}ForeArm {{ OFFSET {y} 0 0 CHANNELS 3 Zrotation Xrotation Yrotation
   JOINT {n}Hand {{ OFFSET {y} 0 0 CHANNELS 3 Zrotation Xrotation Yrotation
    End Site {{ OFFSET {y} 0 0 }} }} }} }} }}
"""
NAMES = ("Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot", "LeftShoulder", "LeftArm",
         "LeftForeArm", "LeftHand", "RightShoulder", "RightArm", "RightForeArm", "RightHand")  # fmt: skip
WIDTH = 3 + 3 * len(NAMES)


def bvh_text(*frames: dict[str, tuple[float, float, float]]) -> str:
    """A T-pose figure in centimetres, without a head; frames give (z, x, y) rotations in degrees per joint."""
    hierarchy = "HIERARCHY ROOT Hips { OFFSET 0 0 0 CHANNELS 6 Xposition Yposition Zposition "
    hierarchy += "Zrotation Xrotation Yrotation\n"
    hierarchy += LIMB.format(n="Left", x=10) + LIMB.format(n="Right", x=-10)
    hierarchy += ARM.format(n="Left", x=8, y=26) + ARM.format(n="Right", x=-8, y=-26) + "}\n"
    lines = [f"MOTION\nFrames: {len(frames)}\nFrame Time: 0.04"]
    for frame in frames:
        values = [5.0, 90.0, 2.0] + [v for name in NAMES for v in frame.get(name, (0.0, 0.0, 0.0))]
        lines.append(" ".join(map(str, values)))
    return hierarchy + "\n".join(lines)


CROUCH = {"LeftLeg": (0.0, 60.0, 0.0), "RightLeg": (0.0, 60.0, 0.0), "LeftUpLeg": (0.0, -60.0, 0.0)}
TEXT = bvh_text({}, CROUCH, {"LeftForeArm": (90, 0, 0), "RightArm": (90, 0, 0), "Hips": (0, 0, 30)})


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], bvh.Motion]:
    def write_and_read(text: str | bytes) -> bvh.Motion:
        path = tmp_path / "take.bvh"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_bvh(path)

    return write_and_read


Read = Callable[["str | bytes"], bvh.Motion]


def test_positions_and_codes(read: Read) -> None:
    motion = read(bvh_text({}, {"LeftForeArm": (90, 0, 0), "RightArm": (90, 0, 0), "Hips": (0, 0, 30)}))
    assert motion.frame_time == 0.04
    assert motion.joints.shape == (2, len(NAMES) + 4, 3)
    assert sum(motion.ends) == 4 and motion.names[motion.ends.index(True)] == "LeftFoot_end"
    assert np.allclose(motion.joints[0, motion.names.index("LeftHand")], [5 + 16 + 52, 135, 2])
    found = to_smpl22(motion)
    assert [SMPL22[i] for i in np.flatnonzero(~found.known)] == ["head"]  # the end sites serve as toes
    before, after = (pair_measures(normal_points(j, found.known)) for j in (found.joints[:1], found.joints[1:]))
    by_name = dict(zip(PAIR_NAMES, pair_levels(before - after)[:, 0], strict=True))
    assert by_name["bend:left_elbow"] == -3  # 180 -> 90 degrees
    assert by_name["height:left_hand"] > 0  # forearm points up
    assert by_name["height:right_hand"] == -2  # arm hangs down
    assert by_name["bend:right_elbow"] == by_name["height:left_knee"] == 0


def test_long_motions_are_computed_in_stretches(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    text = bvh_text(*[{"LeftArm": (i, 2 * i, 3 * i), "Hips": (0, 0, i)} for i in range(23)])
    whole = read(text).joints
    monkeypatch.setattr(bvh, "_STRETCH", 100)
    np.testing.assert_array_equal(read(text).joints, whole)


SPELLINGS: dict[str, Callable[[str], str | bytes]] = {
    "windows": lambda t: t.replace("\n", "\r\n"),
    "old mac": lambda t: t.replace("\n", "\r"),
    "tabs": lambda t: t.replace(" ", "\t"),
    "one line": lambda t: t.replace("\n", " "),
    "blank lines": lambda t: "\n\n" + t.replace("\n", "\n \n") + "\n\n",
    "byte order mark": lambda t: b"\xef\xbb\xbf" + t.encode(),
    "utf-16": lambda t: t.encode("utf-16"),
    "lower case": lambda t: t.replace("LeftUpLeg", "@").lower().replace("@", "LeftUpLeg"),
    "upper case": lambda t: t.upper(),
    "glued counts": lambda t: t.replace("Frames: ", "Frames:").replace("Time: ", "Time:"),
    "spaced counts": lambda t: t.replace("Frames:", "Frames :").replace("Time:", "Time :"),
    "end sites with names": lambda t: t.replace("End Site {", "End Site HeadNub\n{"),
    "EndSite": lambda t: t.replace("End Site", "EndSite"),
    "scientific": lambda t: t.replace("90.0", "9.0e+01"),
    "semicolons": lambda t: t.replace("}", "};"),
    "a comment first": lambda t: "# made by hand\n" + t,
    "names that are not UTF-8": lambda t: t.replace("Hips", "Hüfte").encode("latin-1"),
    "spaces in names": lambda t: t.replace("LeftUpLeg {", "  Left UpLeg\n{"),
    "trailing spaces": lambda t: t.replace("\n", "   \n"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_the_same_motion(read: Read, spelling: str) -> None:
    plain, other = read(TEXT), read(SPELLINGS[spelling](TEXT))
    assert other.parents == plain.parents and other.frame_time == plain.frame_time
    np.testing.assert_array_equal(other.joints, plain.joints)
    np.testing.assert_array_equal(to_smpl22(other).joints, to_smpl22(plain).joints)


def test_names_that_are_not_utf8_can_be_shown(read: Read) -> None:
    names = read(TEXT.replace("Hips", "H\xfcfte").encode("latin-1")).names
    assert names[0] == "H\\xfcfte"


REFUSED: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "not BVH": (lambda t: "hello", "not a BVH file: expected HIERARCHY and MOTION"),
    "empty": (lambda t: "", "not a BVH file"),
    "no motion": (lambda t: t[: t.index("MOTION")], "the file ends before its motion"),
    "no frame time": (lambda t: t.replace("Frame Time: ", "Time "), "expected 'Frames: N' and 'Frame Time: S'"),
    "extra number": (lambda t: t + " 7", f"declares 3 frames of {WIDTH} numbers, but holds 3 and 1 numbers of another"),
    "cut frame": (lambda t: t[: t.rindex(" ")], f"holds 2 and {WIDTH - 1} numbers of another"),
    "lost frame": (lambda t: t[: t.rindex("\n")], f"declares 3 frames of {WIDTH} numbers, but holds 2;"),
    "huge count": (lambda t: t.replace("Frames: 3", "Frames: " + "9" * 40), "declares 999,999,999"),
    "negative count": (lambda t: t.replace("Frames: 3", "Frames: -3"), "Frames: -3, expected an integer"),
    "glued numbers": (lambda t: t.replace("5.0 90.0", "5.0-90.0"), "a frame: '5.0-90.0' is not a finite number"),
    "decimal commas": (lambda t: t.replace("90.0", "90,0"), "numbers need a decimal point, not a comma"),
    "nan": (lambda t: t.replace("90.0", "nan"), "a frame contains a number that is not finite"),
    "overflow": (lambda t: t.replace("90.0", "1e999"), "a frame contains a number that is not finite"),
    "too large": (lambda t: t.replace("OFFSET 0 -40 0", "OFFSET 1e308 1e308 1e308"), "coordinates that are too large"),
    "time zero": (lambda t: t.replace("0.04", "0"), "Frame Time: 0, expected seconds per frame from 0.0001 to 1"),
    "negative time": (lambda t: t.replace("0.04", "-0.04"), "Frame Time: -0.04, expected seconds"),
    "no time": (lambda t: t.replace("0.04", "nan"), "Frame Time: 'nan' is not a finite number"),
    "milliseconds": (lambda t: t.replace("0.04", "40"), "Frame Time: 40, expected seconds per frame"),
    "offset": (lambda t: t.replace("OFFSET 0 0 0", "OFFSET 0 zero 0"), "OFFSET: 'zero' is not a finite number"),
    "channel": (lambda t: t.replace("Xposition", "Wposition"), "unknown channel Wposition"),
    "channel count": (lambda t: t.replace("CHANNELS 6", "CHANNELS -6"), "CHANNELS -6: expected their number"),
    "no channels": (lambda t: t.replace("CHANNELS 6", "CHANNELS 0"), "unexpected word Xposition in the hierarchy"),
    "brackets": (lambda t: t.replace("}", "", 1), "brackets of the hierarchy do not match"),
    "brackets more": (lambda t: t.replace("}", "}}", 1), "damaged BVH file"),
    "junk": (lambda t: t.replace("JOINT LeftLeg", "JOIN LeftLeg"), "unexpected word JOIN in the hierarchy"),
    "no name": (lambda t: t.replace("JOINT LeftLeg", "JOINT "), "a joint has no name"),
    "too deep": (lambda t: f"HIERARCHY {'JOINT b {' * 5000} MOTION Frames: 1 Frame Time: 1", "more than 4,096 joints"),
    "still": (lambda t: "HIERARCHY ROOT a { OFFSET 0 0 0 }\nMOTION\nFrames: 9999999\nFrame Time: 1", "nothing moves"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_damaged_files_are_one_line(read: Read, fault: str) -> None:
    change, words = REFUSED[fault]
    with pytest.raises(PoseError, match=r"take\.bvh: damaged BVH file") as caught:
        read(change(TEXT))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "none.bvh", tmp_path):
        with pytest.raises(PoseError, match="cannot be read"):
            read_bvh(path)
    (tmp_path / "a.bvh").write_text(TEXT)
    monkeypatch.setattr(bvh, "MAX_BYTES", 100)
    with pytest.raises(PoseError, match="larger than 0 MB; split the motion"):
        read_bvh(tmp_path / "a.bvh")


def test_positions_are_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bvh, "MAX_POSITIONS", 10)
    with pytest.raises(PoseError, match="57 joint positions, more than 10; split the motion"):
        read(TEXT)
    assert MAX_JOINTS < 10_000


def test_a_single_pose_needs_no_frame_time(read: Read) -> None:
    assert read(bvh_text({}).replace("0.04", "0")).frame_time == 0
    with pytest.raises(PoseError, match="no frames"):
        to_smpl22(read(bvh_text()))


ZERO = {
    "forearm": ("JOINT LeftHand { OFFSET 26 0 0", "left_elbow - left_wrist ('LeftForeArm' - 'LeftHand') in 3 of 3"),
    "thigh": ("JOINT RightLeg { OFFSET 0 -40 0", "right_hip - right_knee ('RightUpLeg' - 'RightLeg') in 3 of 3"),
}


@pytest.mark.parametrize("bone", ZERO)
def test_a_limb_without_length_is_refused(read: Read, bone: str) -> None:
    old, words = ZERO[bone]
    assert old in TEXT
    with pytest.raises(PoseError) as caught:
        to_smpl22(read(TEXT.replace(old, old[: old.index("OFFSET")] + "OFFSET 0 0 0")))
    assert f"zero-length bone {words} frames" in str(caught.value)


def test_positions_that_are_all_zero_are_refused(read: Read) -> None:
    """Six channels on every joint stand for its offset; recorders that leave them at zero lose the skeleton."""
    head, _, rest = TEXT.partition("MOTION")
    head = head.replace("CHANNELS 3 ", "CHANNELS 6 Xposition Yposition Zposition ")
    counts, frames = rest.split("\n")[1:3], rest.split("\n")[3:]
    wide = [" ".join(v + (" 0 0 0" if i % 3 == 2 and i < WIDTH - 1 and i > 3 else "") for i, v in enumerate(f.split()))
            for f in frames]  # fmt: skip
    with pytest.raises(PoseError, match="zero-length bone"):
        to_smpl22(read(head + "MOTION\n" + "\n".join([*counts, *wide])))


def test_toes_without_length_are_taken_from_what_follows_them(read: Read) -> None:
    toes = "JOINT {n}ToeBase {{ OFFSET 0 0 0 CHANNELS 0 End Site {{ OFFSET 0 -5 14 }} }}"
    text = TEXT
    for name in ("Left", "Right"):
        start = text.index("End Site", text.index(f"{name}Foot"))
        text = text[:start] + toes.format(n=name) + text[text.index("}", start) + 1 :]
    np.testing.assert_allclose(to_smpl22(read(text)).joints, to_smpl22(read(TEXT)).joints)


def test_soles_and_heels_are_no_toes(read: Read) -> None:
    """An end site that only prolongs the shin, or that points backwards while the knees bend forwards."""
    for site in ("0 -9 0", "0 -3 -9", "0 0 0"):
        found = to_smpl22(read(TEXT.replace("OFFSET 0 -5 14", f"OFFSET {site}")))
        assert {SMPL22[i] for i in np.flatnonzero(~found.known)} == {"head", "left_foot", "right_foot"}, site


def exchanged(text: str, part: str) -> str:
    """The names of left and right exchanged in the joints whose name ends in ``part``."""
    for word in part.split():
        text = (
            text.replace(f"Left{word} ", "@ ").replace(f"Right{word} ", f"Left{word} ").replace("@ ", f"Right{word} ")
        )
    return text


LEGS, ARMS = "UpLeg Leg Foot", "Shoulder Arm ForeArm Hand"


def test_exchanged_sides_are_refused_without_feet(read: Read) -> None:
    text = exchanged(TEXT, f"{LEGS} {ARMS}").replace("OFFSET 0 -5 14", "OFFSET 0 0 0")
    with pytest.raises(PoseError, match="knees bend backwards in 100% of 3 frames; left and right are swapped"):
        to_smpl22(read(text))


@pytest.mark.parametrize("part", [LEGS, ARMS])
def test_sides_exchanged_in_a_part_of_the_body_are_refused(read: Read, part: str) -> None:
    with pytest.raises(PoseError, match="the left arm is on the side of the right leg in 100% of 3 frames"):
        to_smpl22(read(exchanged(TEXT, part)))


def test_a_mirrored_axis_is_refused(tmp_path: Path) -> None:
    write_dialect(tmp_path / "a.bvh", DIALECTS["Mixamo"])
    motion = read_bvh(tmp_path / "a.bvh")
    motion.joints[..., 0] *= -1
    with pytest.raises(PoseError, match="an axis has the wrong sign"):
        to_smpl22(motion)


def test_missing_joints_are_named(read: Read) -> None:
    with pytest.raises(PoseError, match="no joint for left_elbow; the file has Hips, LeftUpLeg"):
        to_smpl22(read(TEXT.replace("LeftForeArm", "LeftWing")))
    with pytest.raises(PoseError, match="no joint for left_hip, left_knee, left_ankle that hang on each other"):
        to_smpl22(read(exchanged(TEXT, "Leg")))  # a left shin below a right thigh
    many = "".join(f"JOINT hair{i} {{ OFFSET 0 1 0 End Site {{ OFFSET 0 1 0 }} }}\n" for i in range(900))
    with pytest.raises(PoseError, match=r"and 8\d\d more") as caught:
        to_smpl22(read(TEXT.replace("JOINT LeftUpLeg", many + "JOINT LeftUpLeg").replace("LeftForeArm", "LeftWing")))
    assert len(str(caught.value)) < 2000


def test_two_figures_in_a_file_are_refused(read: Read) -> None:
    head, _, rest = TEXT.partition("MOTION")
    figure = head.removeprefix("HIERARCHY ")
    lines = rest.split("\n")
    twice = "\n".join([*lines[:3], *(f"{line} {line}" for line in lines[3:])])
    with pytest.raises(PoseError, match=r"the left leg may be 'LeftUpLeg' - .* save one figure per file"):
        to_smpl22(read(f"HIERARCHY {figure} {figure.replace('Hips', 'Hips2')} MOTION{twice}"))


@pytest.mark.parametrize("unit", [1e-3, 0.01, 1.0, 100.0, 1000.0])
def test_units_do_not_matter(tmp_path: Path, unit: float) -> None:
    dialect = DIALECTS["LAFAN1"]
    in_units = Dialect(dialect.chains, dialect.swap, dialect.order, odd=True, unit=unit)
    write_dialect(tmp_path / "a.bvh", in_units)
    write_dialect(tmp_path / "b.bvh", Dialect(dialect.chains, dialect.swap, dialect.order, odd=True, unit=10.0))
    a, b = (to_smpl22(read_bvh(tmp_path / f"{name}.bvh")).joints for name in "ab")
    np.testing.assert_allclose(a / unit, b / 10.0, atol=4e-3)  # the files have six decimals


def test_thousands_of_joints_of_the_same_names_are_no_work_without_end(read: Read) -> None:
    parts = ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot") * 600
    joints = "".join(f"JOINT Left{part} {{ OFFSET 0 1 0 " for part in parts)
    hierarchy = f"HIERARCHY ROOT Hips {{ OFFSET 0 0 0 CHANNELS 1 Xposition {joints} {'}' * 3601}"
    with pytest.raises(PoseError, match="no joint for right_hip"):
        to_smpl22(read(f"{hierarchy} MOTION Frames: 1 Frame Time: 1 0"))
