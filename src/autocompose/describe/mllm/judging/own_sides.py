"""Converting the model's statements about sides into the person's own left and right."""

from __future__ import annotations

import re

from autocompose.describe.mllm.frames import Frame

COLOUR_WORDS = {"blue": "left", "orange": "right"}
"""What the model calls the tints of ``pictures.COLOURS``."""
PROFILES = ("left_profile", "right_profile")
OTHER = {"left": "right", "right": "left"}
_COLOUR = re.compile(r"\b(blue|orange)(?:-(?:tinted|colou?red))?\b", re.I)
_IMAGE_SIDE = re.compile(r"\b(?:image|picture)(?:'s)?[\s_-]+(left|right)\b", re.I)
_BARE = re.compile(r"\b(left|right)\b", re.I)


class UnclearSide(ValueError):  # noqa: N818
    """A side cannot be determined; ``kind`` is ``sides`` (named in a forbidden way), ``profile`` (seen from the
    side) or ``schema`` (which way the person faces is not said)."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


def own_side(frame: Frame, part: str, facing: str = "") -> str:
    """A part of the closed list in the person's own words: ``blue_arm`` -> ``left arm``.

    :param facing: which way the person faces (picture frame only).
    :raises UnclearSide: the person is seen from the side, so a side of the picture says nothing about theirs; or the
        answer does not say which way the person faces.
    """
    if frame is Frame.COLOUR:
        first, _, rest = part.partition("_")
        return f"{COLOUR_WORDS[first]} {rest}" if first in COLOUR_WORDS else part.replace("_", " ")
    if frame is Frame.PICTURE and (match := re.fullmatch(r"image_(left|right)_(\w+)", part)):
        return f"{_person_side(match[1], facing)} {match[2]}"
    return part.replace("_", " ")


def own_words(frame: Frame, phrase: str, facing: str = "") -> str:
    """A phrase with its colours or picture sides turned into the person's own left and right.

    :raises UnclearSide: the phrase names left or right although the frame uses other words.
    """
    if frame is Frame.WORDS:
        return phrase
    pattern = _COLOUR if frame is Frame.COLOUR else _IMAGE_SIDE
    rest = pattern.sub(" ", phrase)
    if bare := _BARE.search(rest):
        raise UnclearSide("sides", f"it says {bare[0]!r} in {phrase!r}")
    if frame is Frame.COLOUR:
        return _COLOUR.sub(lambda m: COLOUR_WORDS[m[1].lower()], phrase)
    return _IMAGE_SIDE.sub(lambda m: _person_side(m[1].lower(), facing), phrase)


def _person_side(image_side: str, facing: str) -> str:
    if facing == "away":
        return image_side
    if facing == "towards":
        return OTHER[image_side]
    if facing in PROFILES:
        raise UnclearSide("profile", f"the person is seen in {facing.replace('_', ' ')}")
    raise UnclearSide("schema", "facing_reference is missing")
