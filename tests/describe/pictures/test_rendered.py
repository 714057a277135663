"""What changed between two pictures: rendered people of known poses, in Python and through the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import autocompose
from autocompose.bodies.rendering.appearance import Look, Shot
from autocompose.bodies.rendering.body import shared_body
from autocompose.bodies.rendering.render import render
from autocompose.bodies.skeleton import SMPL22
from autocompose.cli import load_verbs
from autocompose.cli.annotate_pictures import NO_CHANGE
from autocompose.cli.app import run
from autocompose.describe.pictures.pictures import describe_change
from autocompose.estimate import Estimator

load_verbs()
pytestmark = pytest.mark.slow  # draws bodies and searches pictures
J = {name: i for i, name in enumerate(SMPL22)}
HANGING = {"left_shoulder": (0, 0, -1.2), "right_shoulder": (0, 0, 1.2)}
LEFT_UP = {"left_shoulder": (0, 0, 1.0), "right_shoulder": (0, 0, 1.2)}
KNEES_BENT = {
    **HANGING,
    "left_hip": (-1.4, 0, 0),
    "right_hip": (-1.4, 0, 0),
    "left_knee": (1.8, 0, 0),
    "right_knee": (1.8, 0, 0),
}


def rendered(pose: dict[str, tuple[float, float, float]], shot: Shot, yaw: float = 0.0) -> Image.Image:
    body, rotations = shared_body(), np.zeros((1, 22, 3))
    rotations[0, 0, 1] = np.radians(yaw)
    for name, value in pose.items():
        rotations[0, J[name]] = value
    return Image.fromarray(render(body, body.pose(rotations).on_floor().vertices[0], Look(), shot, 256))


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    scenes = {
        "hanging": rendered(HANGING, Shot()),
        "again": rendered(HANGING, Shot(camera_height=1.7, distance=5.5), yaw=20),
        "left_up": rendered(LEFT_UP, Shot()),
        "knees": rendered(KNEES_BENT, Shot(), yaw=30),
        "empty": Image.new("RGB", (200, 200), "grey"),
    }
    both = Image.new("RGB", (512, 256), scenes["hanging"].getpixel((2, 2)))
    both.paste(scenes["hanging"], (0, 0))
    both.paste(scenes["left_up"], (256, 0))
    for name, picture in (scenes | {"both": both}).items():
        picture.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in [*scenes, "both"]}


def test_an_arm_goes_up(pictures: dict[str, Path], estimator: Estimator) -> None:
    change = describe_change(pictures["hanging"], pictures["left_up"], wordings=2, estimator=estimator)
    told = {one.code: one for one in change.measurements}
    hand = told["height:left_hand"]
    assert hand.category == "up" and hand.after - hand.before > 0.6 and 0 < hand.uncertainty < 0.4 and hand.unit == "m"
    assert not any("right" in code for code in told)
    assert "left" in change.texts[0].lower() and len(change.texts) >= 1
    assert {code for statement in change.statements for code in statement.codes} <= set(told)
    back = describe_change(pictures["left_up"], pictures["hanging"], estimator=estimator)
    assert "down" in {one.category for one in back.measurements if one.code == "height:left_hand"}


def test_a_camera_that_moves_changes_no_pose(pictures: dict[str, Path], estimator: Estimator) -> None:
    change = describe_change(pictures["hanging"], pictures["again"], estimator=estimator)
    assert (change.texts, change.statements, change.measurements) == ((), (), ())
    assert change.turned == pytest.approx(20, abs=12)


def test_bent_knees(pictures: dict[str, Path], estimator: Estimator) -> None:
    change = describe_change(pictures["hanging"], pictures["knees"], estimator=estimator)
    told = {one.code for one in change.measurements}
    assert {"bend:left_knee", "bend:right_knee"} <= told and not any(
        "elbow" in code and "bend" in code for code in told
    )


def test_paths_opened_pictures_and_arrays_give_the_same(pictures: dict[str, Path], estimator: Estimator) -> None:
    opened = [Image.open(pictures[name]) for name in ("hanging", "left_up")]
    by_path = describe_change(str(pictures["hanging"]), pictures["left_up"], estimator=estimator)
    assert by_path == describe_change(*opened, estimator=estimator)
    assert by_path == describe_change(*[np.array(one.convert("RGB")) for one in opened], estimator=estimator)
    assert autocompose.describe_change is describe_change


def test_which_of_several_people(pictures: dict[str, Path], estimator: Estimator) -> None:
    change = describe_change(pictures["both"], pictures["both"], person=(1, 2), estimator=estimator)
    assert (change.people, change.chosen) == ((2, 2), (1, 2))
    assert "height:left_hand" in {one.code for one in change.measurements}
    assert describe_change(pictures["both"], pictures["both"], person=(2, 2), estimator=estimator).texts == ()


def test_the_command(pictures: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def describe(*argv: object) -> tuple[int, list[str], list[str]]:
        code = run(["describe", "pictures", *map(str, argv)])
        seen = capsys.readouterr()
        return code, seen.out.splitlines(), [line for line in seen.err.splitlines() if line]

    code, out, _ = describe(pictures["hanging"], pictures["left_up"], "--codes")
    assert code == 0 and "left" in out[0].lower()
    hand = next(line for line in out if line.startswith("height:left_hand: "))
    assert " m +- " in hand and hand.endswith("(up), stated")
    assert out[-1].startswith("turn to the person's own left: ")
    code, out, err = describe(pictures["both"], pictures["both"])
    assert (code, out) == (0, [NO_CHANGE]) and len(err) == 2 and all("2 people; person " in line for line in err)
    code, out, err = describe(pictures["both"], pictures["both"], "--person", 2, 1)
    assert code == 0 and "left" in out[0].lower() and err == []
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(pictures["hanging"].read_bytes()[:500])
    for wrong in (pictures["empty"], damaged, tmp_path / "missing.png"):
        code, out, err = describe(pictures["hanging"], wrong)
        assert (code, out, len(err)) == (2, [], 1) and wrong.name in err[0]
