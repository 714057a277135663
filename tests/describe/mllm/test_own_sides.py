"""Who is left and who is right: converted by code, never by the model."""

from __future__ import annotations

import pytest

from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.judging.own_sides import OTHER, UnclearSide, own_side, own_words


@pytest.mark.parametrize(
    ("frame", "part", "facing", "own"),
    [
        (Frame.COLOUR, "blue_arm", "", "left arm"),
        (Frame.COLOUR, "orange_foot", "", "right foot"),
        (Frame.COLOUR, "head", "", "head"),
        (Frame.COLOUR, "whole_body", "", "whole body"),
        (Frame.PICTURE, "image_left_arm", "towards", "right arm"),
        (Frame.PICTURE, "image_left_arm", "away", "left arm"),
        (Frame.PICTURE, "image_right_knee", "towards", "left knee"),
        (Frame.PICTURE, "torso", "left_profile", "torso"),
        (Frame.WORDS, "left_arm", "", "left arm"),
    ],
)
def test_parts(frame: Frame, part: str, facing: str, own: str) -> None:
    assert own_side(frame, part, facing) == own


@pytest.mark.parametrize(
    ("frame", "phrase", "facing", "own"),
    [
        (Frame.COLOUR, "touch the Blue knee", "", "touch the left knee"),
        (Frame.COLOUR, "lean towards the orange side", "", "lean towards the right side"),
        (Frame.COLOUR, "bring it to the orange-tinted hand", "", "bring it to the right hand"),
        (Frame.PICTURE, "move it to image-left", "towards", "move it to right"),
        (Frame.PICTURE, "move it to the picture's left", "away", "move it to the left"),
        (Frame.WORDS, "turn left", "", "turn left"),
    ],
)
def test_phrases(frame: Frame, phrase: str, facing: str, own: str) -> None:
    assert own_words(frame, phrase, facing) == own


@pytest.mark.parametrize("frame", [Frame.COLOUR, Frame.PICTURE])
def test_the_model_may_not_say_left_itself(frame: Frame) -> None:
    with pytest.raises(UnclearSide) as caught:
        own_words(frame, "turn it to the left", "towards")
    assert caught.value.kind == "sides"


@pytest.mark.parametrize(
    ("facing", "kind"), [("left_profile", "profile"), ("right_profile", "profile"), ("", "schema")]
)
def test_a_profile_has_no_picture_side(facing: str, kind: str) -> None:
    with pytest.raises(UnclearSide) as caught:
        own_side(Frame.PICTURE, "image_left_arm", facing)
    assert caught.value.kind == kind


@pytest.mark.parametrize("facing", ["towards", "away"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mirrored_picture_exchanges_sides(side: str, facing: str) -> None:
    """Mirroring moves a limb to the other half of the picture and leaves the facing alone."""
    plain = own_side(Frame.PICTURE, f"image_{side}_arm", facing)
    mirrored = own_side(Frame.PICTURE, f"image_{OTHER[side]}_arm", facing)
    assert {plain, mirrored} == {"left arm", "right arm"}
